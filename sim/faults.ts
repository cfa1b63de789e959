/**
 * What can be wrong with a drive, as data: part of a plan, so that a failing plan can be made smaller by leaving faults
 * out. Each stands for a class of drive faults and says which operations it strikes.
 *
 * A fault strikes operations of its kinds that touch its range, leaves the first `skip` of them alone and is spent after
 * `count` (for ever, when left out).
 */

import type { Errno } from '../src/base/errno.ts';

export const operationKinds = ['read', 'write', 'flush', 'punch', 'probe'] as const;
export type OperationKind = (typeof operationKinds)[number];

export const faultEffects = [
  /** Answers `errno` and does nothing. */
  'error',
  /** A latent sector error: reads fail until the sectors are written. */
  'latent',
  /** Answers OK and stores nothing; as a flush: makes nothing stable. */
  'lost',
  /** Stores, or reads, `shiftBytes` beside where it should. */
  'misdirected',
  /** Stores the first half of the sectors and answers `errno`. */
  'torn',
] as const;
export type FaultEffect = (typeof faultEffects)[number];

export interface DriveFault {
  readonly effect: FaultEffect;
  readonly kinds: readonly OperationKind[];
  /** The name in the coverage table: "F-1 EIO on write, once". */
  readonly title: string;
  readonly errno?: Errno;
  readonly offset?: number;
  readonly lengthBytes?: number;
  readonly skip?: number;
  readonly count?: number;
  readonly shiftBytes?: number;
}

export interface Operation {
  readonly kind: OperationKind;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** A fault at work: counts down. Part of what a fork saves. */
export interface ActiveFault {
  readonly fault: DriveFault;
  from: number;
  to: number;
  skip: number;
  left: number;
}

export function activate(fault: DriveFault, sizeBytes: number): ActiveFault {
  const from = fault.offset ?? 0;
  return {
    fault,
    from,
    to: from + (fault.lengthBytes ?? sizeBytes - from),
    skip: fault.skip ?? 0,
    left: fault.count ?? Number.POSITIVE_INFINITY,
  };
}

/** The fault that strikes this operation, if it `may` now; the list is changed as it is spent. */
export function strike(
  active: ActiveFault[],
  operation: Operation,
  may: (fault: DriveFault) => boolean,
): DriveFault | null {
  const { kind, offset, lengthBytes } = operation;
  for (let at = 0; at < active.length; at++) {
    const one = active[at] as ActiveFault;
    if (!one.fault.kinds.includes(kind)) continue;
    const ranged = kind !== 'flush' && kind !== 'probe';
    if (ranged && (one.to <= offset || offset + lengthBytes <= one.from)) continue;
    if (one.skip > 0) {
      one.skip--;
      continue;
    }
    if (!may(one.fault)) continue;
    one.left--;
    if (one.left <= 0) active.splice(at, 1);
    return one.fault;
  }
  return null;
}

/** Sectors just written are good again: they leave the latent errors. */
export function heal(active: ActiveFault[], from: number, to: number): ActiveFault[] {
  if (!active.some(({ fault }) => fault.effect === 'latent')) return active;
  return active.flatMap((one) => {
    if (one.fault.effect !== 'latent' || one.to <= from || to <= one.from) return [one];
    const before = one.from < from ? [{ ...one, to: from }] : [];
    const after = one.to > to ? [{ ...one, from: to }] : [];
    return [...before, ...after];
  });
}
