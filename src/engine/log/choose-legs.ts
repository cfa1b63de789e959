/**
 * Which of the given drives are legs of this log, which are current, and what is the truth about
 * the log: a pure decision over the headers.
 *
 * The header with the highest sequence counts. What it calls failed is out; what the volume's
 * labels call failed is out as well, for the leg that failed may be the only one given and knows
 * nothing of it.
 */

import type { Uuid } from '../../base/uuid.ts';
import type { LegHeader } from '../../core/format/leg-header.ts';
import type { Drive } from '../../io/drive.ts';
import type { LegView } from './leg-identity.ts';
import type { Leg } from './legs.ts';

/** What the members' labels know about the log. */
export interface LogExpectation {
  readonly volumeUuid: Uuid;
  readonly logUuid: Uuid | null;
  /** The log's epoch is at least this. */
  readonly epoch?: number;
  /** The log must be logging this window. */
  readonly windowId?: Uuid | null;
  /** Legs the labels call failed. */
  readonly failedLegs?: readonly Uuid[];
  /** The log of this epoch reaches at least this sequence. */
  readonly lastSequence?: number;
}

export interface Refused {
  readonly kind: 'missing' | 'damaged' | 'foreign' | 'stale';
  readonly reason: string;
  readonly path: string | null;
}

export interface ChosenLegs {
  readonly kind: 'chosen';
  readonly header: LegHeader;
  readonly legs: Leg[];
  /** Some copy of some header is not what it should be: write them again. */
  readonly repairHeaders: boolean;
}

export interface Given {
  readonly drive: Drive;
  readonly view: LegView;
}

/** Why a leg is out that a header or a label calls failed. */
export const HAS_MISSED = 'it has missed something, by its record';

const refuse = (kind: Refused['kind'], reason: string, path: string | null = null): Refused => ({
  kind,
  reason,
  path,
});

export function chooseLegs(
  given: readonly Given[],
  expected: LogExpectation,
): ChosenLegs | Refused {
  const mine: { drive: Drive; header: LegHeader; whole: boolean; readErrors: number }[] = [];
  for (const { drive, view } of given) {
    const { header } = view;
    if (header === null) continue;
    const belongs = header.volumeUuid === expected.volumeUuid;
    if (!belongs || (expected.logUuid !== null && header.logUuid !== expected.logUuid)) {
      return refuse(
        'foreign',
        `it is a leg of volume ${header.volumeName} (${header.volumeUuid})`,
        drive.path,
      );
    }
    const { whole, readErrors } = view;
    mine.push({ drive, header, whole, readErrors });
  }
  const first = mine[0];
  if (first === undefined) return nothingValid(given);
  const newest = mine.reduce(
    (best, each) => (each.header.sequence > best.header.sequence ? each : best),
    first,
  );
  const { header } = newest;
  const problem = disagreement(mine, header) ?? behind(header, newest.drive, expected);
  if (problem !== null) return problem;

  const legs = header.legs.map((peer, index): Leg => {
    const own = mine.find((each) => each.header.legs[each.header.legIndex]!.uuid === peer.uuid);
    const drive = own?.drive ?? null;
    const leg: Leg = {
      index,
      uuid: peer.uuid,
      drive,
      state: 'online',
      joining: null,
      reason: '',
      reading: 0,
      readErrors: own?.readErrors ?? 0,
    };
    const failed = peer.state === 'failed' || (expected.failedLegs ?? []).includes(peer.uuid);
    if (failed) Object.assign(leg, { state: 'failed', reason: HAS_MISSED });
    else if (drive === null) Object.assign(leg, { state: 'missing', reason: 'not given' });
    else if (drive.sizeBytes < header.layout.capacityBytes) {
      Object.assign(leg, { state: 'failed', reason: 'it is smaller than it was' });
    }
    return leg;
  });
  const online = legs.filter((leg) => leg.state === 'online');
  if (online.length === 0)
    return refuse('stale', 'all legs given have missed something', first.drive.path);
  const behindOthers = mine.some((each) => each.header.sequence !== header.sequence || !each.whole);
  return { kind: 'chosen', header, legs, repairHeaders: behindOthers };
}

function nothingValid(given: readonly Given[]): Refused {
  const corrupt = given.find(({ view }) => view.reason === 'corrupt');
  if (corrupt) return refuse('damaged', 'no copy of its header is valid', corrupt.drive.path);
  const unreadable = given.find(({ view }) => view.reason === 'unreadable');
  if (unreadable) return refuse('damaged', 'its header cannot be read', unreadable.drive.path);
  return refuse('missing', 'no leg of the log was found', given[0]?.drive.path ?? null);
}

function disagreement(
  mine: readonly { drive: Drive; header: LegHeader }[],
  truth: LegHeader,
): Refused | null {
  const uuids = new Set<Uuid>();
  const truthLeg = truth.legs[truth.legIndex]!.uuid;
  for (const { drive, header } of mine) {
    const uuid = header.legs[header.legIndex]!.uuid;
    if (uuids.has(uuid))
      return refuse('damaged', 'the same leg was given twice: one is a copy', drive.path);
    uuids.add(uuid);
    if (header.logUuid !== truth.logUuid)
      return refuse('foreign', 'the legs are of different logs', drive.path);
    const outThere = header.legs.find((leg) => leg.uuid === truthLeg)?.state === 'failed';
    const outHere = truth.legs.find((leg) => leg.uuid === uuid)?.state === 'failed';
    // Each went on without the other: no sequence says which one was answered.
    if (outThere && outHere)
      return refuse('damaged', 'the legs have different histories', drive.path);
    if (header.sequence !== truth.sequence || uuid === truthLeg) continue;
    const same = header.epoch === truth.epoch && header.windowId === truth.windowId;
    const nonce = header.nonce.every((byte, i) => byte === truth.nonce[i]);
    if (!same || !nonce) return refuse('damaged', 'the legs have different histories', drive.path);
  }
  return null;
}

function behind(header: LegHeader, drive: Drive, expected: LogExpectation): Refused | null {
  const { epoch = 0, windowId = null } = expected;
  if (header.epoch < epoch) {
    return refuse(
      'stale',
      `it ends at epoch ${header.epoch}, epoch ${epoch} has begun`,
      drive.path,
    );
  }
  if (windowId !== null && (header.state === 'idle' || header.windowId !== windowId)) {
    return refuse('stale', `it has no record of window ${windowId}`, drive.path);
  }
  return null;
}
