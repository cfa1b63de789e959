/** A volume in a window as the engine would describe it, for the tests of everything that passes such things on. */

import type { RunReport } from '../../../src/core/run-report.ts';
import type { VolumeStatus, WindowReport } from '../../../src/core/status.ts';

const GIB = 2 ** 30;

export function sampleStatus(change: Partial<VolumeStatus> = {}): VolumeStatus {
  return {
    name: 'v1',
    uuid: '6f1c2a34-0000-4000-8000-000000000001',
    level: 5,
    state: 'frozen',
    sizeBytes: 3 * GIB,
    chunkBytes: 65_536,
    io: 'uring',
    redundancy: { canLose: 1 },
    writeHole: 'closed',
    drives: [0, 1, 2, 3].map((slot) => ({
      slot,
      path: `/srv/d${slot}.img`,
      uuid: `${slot}${slot}aa0000-0000-4000-8000-00000000000${slot}`,
      state: slot === 1 ? ('away' as const) : ('online' as const),
      errors: { read: 0, write: 0 },
      reason: slot === 1 ? 'away for firmware' : '',
    })),
    log: {
      state: 'logging',
      capacityBytes: GIB,
      usedBytes: GIB / 4,
      legs: [0, 1].map((leg) => ({
        path: `/srv/l${leg}.img`,
        errors: { read: 0 },
        state: 'online' as const,
        reason: '',
      })),
    },
    window: {
      id: 'w17',
      purpose: 'firmware',
      state: 'open',
      drive: { slot: 1, path: '/srv/d1.img' },
      openedAt: '2026-01-01T00:00:00.000Z',
      deadlineAt: '2026-01-01T00:30:00.000Z',
      loggedBytes: GIB / 4,
      replayedBytes: 0,
      recall: false,
      onDoubleAbsence: 'wait',
      waitMs: 60_000,
      heldReads: 0,
      restoredBy: [[1]],
    },
    jobs: [],
    alarms: [],
    story: {
      state: 'Drive 1 is away; the log stands in for it.',
      why: 'A window for firmware is open.',
      next: 'Bring the drive back and run `locum window close v1`.',
    },
    ...change,
  };
}

export const optimalStatus = (change: Partial<VolumeStatus> = {}): VolumeStatus => {
  const status = sampleStatus({ state: 'optimal', window: null });
  return {
    ...status,
    drives: status.drives.map((drive) => ({ ...drive, state: 'online', reason: '' })),
    log: { ...status.log!, state: 'idle', usedBytes: 0 },
    story: { state: 'All data is protected.', why: '', next: '' },
    ...change,
  };
};

export function sampleReport(change: Partial<WindowReport> = {}): WindowReport {
  return {
    id: 'w17',
    volume: 'v1',
    purpose: 'firmware',
    state: 'open',
    drive: { slot: 1, path: '/srv/d1.img', uuid: '11aa0000-0000-4000-8000-000000000001' },
    openedAt: '2026-01-01T00:00:00.000Z',
    deadlineAt: '2026-01-01T00:30:00.000Z',
    closedAt: null,
    outcome: '',
    loggedBytes: 4096,
    replayedBytes: 0,
    verify: null,
    secondFailures: [],
    ...change,
  };
}

/** A run on drive 1 of v1, whose image is being brought to the drive. */
export function sampleRun(change: Partial<RunReport> = {}): RunReport {
  const step = (name: RunReport['step'], result: 'done' | 'running') => ({
    step: name,
    result,
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: result === 'done' ? '2026-01-01T00:00:01.000Z' : null,
    command: '',
    exitStatus: null,
    output: '',
    note: '',
  });
  return {
    id: 'r3',
    volumes: ['v1'],
    drive: { slot: 1, path: '/srv/d1.img', uuid: '11aa0000-0000-4000-8000-000000000001' },
    purpose: 'firmware',
    rehearsal: false,
    requestedBy: 'root@host',
    image: { path: '/srv/fw.bin', sizeBytes: 4096, sha256: 'ab' },
    state: 'running',
    step: 'stage',
    begun: true,
    outcome: null,
    sentence: '',
    next: '',
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    before: null,
    after: null,
    steps: [step('plan', 'done'), step('open', 'done'), step('stage', 'running')],
    checks: [],
    windowIds: ['w17'],
    loggedBytes: 0,
    replayedBytes: 0,
    rolloutId: null,
    ...change,
  };
}
