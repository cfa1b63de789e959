/**
 * The log of one window: every write of the host goes here while a drive is away, and nowhere else.
 *
 *   append ─► queue ─► segment (≤ 64 records, ≤ 2 MiB) ─► one gathered write per leg ─► answer
 *               ▲ what arrives while segments are being written           │       in order
 *               └ becomes the next one: no timer                          └ overlay first
 *
 * Invariants
 *   1. Segments lie one behind the other, sequences rise by one, each carries the CRC of the
 *      previous header.
 *   2. A record is answered when its segment *and every earlier one* is on all legs that are
 *      online. That is what makes it right, after a crash, to cut the log at its first hole:
 *      nothing behind the hole was ever answered.
 *   3. The overlay changes in the order of the sequences, just before the answer; so a read that
 *      follows an answered write finds it, and one that runs beside it sees the old or the new,
 *      sector by sector.
 *   4. committedThrough ≤ acknowledged ≤ written. Only a flush of all online legs raises the first,
 *      and only to what was acknowledged before the flush began.
 *   5. Room is reserved before a record enters the queue: what was admitted fits, and ENOSPC comes
 *      at once.
 *   6. What had begun to be written when the log failed is `unsettled`: it was not answered, and a
 *      start may find it on a leg all the same, or not. Who reads it must not be shown what that
 *      start may take back. Never more than the segments in flight: nothing is begun afterwards.
 *
 * Callers' buffers are borrowed until the answer and go to the legs as they are, without a copy.
 */

import { assert } from '../../base/assert.ts';
import { EIO, ENOSPC, type Errno, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import {
  headerBlocksFor,
  payloadBlocksOf,
  RECORD_FLAG_FUA,
  type SegmentEncoder,
} from '../../core/format/segment.ts';
import { DATA, type Overlay, type OverlayKind } from '../../core/overlay.ts';
import type { Range } from '../../core/ranges.ts';
import type { CrcTable } from './crc-table.ts';
import type { Legs, LogEnvironment } from './legs.ts';
import type { LogLimits } from './limits.ts';
import type { LogPosition } from './log-position.ts';
import { PayloadReader } from './payload-reader.ts';
import { type BuiltSegment, type ChainRecord, RecordChain } from './record-chain.ts';
import { SyncGroup } from './sync-group.ts';

/** One host request; several records when it is long. */
interface Append {
  pieces: number;
  errno: Errno;
  resolve: (errno: Errno) => void;
}

interface Pending extends ChainRecord {
  readonly append: Append;
}

interface InFlight extends BuiltSegment {
  readonly records: readonly Pending[];
  state: 'writing' | 'written' | 'lost';
}

export interface WindowLogOptions {
  readonly environment: LogEnvironment;
  readonly legs: Legs;
  readonly limits: LogLimits;
  readonly overlay: Overlay;
  readonly crcs: CrcTable;
  readonly encoder: SegmentEncoder;
  readonly from: LogPosition;
  /** A buffer of zeroes, one block, never written to. */
  readonly zeroes: Address;
  /** One buffer for a header per segment in flight; given back by `close`. */
  readonly headers: readonly Address[];
  /**
   * What hosts may not use: for the marks that end a run, and to be able to say that the log is
   * full.
   */
  readonly reserveBytes: number;
  /** Called after records were acknowledged. */
  readonly onProgress: () => void;
}

/** Range records are cut below this, so that a count of sectors fits its field. */
const RANGE_SECTORS_MAX = 2 ** 31;

/** What is asked of it runs after the caller's turn; queueMicrotask would make an object for async hooks on every write. */
const NEXT_TURN = Promise.resolve();

export class WindowLog {
  readonly overlay: Overlay;
  readonly reader: PayloadReader;
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #limits: LogLimits;
  readonly #chain: RecordChain;
  readonly #headers: Address[];
  readonly #quotaBytes: number;
  readonly #onProgress: () => void;

  #queue: Pending[] = [];
  readonly #inFlight: InFlight[] = [];
  readonly #waiting: (() => void)[] = [];
  #pumping = false;
  /** Worst case of what is queued, header included. */
  #reservedBytes = 0;
  #queuedRecords = 0;

  #acknowledged: LogPosition;
  readonly #syncs: SyncGroup;
  #failed = false;
  #unsettled: Range[] = [];
  #idle: (() => void) | null = null;
  readonly #pumpLater = (): void => {
    this.#pumping = false;
    this.#pump();
  };
  readonly #reaching: { readonly endBlocks: number; readonly resolve: () => void }[] = [];

  constructor(options: WindowLogOptions) {
    const { environment, legs, limits, crcs, encoder, zeroes, from } = options;
    const { segmentRecords, segmentBlocks, recordBytes } = limits;
    assert(
      headerBlocksFor(segmentRecords, segmentBlocks) === 1,
      'a header of records is one block',
    );
    assert(recordBytes <= segmentBlocks * BLOCK_BYTES, 'a record fits into a segment');
    this.#environment = environment;
    this.#legs = legs;
    this.#limits = limits;
    this.overlay = options.overlay;
    const areaBlocks = legs.layout.recordsBytes / BLOCK_BYTES;
    this.#chain = new RecordChain(environment, encoder, crcs, zeroes, areaBlocks, from);
    this.#headers = [...options.headers];
    this.reader = new PayloadReader(environment, legs, crcs);
    this.#quotaBytes = legs.layout.recordsBytes - options.reserveBytes;
    this.#onProgress = options.onProgress;
    this.#acknowledged = from;
    const fail = (): void => {
      this.#failed = true;
    };
    this.#syncs = new SyncGroup(legs, from, () => this.#acknowledged, fail);
  }

  /** What hosts may use in all. */
  get capacityBytes(): number {
    return this.#quotaBytes;
  }

  get usedBytes(): number {
    return this.#chain.endBlocks * BLOCK_BYTES;
  }

  get freeBytes(): number {
    return Math.max(0, this.#quotaBytes - this.usedBytes - this.#reservedBytes);
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Sectors of the volume, by record: see invariant 6. */
  get unsettled(): readonly Range[] {
    return this.#unsettled;
  }

  anyUnsettledIn(start: number, sectors: number): boolean {
    return this.#unsettled.some(({ from, to }) => from < start + sectors && start < to);
  }

  /** The labels of the volume say that no start takes anything below `sector` from this log. */
  settledBelow(sector: number): void {
    this.#unsettled = this.#unsettled
      .filter(({ to }) => to > sector)
      .map(({ from, to }) => ({ from: Math.max(from, sector), to }));
  }

  /** Everything up to here is on all online legs, and in the overlay. */
  get acknowledged(): LogPosition {
    return this.#acknowledged;
  }

  get committedThrough(): number {
    return this.#syncs.committedThrough;
  }

  get unflushedBytes(): number {
    return (this.#acknowledged.endBlocks - this.#syncs.committedBlocks) * BLOCK_BYTES;
  }

  /**
   * Logs the range; `address` is ignored for ranges of zeroes and trims. With `fua` the answer
   * comes after a flush. ENOSPC when the log is full; EIO when no leg is left, and then for good.
   */
  async append(
    kind: OverlayKind,
    start: number,
    sectors: number,
    address: Address,
    fua = false,
  ): Promise<Errno> {
    assert(sectors > 0 && start >= 0, 'a record has a range');
    const perRecord = kind === DATA ? this.#limits.recordBytes / SECTOR_BYTES : RANGE_SECTORS_MAX;
    const pieces = Math.ceil(sectors / perRecord);
    const payload = kind === DATA ? payloadBlocksOf(sectors) : 0;
    const worstBytes = (pieces + payload) * BLOCK_BYTES;
    if (this.#failed) return EIO;
    const extents = this.overlay.extentCount + 2 * this.#queuedRecords;
    if (worstBytes > this.freeBytes || extents >= this.#limits.overlayExtents) return ENOSPC;
    this.#reservedBytes += worstBytes;
    this.#queuedRecords += pieces;
    while (this.#queue.length >= this.#limits.queueRecords) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const errno = await this.#enqueue(kind, start, sectors, address, perRecord, pieces, fua);
    return errno === OK && fua ? this.sync() : errno;
  }

  /** Durable on all online legs: everything that was answered before this call. */
  sync(): Promise<Errno> {
    if (this.#failed) return Promise.resolve(EIO);
    return this.#syncs.sync();
  }

  /** See PayloadReader. `location` as the overlay gives it: a sector of the leg. */
  readPayload(location: number, sectors: number, address: Address): Promise<Errno> {
    return this.reader.read(location, sectors, address);
  }

  /**
   * An empty segment, flushed: ends what an earlier run may have left behind, and carries
   * committedThrough.
   */
  async mark(): Promise<Errno> {
    await this.drained();
    if (this.#failed) return EIO;
    if (!this.#chain.isFull) await this.#writeSegment([]);
    return this.sync();
  }

  /**
   * Once hosts are quiet, nothing on the legs says that the last records were flushed, and should
   * they rot they would look like a torn tail. Called now and then; writes an empty segment that
   * says so, if it is missing.
   */
  async markWhenQuiet(): Promise<void> {
    const quiet = this.#isIdle() && !this.#failed && !this.#chain.isFull;
    if (quiet && this.#chain.owesMark(this.committedThrough)) await this.#writeSegment([]);
  }

  /** After the last append has been answered. */
  async close(): Promise<void> {
    await this.drained();
    await this.#syncs.finished();
    this.#failed = true;
    for (const header of this.#headers.splice(0)) this.#environment.buffers.give(header);
  }

  /**
   * Resolves when everything that has begun to be written by now is acknowledged, or the log has
   * failed.
   */
  async reached(): Promise<void> {
    const { endBlocks } = this.#chain;
    if (this.#failed || this.#acknowledged.endBlocks >= endBlocks) return;
    await new Promise<void>((resolve) => this.#reaching.push({ endBlocks, resolve }));
  }

  /** Resolves when nothing is queued or being written. */
  async drained(): Promise<void> {
    while (!this.#isIdle()) {
      await new Promise<void>((resolve) => {
        const before = this.#idle;
        this.#idle = () => {
          before?.();
          resolve();
        };
      });
    }
  }

  #enqueue(
    kind: OverlayKind,
    start: number,
    sectors: number,
    address: Address,
    perRecord: number,
    pieces: number,
    fua: boolean,
  ): Promise<Errno> {
    return new Promise((resolve) => {
      const append: Append = { pieces, errno: OK, resolve };
      const flags = fua ? RECORD_FLAG_FUA : 0;
      for (let from = 0; from < sectors; from += perRecord) {
        const length = Math.min(perRecord, sectors - from);
        const at = (kind === DATA ? address + from * SECTOR_BYTES : 0) as Address;
        const blocks = kind === DATA ? payloadBlocksOf(length) : 0;
        this.#queue.push({
          append,
          kind,
          start: start + from,
          sectors: length,
          address: at,
          blocks,
          flags,
        });
      }
      if (this.#pumping) return;
      // After the caller's turn, so that requests that came in together go out together.
      this.#pumping = true;
      void NEXT_TURN.then(this.#pumpLater);
    });
  }

  #pump(): void {
    if (this.#failed) this.#refuseQueue();
    while (this.#queue.length > 0 && this.#headers.length > 0) {
      const { segmentRecords, segmentBlocks } = this.#limits;
      let count = 0;
      let blocks = 0;
      for (const record of this.#queue) {
        if (count === segmentRecords || (count > 0 && blocks + record.blocks > segmentBlocks))
          break;
        count++;
        blocks += record.blocks;
      }
      const records = this.#queue.splice(0, count);
      this.#reservedBytes -= (count + blocks) * BLOCK_BYTES;
      this.#queuedRecords -= count;
      for (const wake of this.#waiting.splice(0, count)) wake();
      // Owned by #inFlight: it cannot reject, its outcome is acknowledged in order.
      void this.#writeSegment(records);
    }
    if (this.#isIdle()) {
      this.#idle?.();
      this.#idle = null;
    }
  }

  async #writeSegment(records: readonly Pending[]): Promise<void> {
    const header = this.#headers.pop();
    assert(header !== undefined, 'there is a buffer for the header');
    const built = this.#chain.build(records, header, this.committedThrough);
    const segment: InFlight = { ...built, records, state: 'writing' };
    this.#inFlight.push(segment);
    const failures = this.#legs.failures;
    const offset = this.#legs.layout.recordsOffset + built.positionBlocks * BLOCK_BYTES;
    segment.state = (await this.#legs.write(offset, built.parts)) ? 'written' : 'lost';
    if (failures === this.#legs.failures) this.#headers.push(header);
    this.#acknowledge();
    this.#pump();
    if (failures !== this.#legs.failures) await this.#replaceHeader(header);
  }

  /**
   * A hung write may still be reading it: the pool holds it back, and another one takes its place.
   */
  async #replaceHeader(header: Address): Promise<void> {
    const { buffers } = this.#environment;
    const fresh = await buffers.takeLater(BLOCK_BYTES, 'engine');
    buffers.give(header);
    this.#headers.push(fresh);
    this.#pump();
  }

  /** Answers what is complete, strictly in order. */
  #acknowledge(): void {
    for (let first = this.#inFlight[0]; first !== undefined; first = this.#inFlight[0]) {
      if (first.state === 'writing') return;
      this.#inFlight.shift();
      // Once a segment is lost nothing behind it can be reached by recovery, whatever became of it.
      if (first.state === 'lost') this.#failed = true;
      const errno = this.#failed ? EIO : OK;
      if (errno === OK) this.#settle(first);
      else this.#leaveUnsettled(first);
      for (const { append } of first.records) finishPiece(append, errno);
      if (errno === OK) this.#onProgress();
      for (let i = this.#reaching.length - 1; i >= 0; i--) {
        const { endBlocks, resolve } = this.#reaching[i]!;
        if (!this.#failed && this.#acknowledged.endBlocks < endBlocks) continue;
        this.#reaching.splice(i, 1);
        resolve();
      }
    }
  }

  #settle(segment: InFlight): void {
    const base = this.#legs.layout.recordsOffset / BLOCK_BYTES + segment.positionBlocks;
    const perBlock = BLOCK_BYTES / SECTOR_BYTES;
    let payload = base + 1;
    for (const { kind, start, sectors, blocks } of segment.records) {
      // Ranges without payload are known by their header.
      this.overlay.insert(start, sectors, kind, (kind === DATA ? payload : base) * perBlock);
      payload += blocks;
    }
    this.#acknowledged = {
      sequence: segment.sequence,
      headerCrc: segment.headerCrc,
      run: this.#chain.run,
      endBlocks: segment.endBlocks,
      committedThrough: this.committedThrough,
      records: this.#acknowledged.records + segment.records.length,
    };
  }

  #leaveUnsettled({ records }: InFlight): void {
    for (const { start, sectors } of records)
      this.#unsettled.push({ from: start, to: start + sectors });
  }

  #isIdle(): boolean {
    return (
      this.#queue.length === 0 &&
      this.#inFlight.length === 0 &&
      this.#headers.length === this.#limits.segmentsInFlight
    );
  }

  #refuseQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#reservedBytes = 0;
    this.#queuedRecords = 0;
    for (const { append } of queue) finishPiece(append, EIO);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function finishPiece(append: Append, errno: Errno): void {
  append.pieces--;
  if (errno !== OK) append.errno = errno;
  if (append.pieces === 0) append.resolve(append.errno);
}
