/**
 * The shapes of every request and reply of the control API, as JSON Schema (built with TypeBox). The HTTP edge
 * validates requests with these very objects; the command line imports their types only.
 *
 * The words and the fields of a status live in core/status.ts, where the engine fills them in. The `Same<…>`
 * lines below stop the build when the two descriptions drift apart, in either direction.
 * Rule for every version of `locum/v1`: a field is never renamed or removed, only added.
 * Requests refuse properties they do not know, so that a misspelt option is an error and never ignored.
 */

import { type Static, type TProperties, Type } from 'typebox';
import type { Problem } from '../core/problems.ts';
import type * as core from '../core/status.ts';
import {
  driveStates,
  jobKinds,
  purposes,
  verifyModes,
  volumeStates,
  windowStates,
} from '../core/status.ts';

export const API_VERSION = 'locum/v1';

// --- building blocks -------------------------------------------------------------------------------------------------

export const closed = { additionalProperties: false } as const;
export const Bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Milliseconds = Type.Integer({ minimum: 0, maximum: 365 * 86_400_000 });
const Text = Type.String({ maxLength: 4096 });
/** Absolute, because the server's working directory is not the caller's. */
export const AbsolutePath = Type.String({ minLength: 1, maxLength: 4096, pattern: '^/' });
/** A slot number, a path, or a unique prefix of the member's uuid. */
export const DriveName = Type.String({ minLength: 1, maxLength: 4096 });
/** Checked by the engine too; here it keeps path separators out of URLs and export names. */
export const VOLUME_NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$';
const VolumeName = Type.String({ pattern: VOLUME_NAME_PATTERN });
const Severity = Type.Enum(['info', 'warning', 'critical']);
export const orNull = <T extends Parameters<typeof Type.Array>[0]>(type: T) =>
  Type.Union([type, Type.Null()]);
export const reply = <P extends TProperties>(properties: P) =>
  Type.Object({ apiVersion: Type.Literal(API_VERSION), ...properties });

// --- status ----------------------------------------------------------------------------------------------------------

export const DriveStatus = Type.Object({
  slot: orNull(Type.Integer({ minimum: 0 })),
  path: Type.String(),
  uuid: Type.String(),
  state: Type.Enum(driveStates),
  errors: Type.Object({ read: Count, write: Count }),
  reason: Type.String(),
});

export const LegStatus = Type.Object({
  path: Type.String(),
  state: Type.Enum(['online', 'failed', 'missing']),
  errors: Type.Object({ read: Count }),
  reason: Type.String(),
});

const LogState = Type.Enum(['idle', 'logging', 'replaying', 'degraded', 'failed']);

export const LogStatus = Type.Object({
  state: LogState,
  capacityBytes: Bytes,
  usedBytes: Bytes,
  legs: Type.Array(LegStatus),
});

const SlotAndPath = Type.Object({ slot: Type.Integer({ minimum: 0 }), path: Type.String() });

export const WindowStatus = Type.Object({
  id: Type.String(),
  purpose: Type.Enum(purposes),
  state: Type.Enum(windowStates),
  drive: SlotAndPath,
  openedAt: Type.String(),
  deadlineAt: Type.String(),
  loggedBytes: Bytes,
  replayedBytes: Bytes,
  recall: Type.Boolean(),
  onDoubleAbsence: Type.Enum(['wait', 'error']),
  waitMs: Type.Number(),
  heldReads: Count,
  restoredBy: Type.Array(Type.Array(Type.Integer({ minimum: 0 }))),
});

export const JobStatus = Type.Object({
  kind: Type.Enum(jobKinds),
  state: Type.Enum(['running', 'paused', 'done', 'failed', 'stopped']),
  slot: orNull(Type.Integer({ minimum: 0 })),
  doneBytes: Bytes,
  totalBytes: Bytes,
  bytesPerSecond: Type.Number(),
  mismatches: Count,
  reason: Type.String(),
});

export const Alarm = Type.Object({
  code: Type.String(),
  severity: Severity,
  message: Type.String(),
});

export const VolumeStatus = Type.Object({
  name: Type.String(),
  uuid: Type.String(),
  level: Type.Integer(),
  state: Type.Enum(volumeStates),
  sizeBytes: Bytes,
  chunkBytes: Bytes,
  io: Type.Enum(['uring', 'node', 'memory']),
  redundancy: Type.Object({ canLose: Count }),
  writeHole: Type.Enum(['closed', 'open']),
  drives: Type.Array(DriveStatus),
  log: orNull(LogStatus),
  window: orNull(WindowStatus),
  jobs: Type.Array(JobStatus),
  alarms: Type.Array(Alarm),
  story: Type.Object({ state: Type.String(), why: Type.String(), next: Type.String() }),
});

// --- windows, log, events --------------------------------------------------------------------------------------------

export const Check = Type.Object({
  id: Type.String(),
  title: Type.String(),
  result: Type.Enum(['pass', 'warn', 'block']),
  reason: Type.String(),
  fix: Type.String(),
});

export const WindowPlan = Type.Object({
  allowed: Type.Boolean(),
  drive: SlotAndPath,
  purpose: Type.Enum(purposes),
  checks: Type.Array(Check),
});

export const WindowReport = Type.Object({
  id: Type.String(),
  volume: Type.String(),
  purpose: Type.Enum(purposes),
  state: Type.Enum(windowStates),
  drive: Type.Object({
    slot: Type.Integer({ minimum: 0 }),
    path: Type.String(),
    uuid: Type.String(),
  }),
  openedAt: Type.String(),
  deadlineAt: Type.String(),
  closedAt: orNull(Type.String()),
  outcome: Type.String(),
  loggedBytes: Bytes,
  replayedBytes: Bytes,
  verify: orNull(
    Type.Object({ mode: Type.Enum(verifyModes), checkedBytes: Bytes, differingStripes: Count }),
  ),
  secondFailures: Type.Array(
    Type.Object({
      slot: Type.Integer({ minimum: 0 }),
      path: Type.String(),
      at: Type.String(),
      reason: Type.String(),
    }),
  ),
});

export const LogReport = Type.Object({
  uuid: Type.String(),
  epoch: Count,
  state: LogState,
  capacityBytes: Bytes,
  usedBytes: Bytes,
  liveBytes: Bytes,
  records: Count,
  lastSequence: Count,
  committedThrough: Count,
  legs: Type.Array(LegStatus),
});

export const LogCheck = Type.Object({
  records: Count,
  bytes: Bytes,
  legs: Type.Array(
    Type.Object({ path: Type.String(), damagedRecords: Count, missingRecords: Count }),
  ),
  damagedOnAllLegs: Count,
});

export const LocumEvent = Type.Object({
  sequence: Count,
  at: Type.String(),
  volume: Type.String(),
  kind: Type.String(),
  severity: Severity,
  message: Type.String(),
  detail: Type.Record(
    Type.String(),
    Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]),
  ),
});

// --- requests --------------------------------------------------------------------------------------------------------

export const VolumeParams = Type.Object({ volume: VolumeName }, closed);

export const CreateBody = Type.Object(
  {
    name: Type.String({ maxLength: 255 }),
    level: Type.Integer(),
    drives: Type.Array(AbsolutePath, { maxItems: 64 }),
    logs: Type.Array(AbsolutePath, { maxItems: 8 }),
    chunkBytes: Type.Optional(Bytes),
    imageSizeBytes: Type.Optional(Bytes),
    logSizeBytes: Type.Optional(Bytes),
    assumeClean: Type.Optional(Type.Boolean()),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const AssembleBody = Type.Object(
  {
    name: Type.Optional(Type.String({ maxLength: 255 })),
    drives: Type.Array(AbsolutePath, { maxItems: 64 }),
    logs: Type.Array(AbsolutePath, { maxItems: 8 }),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);

/**
 * `forget` also takes the volume off the server's list, its drives keep everything; `force` disconnects the
 * clients that still use it.
 */
export const StopBody = Type.Object(
  { forget: Type.Optional(Type.Boolean()), force: Type.Optional(Type.Boolean()) },
  closed,
);
export const DestroyBody = Type.Object({ confirm: Type.String({ maxLength: 255 }) }, closed);

export const DriveAddBody = Type.Object(
  {
    path: AbsolutePath,
    spare: Type.Optional(Type.Boolean()),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const DriveBody = Type.Object({ drive: DriveName }, closed);
export const DriveReplaceBody = Type.Object(
  { drive: DriveName, with: AbsolutePath, force: Type.Optional(Type.Boolean()) },
  closed,
);

/** `leg` is a number or a path; a missing image is made when `sizeBytes` is given. */
export const LogReplaceBody = Type.Object(
  {
    leg: DriveName,
    with: AbsolutePath,
    sizeBytes: Type.Optional(Bytes),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const LogAddBody = Type.Object(
  {
    logs: Type.Array(AbsolutePath, { maxItems: 8 }),
    sizeBytes: Type.Optional(Bytes),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const WindowBody = Type.Object(
  {
    drive: DriveName,
    purpose: Type.Enum(purposes),
    maxMs: Type.Optional(Type.Integer({ minimum: 1000, maximum: 7 * 86_400_000 })),
    onDoubleAbsence: Type.Optional(Type.Enum(['wait', 'error'])),
    waitMs: Type.Optional(Milliseconds),
    allowDegraded: Type.Optional(Type.Boolean()),
    allowSingleLog: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const CloseBody = Type.Object(
  {
    drivePath: Type.Optional(AbsolutePath),
    verify: Type.Optional(Type.Enum(verifyModes)),
    rebuild: Type.Optional(Type.Boolean()),
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const ExtendBody = Type.Object(
  { byMs: Type.Integer({ minimum: 1000, maximum: 7 * 86_400_000 }) },
  closed,
);
export const ScrubBody = Type.Object({ repair: Type.Optional(Type.Boolean()) }, closed);

const Digits = Type.String({ pattern: '^[0-9]{1,15}$' });
/** Query values are text in a URL; the pattern is what makes them numbers. */
export const EventsQuery = Type.Object(
  { after: Type.Optional(Digits), limit: Type.Optional(Digits), volume: Type.Optional(Text) },
  closed,
);
export const HistoryQuery = Type.Object({ volume: Type.Optional(Text) }, closed);

// --- replies ---------------------------------------------------------------------------------------------------------

export const StatusReply = reply({ volumes: Type.Array(VolumeStatus) });
export const DoneReply = reply({});
export const PlanReply = reply({ plan: WindowPlan });
export const WindowReply = reply({ window: WindowReport });
/** `note`: the window has a run, and this is what it does about it. */
export const AbortReply = reply({ window: WindowReport, note: Type.Optional(Type.String()) });
export const WindowsReply = reply({ windows: Type.Array(WindowReport) });
export const JobReply = reply({ job: JobStatus });
export const LogReply = reply({ log: LogReport });
export const LogCheckReply = reply({ check: LogCheck });
export const EventsReply = reply({ events: Type.Array(LocumEvent) });
export const ServerReply = reply({
  version: Type.String(),
  pid: Type.Integer(),
  startedAt: Type.String(),
  stateDirectory: Type.String(),
  io: Type.Enum(['uring', 'node', 'memory']),
  /** Why this way of I/O was chosen. */
  ioReason: Type.String(),
  listen: Type.Array(Type.String()),
});
export const ExportReply = reply({
  name: Type.String(),
  sizeBytes: Bytes,
  listen: Type.Array(Type.String()),
});
/** RFC 9457, with Locum's fields beside the standard ones. */
export const ProblemReply = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  message: Type.String(),
  fix: Type.String(),
  exitCode: Type.Integer(),
  detail: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  checks: Type.Array(Check),
});

export type StatusReply = Static<typeof StatusReply>;
export type DoneReply = Static<typeof DoneReply>;
export type PlanReply = Static<typeof PlanReply>;
export type WindowReply = Static<typeof WindowReply>;
export type AbortReply = Static<typeof AbortReply>;
export type WindowsReply = Static<typeof WindowsReply>;
export type JobReply = Static<typeof JobReply>;
export type LogReply = Static<typeof LogReply>;
export type LogCheckReply = Static<typeof LogCheckReply>;
export type EventsReply = Static<typeof EventsReply>;
export type ServerReply = Static<typeof ServerReply>;
export type ExportReply = Static<typeof ExportReply>;
export type ProblemReply = Static<typeof ProblemReply>;
export type VolumeParams = Static<typeof VolumeParams>;
export type CreateBody = Static<typeof CreateBody>;
export type AssembleBody = Static<typeof AssembleBody>;
export type StopBody = Static<typeof StopBody>;
export type DestroyBody = Static<typeof DestroyBody>;
export type DriveAddBody = Static<typeof DriveAddBody>;
export type DriveBody = Static<typeof DriveBody>;
export type DriveReplaceBody = Static<typeof DriveReplaceBody>;
export type LogReplaceBody = Static<typeof LogReplaceBody>;
export type LogAddBody = Static<typeof LogAddBody>;
export type WindowBody = Static<typeof WindowBody>;
export type CloseBody = Static<typeof CloseBody>;
export type ExtendBody = Static<typeof ExtendBody>;
export type ScrubBody = Static<typeof ScrubBody>;
export type EventsQuery = Static<typeof EventsQuery>;
export type HistoryQuery = Static<typeof HistoryQuery>;

// --- the two descriptions are one ------------------------------------------------------------------------------------

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

const inStep: {
  readonly volume: Same<Static<typeof VolumeStatus>, core.VolumeStatus>;
  readonly plan: Same<Static<typeof WindowPlan>, core.WindowPlan>;
  readonly report: Same<Static<typeof WindowReport>, core.WindowReport>;
  readonly log: Same<Static<typeof LogReport>, core.LogReport>;
  readonly logCheck: Same<Static<typeof LogCheck>, core.LogCheck>;
  readonly event: Same<Static<typeof LocumEvent>, core.LocumEvent>;
  readonly detail: Same<
    ProblemReply['detail'],
    Record<keyof Problem['detail'], Problem['detail'][string]>
  >;
} = {
  volume: true,
  plan: true,
  report: true,
  log: true,
  logCheck: true,
  event: true,
  detail: true,
};
void inStep;
