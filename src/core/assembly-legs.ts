/**
 * Step 4 of an assembly: the legs of the log. Both legs of a log hold the same acknowledged records, so one is enough;
 * but a leg that has failed (the newest leg header or the newest label says so) has missed some.
 *
 *   @L1  a leg of another volume or of an earlier log of this one          → log-foreign
 *   @L2  a window is open and no leg of its log is here                    → log-missing
 *   @L3  only legs that failed, or of an epoch before the window           → log-stale
 *   @L4  a leg of an epoch after the window, or one that is being replayed, of which the members here know nothing: they
 *        are too old                                                       → log-ahead
 *   @L5  two of the same identity: one is a copy, and older or newer        → leg-cloned
 *   @L6  a path that carries no leg, or one of a log that was never used: with a window open damaged (foreign), otherwise a
 *        blank to be made one
 *
 * While the window is still `freezing`, the log's header may not be written yet: its old epoch is fine then,
 * nothing has been logged.
 */

import type { Uuid } from '../base/uuid.ts';
import type { Authority } from './assembly-identity.ts';
import { isMoving } from './assembly-slots.ts';
import type { LabelWindow } from './format/label.ts';
import type { LegHeader } from './format/leg-header.ts';
import { done, type Outcome, refuse } from './problems.ts';

export interface FoundLeg {
  readonly path: string;
  /** The newest valid copy; null when there is none. */
  readonly header: LegHeader | null;
}

export interface AssembledLeg {
  readonly path: string;
  readonly uuid: Uuid;
  /** failed: known to have missed records. */
  readonly state: 'online' | 'failed';
  readonly header: LegHeader;
}

export interface DecidedLegs {
  readonly legs: readonly AssembledLeg[];
  readonly blank: readonly string[];
  readonly missing: readonly Uuid[];
  /** At least one leg has all records. */
  readonly usable: boolean;
  /** Not here, and in use by the headers that are: each may know that another one has missed records. */
  readonly unheard: readonly Uuid[];
}

type Held = FoundLeg & { readonly header: LegHeader };

export function decideLegs(
  found: readonly FoundLeg[],
  volumeUuid: Uuid,
  name: string,
  authority: Authority,
  trail: string[],
): Outcome<DecidedLegs> {
  const log = authority.label?.log ?? null;
  const { window } = authority;
  // A crash can come between a new log and the first label that knows it. Nothing was ever written to such a one.
  const isUnknown = (header: LegHeader): boolean =>
    window === null &&
    log !== null &&
    header.volumeUuid === volumeUuid &&
    header.logUuid !== log.uuid &&
    isUnused(header);
  const isBlank = ({ header }: FoundLeg): boolean => header === null || isUnknown(header);
  const held = found.filter((leg): leg is Held => !isBlank(leg));
  const blank = found.filter(isBlank).map(({ path }) => path);
  for (const { path, header } of held) {
    const foreign =
      header.volumeUuid !== volumeUuid
        ? `volume ${header.volumeName} (${header.volumeUuid})`
        : log !== null && header.logUuid !== log.uuid
          ? `an earlier log of this volume (${header.logUuid})`
          : null;
    if (foreign !== null) return refuse('log-foreign', { path, found: foreign });
  }

  const newest = held.reduce<LegHeader | null>(
    (best, { header }) => (best === null || header.sequence > best.sequence ? header : best),
    null,
  );
  const failed = new Set<Uuid>();
  for (const leg of newest?.legs ?? []) if (leg.state === 'failed') failed.add(leg.uuid);
  for (const leg of log?.legs ?? []) if (leg.state === 'failed') failed.add(leg.uuid);
  // One that was replaced knows nothing of it, if it is all that is given: the newest label does.
  const isReplaced = (uuid: Uuid): boolean =>
    log !== null && log.legs.length > 0 && log.legs.every((leg) => leg.uuid !== uuid);
  const legs = held.map(({ path, header }): AssembledLeg => {
    const uuid = uuidOf(header);
    const isOut = failed.has(uuid) || isReplaced(uuid);
    return { path, uuid, state: isOut ? 'failed' : 'online', header };
  });
  const expected = (log?.legs ?? newest?.legs ?? []).filter(({ uuid }) => !failed.has(uuid));
  const missing = expected
    .map(({ uuid }) => uuid)
    .filter((uuid) => !legs.some((leg) => leg.uuid === uuid));
  const unheard = (newest?.legs ?? [])
    .map(({ uuid }) => uuid)
    .filter((uuid) => !failed.has(uuid) && legs.every((leg) => leg.uuid !== uuid));
  const online = legs.filter((leg) => leg.state === 'online');
  const paths = new Map<Uuid, string>();
  for (const { path, uuid } of online) {
    const other = paths.get(uuid);
    if (other !== undefined) return refuse('leg-cloned', { path, other });
    paths.set(uuid, path);
  }

  if (window === null) {
    const usable = online.some(({ header }) => log !== null && header.epoch >= log.epoch);
    if (missing.length > 0) trail.push(`@L0 legs not given: ${missing.join(', ')}`);
    return done({ legs, blank, missing, usable, unheard });
  }
  if (legs.length === 0) {
    // A given path without a valid header may well be the leg, damaged: say that rather than "missing".
    if (blank.length > 0) {
      return refuse('log-damaged', { volume: name, reason: `no valid leg header on ${blank[0]}` });
    }
    return refuse('log-missing', { volume: name, missing: missing.join(', ') });
  }
  const least = window.state === 'freezing' ? window.logEpoch - 1 : window.logEpoch;
  const current = online.filter(({ header }) => header.epoch >= least);
  if (current.length === 0) {
    const { path, uuid, header, state } = legs[0]!;
    const reason = isReplaced(uuid)
      ? 'it was replaced'
      : state === 'failed'
        ? 'it failed while the window was open'
        : 'its epoch is older';
    const detail = { path, reason, epoch: header.epoch, windowEpoch: window.logEpoch };
    return refuse('log-stale', { ...detail, missing: missing.join(', ') });
  }
  const later = current.find(({ header }) => isAfter(header, window));
  if (later) {
    const { epoch, state } = later.header;
    const isReplayed = epoch === window.logEpoch && state === 'replaying';
    const reason = isReplayed
      ? `the log on ${later.path} has been replayed to others meanwhile`
      : `the log on ${later.path} has gone on to epoch ${epoch}, they know of epoch ${window.logEpoch}`;
    return refuse('log-ahead', { volume: name, reason });
  }
  const stale = online.filter(({ header }) => header.epoch < least);
  trail.push(`@L window ${window.id}: ${current.length} leg(s) with all records`);
  return done({
    legs: legs.map((leg) => (stale.includes(leg) ? { ...leg, state: 'failed' } : leg)),
    blank,
    missing,
    usable: true,
    unheard,
  });
}

const isUnused = ({ epoch, state, sequence }: LegHeader): boolean =>
  epoch === 0 && state === 'idle' && sequence === 1;

const uuidOf = (header: LegHeader): Uuid => header.legs[header.legIndex]!.uuid;

/** The log has seen the end of this window, or of its image: it serves a later one, or members that have changed. */
function isAfter(header: LegHeader, window: LabelWindow): boolean {
  if (header.epoch > window.logEpoch) return true;
  if (header.epoch < window.logEpoch || header.state === 'idle') return false;
  return header.windowId !== window.id || (header.state === 'replaying' && !isMoving(window));
}
