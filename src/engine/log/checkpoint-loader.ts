/**
 * Loads the newest checkpoint that is whole: each of its blocks from any leg. When the newest
 * cannot be had, the older one does, and when there is none, recovery begins at the first segment.
 * So a lost checkpoint costs time, never data; what its header says about committedThrough counts
 * even if its body is lost.
 */

import { ETIMEDOUT, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, KIB } from '../../base/units.ts';
import {
  bodyBlockIsValid,
  bodySeed,
  type CheckpointHeader,
  type CheckpointIdentity,
  decodeBodyBlock,
  decodeCheckpoint,
} from '../../core/format/checkpoint.ts';
import type { Overlay, OverlayKind } from '../../core/overlay.ts';
import type { CrcTable } from './crc-table.ts';
import { type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';
import { EMPTY_LOG, type LogPosition } from './log-position.ts';

/** An entry has 16 bytes at least. */
const ENTRIES_PER_BLOCK_MAX = BLOCK_BYTES / 16;
const PIECE_BLOCKS = (256 * KIB) / BLOCK_BYTES;

export interface LoadedCheckpoint {
  readonly position: LogPosition;
  /** Highest number seen, used or not: the next one is higher. */
  readonly number: number;
  readonly entries: number;
  readonly bodyBytes: number;
}

export const NO_CHECKPOINT: LoadedCheckpoint = {
  position: EMPTY_LOG,
  number: 0,
  entries: 0,
  bodyBytes: 0,
};

interface Candidate {
  readonly header: CheckpointHeader;
  readonly offset: number;
  /** The quickest first: the body is read from one. */
  readonly legs: Leg[];
}

export async function loadCheckpoint(
  environment: LogEnvironment,
  legs: Legs,
  identity: CheckpointIdentity,
  overlay: Overlay,
  crcs: CrcTable,
): Promise<LoadedCheckpoint> {
  const candidates = await findCandidates(environment, legs, identity);
  const number = candidates.reduce((most, { header }) => Math.max(most, header.number), 0);
  const committed = candidates.reduce(
    (most, { header }) => Math.max(most, header.committedThrough),
    0,
  );
  for (const candidate of candidates) {
    if (await loadBody(environment, legs, identity, candidate, overlay, crcs)) {
      const { sequence, headerCrc, endBlocks, run, records, entries, bodyBlocks } =
        candidate.header;
      const position = {
        sequence,
        headerCrc,
        endBlocks,
        run,
        records,
        committedThrough: committed,
      };
      return { position, number, entries, bodyBytes: bodyBlocks * BLOCK_BYTES };
    }
    overlay.clear();
    crcs.clear();
  }
  return { ...NO_CHECKPOINT, position: { ...EMPTY_LOG, committedThrough: committed }, number };
}

/** Newest first. */
async function findCandidates(
  environment: LogEnvironment,
  legs: Legs,
  identity: CheckpointIdentity,
): Promise<Candidate[]> {
  const { buffers } = environment;
  const { checkpointOffset, slotBytes } = legs.layout;
  const found = new Map<number, Candidate>();
  const tookMs = new Map<Leg, number>();
  for (const leg of legs.online()) {
    const begunMs = environment.clock.nowMs();
    for (const slot of [0, 1]) {
      const offset = checkpointOffset + slot * slotBytes;
      const address = await buffers.takeLater(BLOCK_BYTES, 'engine');
      const errno = await read(legs, leg, offset, address, 1);
      const block = buffers.slice(address, BLOCK_BYTES);
      const header = errno === OK ? decodeCheckpoint(identity, block, slotBytes) : null;
      buffers.give(address);
      if (header === null || header.number % 2 !== slot) continue;
      const known = found.get(header.number);
      if (known === undefined) found.set(header.number, { header, offset, legs: [leg] });
      else known.legs.push(leg);
    }
    tookMs.set(leg, environment.clock.nowMs() - begunMs);
  }
  for (const candidate of found.values())
    candidate.legs.sort((a, b) => (tookMs.get(a) ?? 0) - (tookMs.get(b) ?? 0));
  return [...found.values()].sort((a, b) => b.header.number - a.header.number);
}

async function loadBody(
  environment: LogEnvironment,
  legs: Legs,
  identity: CheckpointIdentity,
  candidate: Candidate,
  overlay: Overlay,
  crcs: CrcTable,
): Promise<boolean> {
  const { buffers } = environment;
  const { header, offset } = candidate;
  const base = legs.layout.recordsOffset / BLOCK_BYTES;
  const top = base + legs.layout.recordsBytes / BLOCK_BYTES;
  let end = 0;
  let entries = 0;
  let sound = header.entries <= header.bodyBlocks * ENTRIES_PER_BLOCK_MAX;
  // The overlay takes them all at once, and leaves itself room to grow: 32 bytes each, until then.
  const numbers = new Float64Array(sound ? 4 * header.entries : 0);
  const entry = (start: number, sectors: number, kind: number, location: number): void => {
    if (start < end || entries === header.entries) sound = false;
    end = start + sectors;
    numbers[4 * entries] = start;
    numbers[4 * entries + 1] = sectors;
    numbers[4 * entries + 2] = kind;
    numbers[4 * entries + 3] = location;
    entries++;
  };
  const blockCrc = (block: number, crc: number): void => {
    if (block >= base && block < top) crcs.set(block - base, crc);
    else sound = false;
  };
  for (let from = 0; from < header.bodyBlocks && sound; from += PIECE_BLOCKS) {
    const count = Math.min(PIECE_BLOCKS, header.bodyBlocks - from);
    const address = await readPiece(environment, legs, identity, candidate, offset, from, count);
    if (address === null) return false;
    for (let i = 0; i < count && sound; i++) {
      const decoded = decodeBodyBlock(buffers.view, address + i * BLOCK_BYTES, entry, blockCrc);
      if (decoded < 0) sound = false;
    }
    buffers.give(address);
  }
  if (!sound || entries !== header.entries) return false;
  let at = 0;
  overlay.bulkLoad(entries, (extent) => {
    extent.start = numbers[at]!;
    extent.sectors = numbers[at + 1]!;
    extent.kind = numbers[at + 2]! as OverlayKind;
    extent.location = numbers[at + 3]!;
    at += 4;
  });
  return true;
}

/** A buffer with the blocks, all valid; null when some block is good on no leg. */
async function readPiece(
  environment: LogEnvironment,
  legs: Legs,
  identity: CheckpointIdentity,
  candidate: Candidate,
  slotOffset: number,
  from: number,
  count: number,
): Promise<Address | null> {
  const { buffers } = environment;
  const valid = (address: Address, i: number): boolean => {
    const seed = bodySeed(identity, candidate.header.number, from + i);
    return bodyBlockIsValid(buffers.bytes, buffers.view, address + i * BLOCK_BYTES, seed);
  };
  const kept = await buffers.takeLater(count * BLOCK_BYTES, 'engine');
  const have = new Array<boolean>(count).fill(false);
  for (const leg of candidate.legs) {
    const address = await buffers.takeLater(count * BLOCK_BYTES, 'engine');
    const at = slotOffset + (1 + from) * BLOCK_BYTES;
    if ((await read(legs, leg, at, address, count)) === OK) {
      for (let i = 0; i < count; i++) {
        if (have[i] || !valid(address, i)) continue;
        const block = address + i * BLOCK_BYTES;
        buffers.bytes.copyWithin(kept + i * BLOCK_BYTES, block, block + BLOCK_BYTES);
        have[i] = true;
      }
    }
    buffers.give(address);
    if (have.every((held) => held)) return kept;
  }
  buffers.give(kept);
  return null;
}

async function read(
  legs: Legs,
  leg: Leg,
  offset: number,
  address: Address,
  blocks: number,
): Promise<number> {
  const errno = await readLeg(leg, offset, address, blocks * BLOCK_BYTES);
  if (errno === ETIMEDOUT) legs.fail(leg, 'a read was not answered in time');
  return errno;
}
