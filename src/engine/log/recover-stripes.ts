/**
 * What the stripe log left behind: the after-images that must be written again.
 *
 * Each half is a chain of segments from its start; the first one may have any sequence. Of all that
 * is found, what is not released is redone, in the order of the sequences. A segment that is whole
 * on no leg was never answered, so none of its images was ever written in place: it is skipped, and
 * the ones behind it are redone all the same, because images of different stripes do not depend on
 * each other, and those of one stripe never are under way together. Only if a later segment says
 * that it was committed, it is counted as lost. That one may lie behind a damaged header, where no chain leads: it is looked
 * for (behind-chains.ts).
 *
 * What cannot be read cannot be called torn. A segment beyond all that is known to be committed, or the place where the next
 * one would be, that no leg can read counts as unreadable: something may have been there. There are at most as many of
 * those as the area has blocks, and the numbers of that many are left out, so that what becomes readable again is old.
 *
 * The start of a half that no leg can read may hold nothing that is owed: see `isBeside`. A bad sector there would keep a
 * degraded volume from starting for nothing.
 *
 * Redo must follow before anything is written to the members; nothing here changes a leg.
 */

import { crc32 } from '../../base/crc32.ts';
import { OK } from '../../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  type MemberOffset,
  SECTOR_BYTES,
  type Slot,
} from '../../base/units.ts';
import {
  HEADER_BLOCKS_MAX,
  RECORD_IMAGE,
  RECORD_IMAGE_ZERO,
  type Segment,
} from '../../core/format/segment.ts';
import { addUnlinked, hasNewer } from './behind-chains.ts';
import { type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';
import { stripePayloadMax } from './log-areas.ts';
import { continuesChain } from './recover-records.ts';
import { verifyPayload } from './segment-copy.ts';
import { type Asked, askAll, type SegmentArea, SegmentCursor } from './segment-cursor.ts';
import { type StripeImage, ZEROES } from './stripe-image.ts';

export interface PendingSegment {
  readonly segment: Segment;
  /** Byte on the leg where it begins. */
  readonly offset: number;
  /** Legs on which it is whole. */
  readonly whole: readonly Leg[];
}

export interface FoundStripes {
  /** Ascending. */
  readonly pending: readonly PendingSegment[];
  readonly lastSequence: number;
  readonly releasedThrough: number;
  readonly lostSegments: number;
  /** Places that no leg can read and that may hold images that are owed, if any stripe was under way. */
  readonly unreadableSegments: number;
}

export const NO_STRIPES: FoundStripes = {
  pending: [],
  lastSequence: 0,
  releasedThrough: 0,
  lostSegments: 0,
  unreadableSegments: 0,
};

export interface FoundSegment {
  readonly segment: Segment;
  readonly present: readonly Leg[];
  /** Set aside: they are not known to have it, nor not to. */
  readonly unasked: readonly Leg[];
  /** A leg that can be read does not have it. */
  readonly isMissedBySome: boolean;
}

export interface ChainEnd {
  /** Of its half. */
  readonly startBlocks: number;
  /** 0: there is no chain. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Where it ends, and from there to the end of the half. */
  readonly endBlocks: number;
  readonly roomBlocks: number;
  /** Some leg says that nothing follows. */
  readonly isKnown: boolean;
}

export async function findStripes(
  environment: LogEnvironment,
  legs: Legs,
  area: SegmentArea,
): Promise<FoundStripes> {
  const found = new Map<number, FoundSegment>();
  const ends: ChainEnd[] = [];
  const cursors: SegmentCursor[] = [];
  for (const leg of legs.online()) {
    cursors.push(await SegmentCursor.open(environment, legs, leg, area));
  }
  const half = area.blocks / 2;
  for (const start of [0, half])
    ends.push(...(await findChains(cursors, start, start + half, found)));
  const inHeader = legs.header.stripesReleasedThrough;
  const linked = tellOf(found, inHeader);
  const { newest: end, releasedThrough: through } = linked;
  const isBroken = await hasNewer(cursors, ends, half, end, { inHeader, through });
  if (isBroken || linked.missing > 0) await addUnlinked(cursors, area.blocks, through, found);
  const { all, newest, releasedThrough, committedThrough } = tellOf(found, inHeader);
  // A chain that another one goes on from is known to its end by what that one calls committed.
  const isOpen = ({ startBlocks, lastSequence: last }: ChainEnd): boolean =>
    last === 0
      ? !all.some(({ segment }) => isIn(segment, startBlocks, half))
      : last === newest && last > releasedThrough;
  let unreadableSegments = 0;
  const pending: PendingSegment[] = [];
  for (const { segment, present, unasked, isMissedBySome } of all) {
    if (segment.sequence <= releasedThrough) continue;
    const whole: Leg[] = [];
    let unreadable = 0;
    const verify = async (leg: Leg): Promise<void> => {
      const verdict = await verifyPayload(environment, legs, leg, area, segment);
      if (verdict.bad.length === 0) whole.push(leg);
      else if (!verdict.readable) unreadable++;
    };
    for (const leg of present) await verify(leg);
    if (whole.length === 0) for (const leg of unasked) await verify(leg);
    const offset = area.offset + segment.positionBlocks * BLOCK_BYTES;
    if (whole.length > 0) pending.push({ segment, offset, whole });
    else if (segment.sequence <= committedThrough || isMissedBySome) continue;
    else if (unreadable === present.length + unasked.length) unreadableSegments++;
  }
  const unknown = ends.filter((end) => !end.isKnown && isOpen(end));
  const isFree =
    !isBroken && ends.some((end) => isBeside(end, half, newest, releasedThrough, pending));
  unreadableSegments += unknown.filter(({ lastSequence }) => lastSequence > 0 || !isFree).length;
  for (const cursor of cursors) cursor.close();
  const redone = pending.filter(({ segment }) => segment.sequence <= committedThrough).length;
  const lostSegments = Math.max(0, committedThrough - releasedThrough - redone);
  const unseen = unreadableSegments + lostSegments > 0 ? area.blocks : 0;
  const lastSequence = Math.max(newest, releasedThrough) + unseen;
  return { pending, lastSequence, releasedThrough, lostSegments, unreadableSegments };
}

interface Tale {
  /** Ascending. */
  readonly all: readonly FoundSegment[];
  readonly newest: number;
  readonly releasedThrough: number;
  readonly committedThrough: number;
  /** Committed, not released, and without a header. */
  readonly missing: number;
}

/** What the segments that were found say, all of them together. */
function tellOf(found: ReadonlyMap<number, FoundSegment>, releasedInHeader: number): Tale {
  const all = [...found.values()].sort((a, b) => a.segment.sequence - b.segment.sequence);
  const most = (values: number[], least: number): number =>
    values.reduce((a, b) => Math.max(a, b), least);
  const releasedThrough = most(
    all.map(({ segment }) => segment.releasedThrough),
    releasedInHeader,
  );
  const committedThrough = most(
    all.map(({ segment }) => segment.committedThrough),
    0,
  );
  const owed = all.filter(
    ({ segment: { sequence } }) => sequence > releasedThrough && sequence <= committedThrough,
  );
  const missing = committedThrough - releasedThrough - owed.length;
  const newest = all.at(-1)?.segment.sequence ?? 0;
  return { all, newest, releasedThrough, committedThrough, missing };
}

const isIn = ({ positionBlocks }: Segment, startBlocks: number, halfBlocks: number): boolean =>
  startBlocks <= positionBlocks && positionBlocks < startBlocks + halfBlocks;

/**
 * Does this chain prove that the other half holds nothing that is owed? It does when
 *
 *   it is the newest one, and has images that are owed: no start has begun anew since, which would have released them
 *   some leg says that nothing follows, and there is room for the largest segment: the next one would have come here
 *   everything before it is released
 */
function isBeside(
  chain: ChainEnd,
  halfBlocks: number,
  newest: number,
  releasedThrough: number,
  pending: readonly PendingSegment[],
): boolean {
  const { firstSequence, lastSequence, isKnown, roomBlocks } = chain;
  const isOwed = pending.some(
    ({ segment: { sequence } }) => firstSequence <= sequence && sequence <= lastSequence,
  );
  return (
    isOwed &&
    isKnown &&
    lastSequence === newest &&
    roomBlocks >= stripePayloadMax(halfBlocks) + HEADER_BLOCKS_MAX &&
    firstSequence <= releasedThrough + 1
  );
}

const nobody = (): boolean => false;

/** The chains of one half, of all legs together: one, unless a crash came in the first write of another. */
async function findChains(
  cursors: readonly SegmentCursor[],
  start: number,
  end: number,
  found: Map<number, FoundSegment>,
): Promise<ChainEnd[]> {
  // All of them, here: the one that is set aside may know of another chain.
  const asked = await askAll(cursors, start, nobody);
  const here = asked.found;
  const heads = new Map<number, Segment>();
  for (const { segment } of here) if (segment !== null) heads.set(segment.headerCrc, segment);
  if (heads.size === 0) {
    const isKnown = here.some((each) => each.readable);
    return [
      {
        startBlocks: start,
        firstSequence: 0,
        lastSequence: 0,
        endBlocks: start,
        roomBlocks: end - start,
        isKnown,
      },
    ];
  }
  const ends: ChainEnd[] = [];
  for (const head of heads.values()) ends.push(await follow(cursors, head, asked, end, found));
  return ends;
}

async function follow(
  cursors: readonly SegmentCursor[],
  head: Segment,
  atHead: Asked,
  end: number,
  found: Map<number, FoundSegment>,
): Promise<ChainEnd> {
  const { sequence: firstSequence, positionBlocks: startBlocks } = head;
  let last = head;
  let { found: here, unasked } = atHead;
  for (;;) {
    const { sequence, headerCrc, positionBlocks, totalBlocks } = last;
    const has = here.map(({ segment }) => segment?.headerCrc === headerCrc);
    const present = cursors.filter((_, i) => has[i]).map((cursor) => cursor.leg);
    const isMissedBySome = here.some(({ readable }, i) => readable && !has[i]);
    if (!found.has(sequence))
      found.set(sequence, { segment: last, present, unasked, isMissedBySome });
    const position = positionBlocks + totalBlocks;
    const roomBlocks = end - position;
    const endBlocks = position;
    const chain = { startBlocks, firstSequence, lastSequence: sequence, endBlocks, roomBlocks };
    if (position >= end) return { ...chain, isKnown: true };
    const before = last;
    const continues = (each: Segment): boolean => continuesChain(before, each);
    ({ found: here, unasked } = await askAll(cursors, position, continues));
    const next = here.find(({ segment }) => segment !== null && continues(segment));
    if (!next?.segment) {
      return { ...chain, isKnown: here.some(({ readable }) => readable) };
    }
    last = next.segment;
  }
}

/**
 * The images of a segment in one buffer, verified; for the caller to give back. Null when no leg
 * has them any more.
 */
export async function readImages(
  environment: LogEnvironment,
  legs: Legs,
  pending: PendingSegment,
): Promise<{ images: StripeImage[]; address: Address } | null> {
  const { buffers } = environment;
  const { segment, offset, whole } = pending;
  const lengthBytes = (segment.totalBlocks - segment.headerBlocks) * BLOCK_BYTES;
  for (const leg of whole) {
    const address = await buffers.takeLater(Math.max(lengthBytes, BLOCK_BYTES), 'engine');
    const from = offset + segment.headerBlocks * BLOCK_BYTES;
    const errno = lengthBytes > 0 ? await readLeg(leg, from, address, lengthBytes) : OK;
    const right = segment.blockCrcs.every((crc, i) => {
      const at = address + i * BLOCK_BYTES;
      return crc32(buffers.bytes.subarray(at, at + BLOCK_BYTES)) === crc;
    });
    if (errno === OK && right) return { images: imagesOf(segment, address), address };
    buffers.give(address);
    if (errno !== OK) legs.fail(leg, `reading stripe images failed with errno ${errno}`);
  }
  return null;
}

function imagesOf(segment: Segment, payload: Address): StripeImage[] {
  return segment.records
    .filter(({ type }) => type === RECORD_IMAGE || type === RECORD_IMAGE_ZERO)
    .map(({ type, slot, start, sectors, payloadBlock }) => ({
      slot: slot as Slot,
      memberOffset: (start * SECTOR_BYTES) as MemberOffset,
      address:
        type === RECORD_IMAGE_ZERO
          ? ZEROES
          : ((payload + (payloadBlock - segment.headerBlocks) * BLOCK_BYTES) as Address),
      lengthBytes: sectors * SECTOR_BYTES,
    }));
}
