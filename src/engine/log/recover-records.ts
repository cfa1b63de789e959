/**
 * Recovery of a window's log: from the newest checkpoint, or from nothing, along the chain of
 * segments to its end.
 *
 * The tail rule. C is the highest committedThrough that any valid segment or checkpoint on any leg
 * carries: everything up to C was once flushed on every leg that was online. So, walking the chain,
 * a segment that is found on
 *
 *   @A  all legs               up to C    applied; its payload is verified when it is read
 *   @B  some legs              up to C    applied; written again on the others
 *   @C  no leg                 up to C    damage: the log is refused, nothing is cut off
 *   @D  a leg, whole           beyond C   payload verified, applied; written again elsewhere
 *   @E  no leg as a whole      beyond C   the end: it was never answered, or never flushed and lost
 *                                         with the power; it and all behind it is dropped
 *   @F  no leg can be read     beyond C   damage: what cannot be read cannot be called torn
 *
 * For @C and @E the area behind the hole is searched for later segments first, because their
 * committedThrough may prove that the hole is damage. What was dropped can never come back: the
 * next segment starts a new run, which the caller writes at once (WindowLog.mark), and a chain
 * accepts another run only at a segment that says it starts one.
 *
 * Nothing changes on the legs but repairs; a crash during recovery repeats it.
 */

import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import type { Segment } from '../../core/format/segment.ts';
import { DATA, type Overlay, type OverlayKind } from '../../core/overlay.ts';
import type { CrcTable } from './crc-table.ts';
import type { Leg, Legs, LogEnvironment } from './legs.ts';
import type { LogLimits } from './limits.ts';
import type { LogPosition } from './log-position.ts';
import { copySegment, verifyPayload } from './segment-copy.ts';
import { askAll, type SegmentArea, SegmentCursor } from './segment-cursor.ts';

/**
 * How far behind a hole proof of damage is looked for: a self-sync, and what is written while it
 * flushes.
 */
const evidenceBlocks = (limits: LogLimits): number =>
  limits.selfSyncBytes / BLOCK_BYTES + 8 * limits.segmentBlocks;

export interface Recovered {
  readonly kind: 'recovered';
  readonly position: LogPosition;
  /**
   * Segments applied behind the checkpoint; of these beyond C; written again on a leg; dropped as
   * never answered.
   */
  readonly scannedSegments: number;
  readonly verifiedSegments: number;
  readonly repairedSegments: number;
  readonly droppedSegments: number;
}

export interface Damaged {
  readonly kind: 'damaged';
  readonly reason: string;
}

interface Candidate {
  readonly segment: Segment;
  /** Legs with a valid header that continues the chain; and all others. */
  readonly present: readonly Leg[];
  readonly absent: readonly Leg[];
  /** Set aside: up to C they have it. */
  readonly unasked: readonly Leg[];
}

export function continuesChain(
  previous: { sequence: number; headerCrc: number; run: bigint },
  segment: Segment,
): boolean {
  return (
    segment.sequence === previous.sequence + 1 &&
    segment.previousCrc === previous.headerCrc &&
    (segment.runStart || segment.run === previous.run)
  );
}

/**
 * Of what the legs hold at one place, the segment that counts. They differ only after a crash in
 * the first write of a run: one leg has that, the other still has what the recovery before it
 * dropped. The one that starts a run is later; of two, the empty one: records start a run only at the
 * begin of a window, all other runs begin with the mark of a recovery, which has dropped those.
 */
export function truthOf(here: readonly (Segment | null)[]): Segment | null | 'conflict' {
  const found = here.filter((segment) => segment !== null);
  const starts = found.filter((segment) => segment.runStart);
  const marks = starts.filter(({ records }) => records.length === 0);
  const candidates = [marks, starts].find(({ length }) => length > 0) ?? found;
  const first = candidates[0] ?? null;
  return candidates.every((segment) => segment.headerCrc === first?.headerCrc) ? first : 'conflict';
}

export class RecordRecovery {
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #area: SegmentArea;
  readonly #limits: LogLimits;
  readonly #overlay: Overlay;
  readonly #crcs: CrcTable;
  #committed = 0;
  #end: LogPosition;
  #records: number;
  #scanned = 0;
  #repaired = 0;
  /** Beyond C so far, in order. */
  readonly #pending: Candidate[] = [];
  /** @B: written again when the walk is over. */
  readonly #torepair: Candidate[] = [];

  constructor(
    environment: LogEnvironment,
    legs: Legs,
    limits: LogLimits,
    area: SegmentArea,
    overlay: Overlay,
    crcs: CrcTable,
    from: LogPosition,
  ) {
    this.#environment = environment;
    this.#legs = legs;
    this.#limits = limits;
    this.#area = area;
    this.#overlay = overlay;
    this.#crcs = crcs;
    this.#end = from;
    this.#records = from.records;
    this.#committed = from.committedThrough;
  }

  async run(): Promise<Recovered | Damaged> {
    const cursors: SegmentCursor[] = [];
    for (const leg of this.#legs.online()) {
      cursors.push(await SegmentCursor.open(this.#environment, this.#legs, leg, this.#area));
    }
    const found = (await this.#walk(cursors)) ?? (await this.#evidence(cursors));
    for (const cursor of cursors) cursor.close();
    if (found !== null) return found;
    const verified = await this.#settlePending();
    if ('kind' in verified) return verified;
    for (const candidate of this.#torepair) await this.#repair(candidate, candidate.present[0]);
    if (!(await this.#legs.flush())) return damaged('no leg of the log can be flushed');
    return {
      kind: 'recovered',
      position: { ...this.#end, committedThrough: this.#end.sequence, records: this.#records },
      scannedSegments: this.#scanned,
      verifiedSegments: verified.verified,
      repairedSegments: this.#repaired,
      droppedSegments: verified.dropped,
    };
  }

  /** To the end of the chain: `#end` is then behind the last valid header, whatever its payload. */
  async #walk(cursors: readonly SegmentCursor[]): Promise<Damaged | null> {
    let last = this.#end;
    while (last.endBlocks < this.#area.blocks) {
      const position = last.endBlocks;
      const before = last;
      const continues = (each: Segment): boolean => continuesChain(before, each);
      const { found, unasked } = await askAll(cursors, position, continues);
      const here = found.map(({ segment }) =>
        segment && continuesChain(last, segment) ? segment : null,
      );
      const segment = truthOf(here);
      if (segment === 'conflict')
        return damaged(`the legs hold different segments ${last.sequence + 1}`);
      if (segment === null) {
        const readable = found.some((each) => each.readable);
        if (!readable) return damaged(`segment ${last.sequence + 1} cannot be read on any leg`);
        break;
      }
      const has = here.map((each) => each?.headerCrc === segment.headerCrc);
      const present = cursors.filter((_, i) => has[i]).map((cursor) => cursor.leg);
      const absent = cursors.filter((_, i) => !has[i]).map((cursor) => cursor.leg);
      const known = absent.filter((leg) => !unasked.includes(leg));
      this.#pending.push({ segment, present, absent: known, unasked });
      this.#raise(segment.committedThrough);
      const { sequence, headerCrc, run, totalBlocks } = segment;
      last = { ...last, sequence, headerCrc, run, endBlocks: position + totalBlocks };
    }
    return null;
  }

  /** C is at least this: what is up to it needs no verification now. */
  #raise(committedThrough: number): void {
    this.#committed = Math.max(this.#committed, committedThrough);
    let count = 0;
    for (const candidate of this.#pending) {
      if (candidate.segment.sequence > this.#committed) break;
      this.#apply(candidate.segment);
      if (candidate.absent.length > 0) this.#torepair.push(candidate);
      count++;
    }
    if (count > 0) this.#pending.splice(0, count);
  }

  /** Behind the last header: does anything there prove that more was committed? */
  async #evidence(cursors: readonly SegmentCursor[]): Promise<Damaged | null> {
    const last = this.#pending.at(-1)?.segment;
    const endBlocks = last ? last.positionBlocks + last.totalBlocks : this.#end.endBlocks;
    const sequence = last?.sequence ?? this.#end.sequence;
    for (const cursor of cursors.filter(({ isSetAside }) => !isSetAside)) {
      for await (const segment of cursor.search(
        endBlocks,
        endBlocks + evidenceBlocks(this.#limits),
      )) {
        if (segment.sequence > sequence) this.#raise(segment.committedThrough);
      }
    }
    if (this.#committed <= sequence) return null;
    return damaged(`segments ${sequence + 1} to ${this.#committed} were flushed and are on no leg`);
  }

  /** Beyond C, in order: up to the first segment that is whole on no leg. */
  async #settlePending(): Promise<{ verified: number; dropped: number } | Damaged> {
    let verified = 0;
    for (const candidate of this.#pending) {
      const { segment, present, absent, unasked } = candidate;
      const whole: Leg[] = [];
      const torn: Leg[] = [...absent];
      let unreadable = 0;
      const verify = async (leg: Leg): Promise<void> => {
        const { bad, readable } = await verifyPayload(
          this.#environment,
          this.#legs,
          leg,
          this.#area,
          segment,
        );
        if (bad.length === 0) whole.push(leg);
        else torn.push(leg);
        if (!readable) unreadable++;
      };
      for (const leg of present) await verify(leg);
      // Who was set aside gets it anew, unless nobody else has it.
      if (whole.length > 0) torn.push(...unasked);
      else for (const leg of unasked) await verify(leg);
      const source = whole[0];
      if (source === undefined) {
        const looked = present.length + unasked.length;
        if (unreadable > 0 && unreadable === looked && absent.length === 0) {
          return damaged(`segment ${segment.sequence} cannot be read on any leg`);
        }
        break;
      }
      this.#apply(segment);
      await this.#repair({ segment, present: whole, absent: torn, unasked: [] }, source);
      verified++;
    }
    return { verified, dropped: this.#pending.length - verified };
  }

  async #repair(candidate: Candidate, from: Leg | undefined): Promise<void> {
    for (const to of candidate.absent) {
      if (from === undefined || to.state !== 'online') continue;
      const { segment } = candidate;
      const errno = await copySegment(this.#environment, this.#legs, from, to, this.#area, segment);
      if (errno === 0) this.#repaired++;
      else this.#legs.fail(to, `repairing segment ${segment.sequence} failed with errno ${errno}`);
    }
  }

  #apply(segment: Segment): void {
    applySegment(segment, this.#area, this.#overlay, this.#crcs);
    const { sequence, headerCrc, run, positionBlocks, totalBlocks } = segment;
    const endBlocks = positionBlocks + totalBlocks;
    this.#end = { ...this.#end, sequence, headerCrc, run, endBlocks };
    this.#records += segment.records.length;
    this.#scanned++;
  }
}

const damaged = (reason: string): Damaged => ({ kind: 'damaged', reason });

function applySegment(segment: Segment, area: SegmentArea, overlay: Overlay, crcs: CrcTable): void {
  const perBlock = BLOCK_BYTES / SECTOR_BYTES;
  const base = (area.offset / BLOCK_BYTES + segment.positionBlocks) * perBlock;
  for (const { type, start, sectors, payloadBlock } of segment.records) {
    const location = type === DATA ? base + payloadBlock * perBlock : base;
    overlay.insert(start, sectors, type as OverlayKind, location);
  }
  const first = segment.positionBlocks + segment.headerBlocks;
  segment.blockCrcs.forEach((crc, i) => crcs.set(first + i, crc));
}
