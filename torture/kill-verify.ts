/**
 * Everything a volume holds, read back with nothing under way and held against the ledger. Blocks that need two absent
 * drives may be refused while a window is open and another member is lost; they stay to be checked, and are read again
 * when the drives are back.
 */

import { createHash } from 'node:crypto';
import { type NbdClient, NbdError } from '../tests/support/nbd-client.ts';
import { type SectorLedger, sectorBytes } from '../tests/support/sector-ledger.ts';
import { Broken, type KillScene } from './kill-scene.ts';

const pieceSectors = 256;
const smallSectors = 8;
/** With reads that wait before they are refused, only every so many pieces are tried. */
const sampleStride = 16;
const inFlight = 8;

export interface Verified {
  readonly wrong: readonly string[];
  readonly sectors: number;
  readonly refused: number;
  /** Of everything, when all of it could be read. */
  readonly digest: string;
}

export async function verifyAll(scene: KillScene, ledger: SectorLedger): Promise<Verified> {
  const waits = scene.exposed && scene.last?.window?.onDoubleAbsence === 'wait';
  const client = await scene.connect();
  const wrong: string[] = [];
  const hash = createHash('sha256');
  let sectors = 0;
  let refused = 0;
  try {
    const starts: number[] = [];
    for (let first = 0; first < ledger.sectorCount; first += pieceSectors) {
      if (!waits || (first / pieceSectors) % sampleStride === 0) starts.push(first);
    }
    for (let at = 0; at < starts.length; at += inFlight) {
      const pieces = await Promise.all(
        starts.slice(at, at + inFlight).map(async (first) => {
          const count = Math.min(pieceSectors, ledger.sectorCount - first);
          return { first, found: await readPiece(scene, client, first, count) };
        }),
      );
      for (const { first, found } of pieces) {
        for (const { at: offset, bytes } of found) {
          if (bytes === null) {
            refused += smallSectors;
            continue;
          }
          hash.update(bytes);
          sectors += bytes.length / sectorBytes;
          wrong.push(...ledger.settle(first + offset, bytes));
        }
      }
    }
  } finally {
    await client.close();
  }
  return { wrong, sectors, refused, digest: hash.digest('hex') };
}

type Found = { readonly at: number; readonly bytes: Buffer | null };

async function readPiece(
  scene: KillScene,
  client: NbdClient,
  first: number,
  count: number,
): Promise<Found[]> {
  const whole = await readOrNull(scene, client, first, count);
  if (whole !== null) return [{ at: 0, bytes: whole }];
  const found: Found[] = [];
  for (let at = 0; at < count; at += smallSectors) {
    const bytes = await readOrNull(scene, client, first + at, Math.min(smallSectors, count - at));
    found.push({ at, bytes });
  }
  return found;
}

/** Null: refused, and that is legal now. */
async function readOrNull(
  scene: KillScene,
  client: NbdClient,
  first: number,
  count: number,
): Promise<Buffer | null> {
  try {
    return await client.read(first * sectorBytes, count * sectorBytes);
  } catch (error) {
    if (error instanceof NbdError && scene.exposed) return null;
    const why = error instanceof Error ? error.message : String(error);
    throw new Broken(`reading ${first}+${count} back: ${why}`);
  }
}
