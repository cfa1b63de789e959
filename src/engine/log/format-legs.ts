/**
 * Makes drives into the legs of a new log. Nothing is erased: the new uuids and nonces make all
 * that was there foreign.
 */

import { NIL_UUID, type Uuid, uuidFromBytes } from '../../base/uuid.ts';
import { LEGS_MAX, type LogHeader } from '../../core/format/leg-header.ts';
import { LEG_BYTES_MIN, layoutFor } from '../../core/format/leg-header-layout.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { Drive } from '../../io/drive.ts';
import { type Leg, Legs, type LogEnvironment, type OnLegFailed } from './legs.ts';

export interface NewLog {
  readonly volumeUuid: Uuid;
  readonly volumeName: string;
}

/** A new log begins with all of its legs or not at all. */
export async function formatLegs(
  environment: LogEnvironment,
  drives: readonly Drive[],
  { volumeUuid, volumeName }: NewLog,
  onLegFailed: OnLegFailed,
): Promise<Outcome<Legs>> {
  const given = drives.length;
  if (given < 1 || given > LEGS_MAX) return refuse('leg-count', { given });
  const smallest = drives.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
  const { path, sizeBytes } = smallest;
  const layout = layoutFor(sizeBytes);
  if (layout === null) {
    return refuse('leg-too-small', { path, sizeBytes, neededBytes: LEG_BYTES_MIN });
  }
  const { random } = environment;
  const newUuid = (): Uuid => uuidFromBytes(random(16));
  const header: LogHeader = {
    logUuid: newUuid(),
    volumeUuid,
    volumeName,
    sequence: 0,
    layout,
    epoch: 0,
    state: 'idle',
    nonce: random(8),
    stripeNonce: random(8),
    stripesReleasedThrough: 0,
    windowId: NIL_UUID,
    legs: drives.map(() => ({ uuid: newUuid(), state: 'online' })),
  };
  const all = drives.map((drive, index): Leg => {
    const { uuid } = header.legs[index]!;
    const fresh = { joining: null, reason: '', reading: 0, readErrors: 0 };
    return { index, uuid, drive, state: 'online', ...fresh };
  });
  const legs = new Legs(environment, header, all, onLegFailed);
  const written = await legs.update({});
  const lost = all.find((leg) => leg.state !== 'online');
  if (written && lost === undefined) return done(legs);
  return refuse('io-error', { path: lost?.drive?.path ?? path, reason: lost?.reason ?? '' });
}
