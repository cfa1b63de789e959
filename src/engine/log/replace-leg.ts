/**
 * A new leg in the place of one that is out, while the log goes on.
 *
 *   1. Its header copies are erased: whatever it was, it is nobody's leg until the copy is
 *      complete. Then its stripe area is, all of it: a former leg of this log has segments there
 *      that count by their identity, and may alone have one that was never answered. What stays
 *      in the record area no chain goes on to: each start in a window begins with a mark.
 *   2. It becomes `syncing`: from here on it gets every write and flush, but nobody reads it or
 *      counts on it.
 *   3. What was written before that is copied: the record area up to where it had come, which never
 *      changes; and the stripe segments in use, while the stripe log waits.
 *   4. It is flushed. What it was copied from takes a header once more: it was there to the end.
 *   5. It becomes `online`, and all headers say so.
 *
 * An error on the new leg ends it: the leg is out, as before. A crash before 5 leaves the old
 * state; in 5, the newest header decides, and what it says is true of both legs. Checkpoints are
 * not copied: the next one goes to all legs.
 */

import { EIO, type Errno, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset, KIB } from '../../base/units.ts';
import { uuidFromBytes } from '../../base/uuid.ts';
import { HEADER_COPIES } from '../../core/format/leg-header-layout.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { Drive } from '../../io/drive.ts';
import { driveOf, type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';
import type { StripeLog } from './stripe-log.ts';
import type { WindowLog } from './window-log.ts';

const PIECE_BYTES = 256 * KIB;

export interface LogParts {
  readonly stripes: StripeLog;
  /** Null while idle. */
  readonly window: () => WindowLog | null;
  /** The copy goes no further: the volume is being stopped. */
  readonly isEnough: () => boolean;
}

export async function replaceLeg(
  environment: LogEnvironment,
  legs: Legs,
  parts: LogParts,
  index: number,
  drive: Drive,
): Promise<Outcome<void>> {
  const leg = legs.all[index];
  if (leg === undefined || leg.state === 'online' || leg.state === 'syncing') {
    return refuse('argument-invalid', {
      name: 'leg',
      value: index,
      reason: 'only a leg that is out is replaced',
    });
  }
  const { capacityBytes, recordsOffset, stripesOffset } = legs.layout;
  if (drive.sizeBytes < capacityBytes) {
    const { path, sizeBytes } = drive;
    return refuse('leg-too-small', { path, sizeBytes, neededBytes: capacityBytes });
  }
  const failed = (reason: string): Outcome<void> => {
    legs.fail(leg, reason);
    leg.reason = reason;
    return refuse('io-error', { path: drive.path, reason: leg.reason });
  };
  await legs.excludeMissing();
  await leg.drive?.close();
  leg.drive = drive;
  leg.uuid = uuidFromBytes(environment.random(16));
  if ((await eraseHeaders(environment, drive)) !== OK)
    return failed('its header cannot be written');
  if (!(await eraseStripes(environment, legs, parts.isEnough, drive)))
    return failed('its stripe area cannot be erased');

  leg.state = 'syncing';
  leg.reason = '';
  const window = parts.window();
  const usedBytes = window?.usedBytes ?? 0;
  await window?.reached();
  // Before anybody has to wait for the copy: who waits holds buffers, and all of them could be held.
  const buffer = await environment.buffers.takeLater(PIECE_BYTES, 'engine');
  const copy = (offset: number, lengthBytes: number): Promise<boolean> =>
    copyRange(environment, legs, parts.isEnough, leg, offset, lengthBytes, buffer);
  const copied =
    (await copy(recordsOffset, usedBytes)) &&
    (await parts.stripes.exclusive(async (used) => {
      for (const { from, to } of used) {
        const offset = stripesOffset + from * BLOCK_BYTES;
        if (!(await copy(offset, (to - from) * BLOCK_BYTES))) return false;
      }
      return true;
    }));
  environment.buffers.give(buffer);
  if (!copied || leg.state !== 'syncing') return failed('copying the log to it failed');
  const errno = await drive.flush();
  if (errno !== OK) return failed(`flush failed with errno ${errno}`);
  // A drive that is gone reads like bad blocks: what the copy came from must still be there, and says so by a header.
  if (!(await legs.update({}))) return failed('no leg is left that has everything');
  if (leg.state !== 'syncing') return failed('writing to it failed');
  if (parts.window() !== window) return failed('the window changed while the log was copied');
  leg.state = 'online';
  leg.joining = 'headers';
  await legs.update({});
  // The header update may have taken it out again.
  const state: Leg['state'] = legs.all[index]!.state;
  if (state !== 'online') return refuse('io-error', { path: drive.path, reason: leg.reason });
  leg.joining = 'labels';
  return done(undefined);
}

async function eraseHeaders({ buffers }: LogEnvironment, drive: Drive): Promise<Errno> {
  const lengthBytes = HEADER_COPIES * BLOCK_BYTES;
  const address = await buffers.takeLater(lengthBytes, 'engine');
  buffers.slice(address, lengthBytes).fill(0);
  let errno = await drive.write(0 as DriveOffset, address, lengthBytes);
  if (errno === OK) errno = await drive.flush();
  buffers.give(address);
  return errno;
}

/** In place before its header is: what the copy ends with is a flush. */
async function eraseStripes(
  { buffers }: LogEnvironment,
  { layout: { stripesOffset, stripesBytes } }: Legs,
  isEnough: () => boolean,
  drive: Drive,
): Promise<boolean> {
  const address = await buffers.takeLater(PIECE_BYTES, 'engine');
  buffers.slice(address, PIECE_BYTES).fill(0);
  let errno: Errno = OK;
  for (let at = 0; at < stripesBytes && errno === OK && !isEnough(); at += PIECE_BYTES) {
    const pieceBytes = Math.min(PIECE_BYTES, stripesBytes - at);
    errno = await drive.write((stripesOffset + at) as DriveOffset, address, pieceBytes);
  }
  buffers.give(address);
  return errno === OK && !isEnough();
}

/**
 * As it is, without looking at it: a block that is bad on the source stays bad here, and its
 * checksum shows it. False when the target cannot be written or no source is left.
 */
async function copyRange(
  environment: LogEnvironment,
  legs: Legs,
  isEnough: () => boolean,
  to: Leg,
  offset: number,
  lengthBytes: number,
  buffer: Address,
): Promise<boolean> {
  for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
    if (isEnough()) return false;
    const pieceBytes = Math.min(PIECE_BYTES, lengthBytes - at);
    const errno = await readPiece(environment, legs, offset + at, buffer, pieceBytes);
    if (errno !== OK) return false;
    const written = await driveOf(to).write((offset + at) as DriveOffset, buffer, pieceBytes);
    if (written !== OK) return false;
  }
  return true;
}

/** From the first leg that answers; in single blocks where the whole piece cannot be had. */
async function readPiece(
  environment: LogEnvironment,
  legs: Legs,
  offset: number,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  let errno: Errno = EIO;
  for (const leg of legs.online()) {
    errno = await readLeg(leg, offset, address, lengthBytes);
    if (errno === OK) return OK;
  }
  if (lengthBytes === BLOCK_BYTES) {
    environment.buffers.slice(address, BLOCK_BYTES).fill(0);
    return legs.hasOnline ? OK : errno;
  }
  for (let at = 0; at < lengthBytes; at += BLOCK_BYTES) {
    const block = (address + at) as Address;
    errno = await readPiece(environment, legs, offset + at, block, BLOCK_BYTES);
    if (errno !== OK) return errno;
  }
  return OK;
}
