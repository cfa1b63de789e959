/** Every bound and default of the engine in one place. Milliseconds and bytes; tests and the simulator override them. */

import { KIB, MIB } from '../base/units.ts';

export const defaultLimits = {
  /** An operation of a drive that takes longer fails the drive. Below the time-outs of usual NBD clients. */
  driveDeadlineMs: 8_000,
  /** How often members are probed, deadlines looked at and idle intent bits cleared. */
  tickMs: 1_000,
  /**
   * 1: a volume with parity and a log writes every stripe to the log first, so a crash and the loss of a member after it
   * cost nothing. 0: only while it is degraded; a crash then leaves written regions in doubt until they are resynced.
   */
  logDirect: 1,
  /** An intent bit is cleared when its region was not written for this long. */
  intentIdleMs: 5_000,
  /** Read errors within `errorWindowMs` that fail a drive. */
  readErrorsAllowed: 10,
  errorWindowMs: 3_600_000,
  /** Reads that need two absent members and are held at one time; one more is answered EIO. */
  heldReadsMax: 4_096,
  /** Contiguous bytes of one member that a background job handles in one step. */
  sweepStepBytes: 512 * KIB,
  /** Background jobs write or check at most this much of one member in a second. 0: unlimited. */
  sweepBytesPerSecond: 1024 * MIB,
  /** Stripes that a rebuild may leave out because another member cannot read its part of them; one more ends it. */
  unmadeStripesMax: 4_096,
  /** How often those are tried again: they can be made once they were written. */
  unmadeRetryMs: 10_000,
  /** A job's progress is made durable this often. */
  checkpointMs: 5_000,
  /** Replay: payload bytes between two durable cursors, and the time after which a cursor is made durable anyway. */
  replayZoneBytes: 64 * MIB,
  replayZoneMs: 1_000,
  replayStripesAtOnce: 16,
  /** Share of the volume that a return is checked on besides the regions written before the freeze: `recent`, `sample`. */
  verifyRecentShare: 0.01,
  verifySampleShare: 0.1,
  /** And of a drive that comes back after its window at least this much: all of a small one. */
  verifyLateLeastBytes: 256 * MIB,
  /** How long a member that vanished in a window waits before it is tried again; doubles up to the maximum. */
  readmitFirstMs: 1_000,
  readmitMaxMs: 30_000,
} as const;

export type Limits = { readonly [Name in keyof typeof defaultLimits]: number };

export const limitsFrom = (overrides: Readonly<Record<string, number>> | undefined): Limits => ({
  ...defaultLimits,
  ...overrides,
});
