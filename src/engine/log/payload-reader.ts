/**
 * Reads payloads back: whole blocks, each verified against the CRC table, from the leg with less to
 * do; what one leg has lost comes from another, and is written back to the first.
 *
 * Everything goes through a buffer of our own. That costs a copy (a fraction of the CRC) and buys
 * two things: the caller's buffer never holds a byte that was not verified, and a read that was
 * given up as hung completes, if ever, into a buffer that nobody looks at.
 */

import { crc32 } from '../../base/crc32.ts';
import { EIO, type Errno, ETIMEDOUT, OK } from '../../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  type DriveOffset,
  KIB,
  SECTOR_BYTES,
} from '../../base/units.ts';
import type { CrcTable } from './crc-table.ts';
import { driveOf, type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';

const READ_BLOCKS = (128 * KIB) / BLOCK_BYTES;
const BLOCK_SECTORS = BLOCK_BYTES / SECTOR_BYTES;

export class PayloadReader {
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #crcs: CrcTable;
  #turn = 0;
  /**
   * Blocks that were bad or unreadable on one leg and were rewritten from another; blocks bad on
   * all legs.
   */
  repairedBlocks = 0;
  damagedBlocks = 0;

  constructor(environment: LogEnvironment, legs: Legs, crcs: CrcTable) {
    this.#environment = environment;
    this.#legs = legs;
    this.#crcs = crcs;
  }

  /** EIO when a block is good on no leg; the contents of the caller's buffer are then undefined. */
  async read(locationSector: number, sectors: number, address: Address): Promise<Errno> {
    const end = locationSector + sectors;
    let from = locationSector;
    let errno = OK;
    while (from < end) {
      const block = Math.floor(from / BLOCK_SECTORS);
      const blocks = Math.min(READ_BLOCKS, Math.ceil(end / BLOCK_SECTORS) - block);
      const to = Math.min(end, (block + blocks) * BLOCK_SECTORS);
      const target = (address + (from - locationSector) * SECTOR_BYTES) as Address;
      const skipBytes = (from - block * BLOCK_SECTORS) * SECTOR_BYTES;
      const piece = await this.#readBlocks(
        block,
        blocks,
        skipBytes,
        (to - from) * SECTOR_BYTES,
        target,
      );
      if (piece !== OK) errno = piece;
      from = to;
    }
    return errno;
  }

  /** `block` counts from the start of the leg. */
  async #readBlocks(
    block: number,
    blocks: number,
    skipBytes: number,
    lengthBytes: number,
    target: Address,
  ): Promise<Errno> {
    const { buffers } = this.#environment;
    const own = await buffers.takeLater(blocks * BLOCK_BYTES, 'mend');
    const leg = this.#choose();
    let errno: Errno = leg === null ? EIO : await this.#readFrom(leg, block, blocks, own);
    if (leg !== null && (errno !== OK || this.#firstBad(block, blocks, own) >= 0)) {
      if (errno === OK) leg.readErrors++;
      errno = await this.#assemble(
        leg,
        errno === OK ? own : null,
        block,
        blocks,
        target,
        skipBytes,
        lengthBytes,
      );
    } else if (errno === OK) {
      buffers.bytes.copyWithin(target, own + skipBytes, own + skipBytes + lengthBytes);
    }
    buffers.give(own);
    return errno;
  }

  /**
   * The slow way: block by block, from whichever leg has it. Legs that had it wrong get it
   * rewritten. `first` holds what the leg `tried` answered, null when that was an error.
   */
  async #assemble(
    tried: Leg,
    first: Address | null,
    block: number,
    blocks: number,
    target: Address,
    skipBytes: number,
    lengthBytes: number,
  ): Promise<Errno> {
    const { buffers } = this.#environment;
    let errno = OK;
    for (let i = 0; i < blocks; i++) {
      const held = first === null ? null : ((first + i * BLOCK_BYTES) as Address);
      const good = held !== null && this.#firstBad(block + i, 1, held) < 0;
      const from = good ? held : await this.#recoverBlock(tried, block + i);
      if (from === null) {
        errno = EIO;
        continue;
      }
      const start = Math.max(0, skipBytes - i * BLOCK_BYTES);
      const end = Math.min(BLOCK_BYTES, skipBytes + lengthBytes - i * BLOCK_BYTES);
      buffers.bytes.copyWithin(
        target + i * BLOCK_BYTES + start - skipBytes,
        from + start,
        from + end,
      );
      if (!good) buffers.give(from);
    }
    return errno;
  }

  /**
   * A buffer with the block, verified, for the caller to give back; null when no leg has it.
   * Repairs `bad`.
   */
  async #recoverBlock(bad: Leg, block: number): Promise<Address | null> {
    const { buffers } = this.#environment;
    const others = this.#readable().filter((leg) => leg !== bad);
    // The bad leg once more while it is in: its error may have been that of a neighbouring block in
    // the same read.
    for (const leg of bad.state === 'online' ? [bad, ...others] : [...others, bad]) {
      const own = await buffers.takeLater(BLOCK_BYTES, 'engine');
      if ((await this.#readFrom(leg, block, 1, own)) === OK && this.#firstBad(block, 1, own) < 0) {
        if (leg !== bad) await this.#repair(bad, block, own);
        return own;
      }
      buffers.give(own);
    }
    this.damagedBlocks++;
    return null;
  }

  async #repair(leg: Leg, block: number, address: Address): Promise<void> {
    if (leg.state !== 'online') return;
    const errno = await driveOf(leg).write(
      (block * BLOCK_BYTES) as DriveOffset,
      address,
      BLOCK_BYTES,
    );
    if (errno === OK) this.repairedBlocks++;
    else this.#legs.fail(leg, `rewriting a damaged block failed with errno ${errno}`);
  }

  async #readFrom(leg: Leg, block: number, blocks: number, own: Address): Promise<Errno> {
    leg.reading++;
    const errno = await readLeg(leg, block * BLOCK_BYTES, own, blocks * BLOCK_BYTES);
    leg.reading--;
    if (errno === ETIMEDOUT) this.#legs.fail(leg, 'a read was not answered in time');
    return errno;
  }

  /** Index of the first block whose CRC is wrong, −1 when all are right. */
  #firstBad(block: number, blocks: number, at: Address): number {
    const { bytes } = this.#environment.buffers;
    const base = this.#legs.layout.recordsOffset / BLOCK_BYTES;
    for (let i = 0; i < blocks; i++) {
      const start = at + i * BLOCK_BYTES;
      if (crc32(bytes.subarray(start, start + BLOCK_BYTES)) !== this.#crcs.get(block + i - base))
        return i;
    }
    return -1;
  }

  /** Online legs first; one that is out may still have what was written before it failed. */
  #readable(): Leg[] {
    const open = this.#legs.all.filter((leg) => leg.drive !== null && leg.state !== 'syncing');
    return [
      ...open.filter((leg) => leg.state === 'online'),
      ...open.filter((leg) => leg.state !== 'online'),
    ];
  }

  #choose(): Leg | null {
    let best: Leg | null = null;
    const { all } = this.#legs;
    this.#turn = (this.#turn + 1) % all.length;
    for (let i = 0; i < all.length; i++) {
      const leg = all[(this.#turn + i) % all.length]!;
      if (leg.state === 'online' && (best === null || leg.reading < best.reading)) best = leg;
    }
    return best ?? this.#readable()[0] ?? null;
  }
}
