/**
 * Writes checkpoints beside the running log: slice by slice, a millisecond of work at a time, no
 * pause for appends.
 *
 * The order is what makes a checkpoint true (see core/format/checkpoint.ts):
 *   1. note the position of the log, which is acknowledged and in the overlay;
 *   2. export the overlay in slices; what changes meanwhile may or may not be in;
 *   3. flush: everything the slices can point to is durable, and so are the slices;
 *   4. write the header, flush.
 * Until 4 is done the other slot is the newest checkpoint. A leg that fails on the way is out, as
 * with any write.
 */

import { OK } from '../../base/errno.ts';
import { BLOCK_BYTES, KIB } from '../../base/units.ts';
import {
  bodySeed,
  CheckpointBodyEncoder,
  type CheckpointHeader,
  type CheckpointIdentity,
  ENTRY_SECTORS_MAX,
  encodeCheckpoint,
} from '../../core/format/checkpoint.ts';
import { DATA } from '../../core/overlay.ts';
import type { LoadedCheckpoint } from './checkpoint-loader.ts';
import type { CrcTable } from './crc-table.ts';
import type { Legs, LogEnvironment } from './legs.ts';
import type { WindowLog } from './window-log.ts';

const SLICE_BLOCKS = (128 * KIB) / BLOCK_BYTES;
const RANGE_SECTORS_MAX = 2 ** 31;

export type CheckpointResult = 'written' | 'too-large' | 'stopped' | 'failed';

export class CheckpointWriter {
  /** Of the newest checkpoint of this epoch, written or found. */
  number: number;
  /** End of the log it covers, and its size. */
  endBlocks: number;
  bodyBytes: number;
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #identity: CheckpointIdentity;
  readonly #window: WindowLog;
  readonly #crcs: CrcTable;
  #stopped = false;

  constructor(
    environment: LogEnvironment,
    legs: Legs,
    identity: CheckpointIdentity,
    window: WindowLog,
    crcs: CrcTable,
    newest: LoadedCheckpoint,
  ) {
    this.#environment = environment;
    this.#legs = legs;
    this.#identity = identity;
    this.#window = window;
    this.#crcs = crcs;
    this.number = newest.number;
    this.endBlocks = newest.position.endBlocks;
    this.bodyBytes = newest.bodyBytes;
  }

  /** A checkpoint under way ends after its slice. */
  stop(): void {
    this.#stopped = true;
  }

  /** One at a time. */
  async write(): Promise<CheckpointResult> {
    const from = this.#window.acknowledged;
    const number = this.number + 1;
    const { checkpointOffset, slotBytes } = this.#legs.layout;
    const offset = checkpointOffset + (number % 2) * slotBytes;
    const body = await this.#writeBody(number, offset, slotBytes / BLOCK_BYTES - 1);
    if (typeof body === 'string') return body;
    if ((await this.#window.sync()) !== OK || !(await this.#legs.flush())) return 'failed';
    const { sequence, headerCrc, endBlocks, run, records } = from;
    const { committedThrough } = this.#window;
    const position = { sequence, headerCrc, endBlocks, run, records, committedThrough };
    if (!(await this.#writeHeader(offset, { number, ...position, ...body }))) return 'failed';
    this.number = number;
    this.endBlocks = endBlocks;
    this.bodyBytes = body.bodyBlocks * BLOCK_BYTES;
    return 'written';
  }

  async #writeBody(
    number: number,
    slotOffset: number,
    roomBlocks: number,
  ): Promise<{ entries: number; bodyBlocks: number } | CheckpointResult> {
    const { buffers } = this.#environment;
    let next: number | null = 0;
    let entries = 0;
    let bodyBlocks = 0;
    while (next !== null) {
      if (this.#stopped) return 'stopped';
      const address = await buffers.takeLater(SLICE_BLOCKS * BLOCK_BYTES, 'engine');
      const slice = this.#fillSlice(address, number, bodyBlocks, next);
      const fits = bodyBlocks + slice.blocks <= roomBlocks;
      const at = slotOffset + (1 + bodyBlocks) * BLOCK_BYTES;
      const part = { address, lengthBytes: slice.blocks * BLOCK_BYTES };
      const done = fits && (slice.blocks === 0 || (await this.#legs.write(at, [part])));
      buffers.give(address);
      if (!fits) return 'too-large';
      if (!done) return 'failed';
      next = slice.next;
      entries += slice.entries;
      bodyBlocks += slice.blocks;
    }
    return { entries, bodyBlocks };
  }

  /**
   * Extents from sector `from` on, as many as fit into a slice. `next` is where the following slice
   * begins.
   */
  #fillSlice(
    address: number,
    number: number,
    firstBlock: number,
    from: number,
  ): { blocks: number; entries: number; next: number | null } {
    const { bytes, view } = this.#environment.buffers;
    const { overlay } = this.#window;
    const base = this.#legs.layout.recordsOffset / BLOCK_BYTES;
    const encoder = new CheckpointBodyEncoder(bytes, view, (block) => this.#crcs.get(block - base));
    let extent = overlay.firstFrom(from);
    let blocks = 0;
    let entries = 0;
    while (extent !== null && blocks < SLICE_BLOCKS) {
      encoder.begin(address + blocks * BLOCK_BYTES);
      while (extent !== null) {
        const { start, kind, location } = extent;
        const most = kind === DATA ? ENTRY_SECTORS_MAX : RANGE_SECTORS_MAX;
        const sectors = Math.min(extent.sectors, most);
        if (!encoder.add(start, sectors, kind, location)) break;
        entries++;
        extent = overlay.firstFrom(start + sectors);
      }
      encoder.finish(bodySeed(this.#identity, number, firstBlock + blocks));
      blocks++;
    }
    return { blocks, entries, next: extent === null ? null : extent.start };
  }

  async #writeHeader(offset: number, header: CheckpointHeader): Promise<boolean> {
    const { buffers } = this.#environment;
    const address = await buffers.takeLater(BLOCK_BYTES, 'engine');
    encodeCheckpoint(this.#identity, header, buffers.slice(address, BLOCK_BYTES));
    const part = { address, lengthBytes: BLOCK_BYTES };
    const done = (await this.#legs.write(offset, [part])) && (await this.#legs.flush());
    buffers.give(address);
    return done;
  }
}
