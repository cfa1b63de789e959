/**
 * Finds segment headers on one leg, for recovery and for `check`: reads ahead in a small window
 * when segments are short, only the header when they are long. It looks, it never judges: what it
 * finds is valid by itself (identity, place, checksum); whether it continues the chain is for the
 * caller to say.
 */

import { ETIMEDOUT, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, KIB } from '../../base/units.ts';
import {
  claimedHeaderBlocks,
  decodeSegment,
  HEADER_BLOCKS_MAX,
  type Segment,
} from '../../core/format/segment.ts';
import { type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';

const WINDOW_BLOCKS = (128 * KIB) / BLOCK_BYTES;
/** Most starts find an empty area: what is read ahead begins small and doubles with each segment found. */
const AHEAD_BLOCKS_FIRST = (16 * KIB) / BLOCK_BYTES;
/** Segments at least this long are passed by reading their headers one by one. */
const LONG_BLOCKS = 16;

/** A leg that has taken this long, and that many times as long as another one, is set aside. */
const PATIENCE_MS = 10_000;
const PATIENCE_TIMES = 4;

/** A part of the leg that holds one chain of segments. */
export interface SegmentArea {
  /** Bytes from the start of the leg; positions count from here. */
  readonly offset: number;
  readonly blocks: number;
  /** From identityBytes. */
  readonly identity: Uint8Array;
}

export interface Found {
  /** Null when there is no valid header here. */
  readonly segment: Segment | null;
  /** False when the drive would not say. */
  readonly readable: boolean;
}

const UNREADABLE: Found = { segment: null, readable: false };
const NOTHING: Found = { segment: null, readable: true };

export class SegmentCursor {
  readonly leg: Leg;
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #area: SegmentArea;
  #window: Address;
  /** Blocks of the area that are in the window. */
  #from = 0;
  #to = 0;
  #lastBlocks = 0;
  #aheadBlocks = AHEAD_BLOCKS_FIRST;
  /** A read was not answered in time: it is asked nothing more. */
  #isOut = false;
  /** What its reads have taken. */
  spentMs = 0;
  /** Not asked at every place any more: see `askAll`. */
  isSetAside = false;

  private constructor(
    environment: LogEnvironment,
    legs: Legs,
    leg: Leg,
    area: SegmentArea,
    window: Address,
  ) {
    this.#environment = environment;
    this.#legs = legs;
    this.leg = leg;
    this.#area = area;
    this.#window = window;
  }

  static async open(
    environment: LogEnvironment,
    legs: Legs,
    leg: Leg,
    area: SegmentArea,
  ): Promise<SegmentCursor> {
    const window = await environment.buffers.takeLater(WINDOW_BLOCKS * BLOCK_BYTES, 'engine');
    return new SegmentCursor(environment, legs, leg, area, window);
  }

  close(): void {
    this.#environment.buffers.give(this.#window);
  }

  /** A read was not answered in time. */
  get isOut(): boolean {
    return this.#isOut;
  }

  /**
   * The segment that begins at this block of the area. Nothing is believed only when it was read twice: to take one read
   * that went astray, or failed, for the end of the log would lose what was answered.
   */
  async at(position: number): Promise<Found> {
    const found = await this.#look(position);
    if (found.segment !== null) return found;
    this.#to = this.#from;
    const again = await this.#look(position, AHEAD_BLOCKS_FIRST);
    // One that failed is counted where it failed.
    if (again.segment !== null && found.readable) this.leg.readErrors++;
    return again;
  }

  async #look(position: number, ahead = this.#aheadBlocks): Promise<Found> {
    const wanted = this.#lastBlocks >= LONG_BLOCKS ? 1 : ahead;
    if (!(await this.#hold(position, 1, wanted))) return UNREADABLE;
    const { bytes } = this.#environment.buffers;
    const blocks = claimedHeaderBlocks(bytes, this.#addressOf(position), this.#area.identity);
    if (blocks === 0 || position + blocks > this.#area.blocks) return NOTHING;
    if (!(await this.#hold(position, blocks, HEADER_BLOCKS_MAX))) return UNREADABLE;
    const at = this.#addressOf(position);
    const segment = decodeSegment(bytes, at, this.#area.identity, position, this.#area.blocks);
    if (segment !== null) {
      this.#lastBlocks = segment.totalBlocks;
      this.#aheadBlocks = Math.min(2 * this.#aheadBlocks, WINDOW_BLOCKS);
    }
    return { segment, readable: true };
  }

  /** All valid headers in [from, to), wherever they begin; for evidence behind a hole. */
  async *search(from: number, to: number): AsyncGenerator<Segment> {
    const { bytes } = this.#environment.buffers;
    this.#lastBlocks = 0;
    for (let position = from; position < Math.min(to, this.#area.blocks); position++) {
      // Most of an area is passed over block by block: to wait for what is here already would cost more than the look.
      if (!this.#holds(position, 1) && !(await this.#hold(position, 1, WINDOW_BLOCKS))) continue;
      if (claimedHeaderBlocks(bytes, this.#addressOf(position), this.#area.identity) === 0)
        continue;
      const { segment } = await this.at(position);
      this.#lastBlocks = 0;
      if (segment !== null) yield segment;
    }
  }

  #addressOf(position: number): Address {
    return (this.#window + (position - this.#from) * BLOCK_BYTES) as Address;
  }

  #holds(position: number, blocks: number): boolean {
    return position >= this.#from && position + blocks <= this.#to;
  }

  /**
   * Makes sure that `least` blocks from `position` are in the window; reads `wanted` if it has to
   * read.
   */
  async #hold(position: number, least: number, wanted: number): Promise<boolean> {
    if (this.#holds(position, least)) return true;
    if (this.#isOut) return false;
    const count = Math.min(Math.max(least, wanted), this.#area.blocks - position);
    if (count < least) return false;
    const offset = this.#area.offset + position * BLOCK_BYTES;
    const { clock } = this.#environment;
    const begunMs = clock.nowMs();
    let errno = await readLeg(this.leg, offset, this.#window, count * BLOCK_BYTES);
    let got = count;
    if (errno !== OK && errno !== ETIMEDOUT && count > least) {
      // One bad block must not hide its neighbours.
      errno = await readLeg(this.leg, offset, this.#window, least * BLOCK_BYTES);
      got = least;
    }
    this.spentMs += clock.nowMs() - begunMs;
    this.#from = position;
    this.#to = errno === OK ? position + got : position;
    if (errno === ETIMEDOUT) await this.#giveUp();
    return errno === OK;
  }

  /** The read may still land in the window: take another one. The leg is out. */
  async #giveUp(): Promise<void> {
    const { buffers } = this.#environment;
    this.#isOut = true;
    this.#legs.fail(this.leg, 'a read was not answered in time');
    const fresh = await buffers.takeLater(WINDOW_BLOCKS * BLOCK_BYTES, 'engine');
    buffers.give(this.#window);
    this.#window = fresh;
  }
}

export interface Asked {
  /** By cursor. */
  readonly found: readonly Found[];
  /** Of those nothing is known here. */
  readonly unasked: readonly Leg[];
}

/**
 * What the legs have at one place. One that reads very slowly, beside one that does not, is set aside: what was answered the
 * other one has as well. It is out of nothing: where the others have no segment that counts, it is asked again, so it is
 * before a chain is called at its end.
 */
export async function askAll(
  cursors: readonly SegmentCursor[],
  position: number,
  counts: (segment: Segment) => boolean,
): Promise<Asked> {
  const isAsked = cursors.map((cursor) => !cursor.isSetAside);
  const found = await Promise.all(
    cursors.map((cursor, i) => (isAsked[i] ? cursor.at(position) : NOT_ASKED)),
  );
  setAside(cursors);
  if (isAsked.every((asked) => asked)) return { found, unasked: [] };
  if (found.some(({ segment }) => segment !== null && counts(segment))) {
    return { found, unasked: cursors.filter((_, i) => !isAsked[i]).map(({ leg }) => leg) };
  }
  const all = await Promise.all(
    cursors.map(async (cursor, i) => (isAsked[i] ? found[i]! : cursor.at(position))),
  );
  return { found: all, unasked: [] };
}

const NOT_ASKED = Promise.resolve(UNREADABLE);

function setAside(cursors: readonly SegmentCursor[]): void {
  const quick = cursors.filter(({ isOut, isSetAside }) => !isOut && !isSetAside);
  const leastMs = Math.min(...quick.map(({ spentMs }) => spentMs));
  for (const cursor of quick)
    if (cursor.spentMs > Math.max(PATIENCE_MS, PATIENCE_TIMES * leastMs)) cursor.isSetAside = true;
}
