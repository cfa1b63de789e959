/** A small volume of RAID 5 that tests of the simulator write their own steps for: no chance, no probes beside. */

import type { Plan, Step } from '../../sim/plan.ts';

const KIB = 1024;

export const openWindow: Step = {
  waitUs: 0,
  do: 'open-window',
  slot: 0,
  purpose: 'firmware',
  maxMs: 3_600_000,
  onDoubleAbsence: 'wait',
  waitMs: 500,
};

export const withoutProbes = {
  eventsPerProbe: 0,
  probesAtRest: false,
  recoveryDeaths: 0,
  keepLines: 0,
};

export const smallPlan = (
  steps: Step[],
  { latency, latencyUs }: Pick<Plan['config'], 'latency' | 'latencyUs'>,
): Plan => ({
  seed: 1,
  promise: 'covered',
  config: {
    level: 5,
    members: 3,
    chunkBytes: 8 * KIB,
    memberBytes: 1088 * KIB,
    legs: 2,
    legBytes: 16 * 1024 * KIB,
    blockBytes: 512,
    latency,
    latencyUs,
    limits: { sweepBytesPerSecond: 0 },
  },
  steps,
});
