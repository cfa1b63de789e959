/**
 * The shapes of firmware updates of many drives in the control API; schema.ts has the rules for all of them. The fields
 * are described in core/rollout-report.ts, and the build stops when the two drift apart.
 */

import { type Static, Type } from 'typebox';
import type * as core from '../core/rollout-report.ts';
import { rolloutDriveStates, rolloutStates } from '../core/rollout-report.ts';
import { DriveFacts, ImageReport } from './run-schema.ts';
import {
  AbsolutePath,
  Bytes,
  Check,
  closed,
  DriveName,
  orNull,
  reply,
  VOLUME_NAME_PATTERN,
} from './schema.ts';

const Text = Type.String({ maxLength: 4096 });
const Slot = orNull(Type.Integer({ minimum: 0 }));
const VolumeName = Type.String({ pattern: VOLUME_NAME_PATTERN });
const Limit = Type.Integer({ minimum: 1000, maximum: 7 * 86_400_000 });
const Names = Type.Array(Type.String());

const Drive = Type.Object({
  volumes: Names,
  slot: Slot,
  path: Type.String(),
  uuid: Type.String(),
  model: Type.String(),
  serial: Type.String(),
  firmwareBefore: Type.String(),
  firmwareAfter: Type.String(),
  state: Type.Enum(rolloutDriveStates),
  step: Type.String(),
  runId: orNull(Type.String()),
  startedAt: orNull(Type.String()),
  soakUntil: orNull(Type.String()),
  endedAt: orNull(Type.String()),
  note: Type.String(),
});

export const RolloutReport = Type.Object({
  id: Type.String(),
  state: Type.Enum(rolloutStates),
  reason: Type.String(),
  next: Type.String(),
  image: ImageReport,
  version: orNull(Type.String()),
  model: orNull(Type.String()),
  command: orNull(Type.String()),
  canary: Type.Integer({ minimum: 0 }),
  soakMs: Bytes,
  stopOnError: Type.Boolean(),
  allowDegraded: Type.Boolean(),
  requestedBy: Type.String(),
  startedAt: Type.String(),
  endedAt: orNull(Type.String()),
  leftMs: orNull(Bytes),
  drives: Type.Array(Drive),
});

export const RolloutPlan = Type.Object({
  allowed: Type.Boolean(),
  image: ImageReport,
  version: orNull(Type.String()),
  drives: Type.Array(
    Type.Object({
      volumes: Names,
      slot: Slot,
      path: Type.String(),
      uuid: Type.String(),
      model: Type.String(),
      serial: Type.String(),
      firmware: Type.String(),
      action: Type.Enum(['flash', 'skip']),
      note: Type.String(),
      checks: Type.Array(Check),
    }),
  ),
  soakTotalMs: Bytes,
  estimateMs: orNull(Bytes),
});

const InventoryDrive = Type.Object({
  volume: Type.String(),
  slot: Slot,
  path: Type.String(),
  uuid: Type.String(),
  state: Type.String(),
  facts: orNull(DriveFacts),
  note: Type.String(),
});

export const RolloutBody = Type.Object(
  {
    volumes: Type.Array(VolumeName, { minItems: 1, maxItems: 64 }),
    /** Empty: all drives of the volumes, their spares too. */
    drives: Type.Array(DriveName, { maxItems: 1024 }),
    image: AbsolutePath,
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    version: Type.Optional(Text),
    model: Type.Optional(Text),
    /** A shell command of the user's own instead of the transport's tool, and the folder in which it runs. */
    command: Type.Optional(Type.String({ minLength: 1, maxLength: 65_536 })),
    commandDirectory: Type.Optional(AbsolutePath),
    commandLimitMs: Type.Optional(Limit),
    answerLimitMs: Type.Optional(Limit),
    canary: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    soakMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 30 * 86_400_000 })),
    stopOnError: Type.Optional(Type.Boolean()),
    maxMs: Type.Optional(Limit),
    allowDegraded: Type.Optional(Type.Boolean()),
    allowSingleLog: Type.Optional(Type.Boolean()),
    requestedBy: Type.Optional(Type.String({ maxLength: 255 })),
    /** Only the plan: nothing is changed. */
    dryRun: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const RolloutParams = Type.Object(
  { rollout: Type.String({ minLength: 1, maxLength: 64 }) },
  closed,
);
export const ResumeBody = Type.Object(
  { retry: Type.Optional(Type.Boolean()), allowDegraded: Type.Optional(Type.Boolean()) },
  closed,
);
/** Without a volume: all that run. */
export const InventoryQuery = Type.Object({ volume: Type.Optional(VolumeName) }, closed);

export const RolloutReply = reply({ rollout: RolloutReport });
export const RolloutsReply = reply({ rollouts: Type.Array(RolloutReport) });
/** One of the two: what would be done, or what was begun. */
export const RolloutStartReply = reply({
  plan: orNull(RolloutPlan),
  rollout: orNull(RolloutReport),
});
export const InventoryReply = reply({ drives: Type.Array(InventoryDrive) });

export type RolloutBody = Static<typeof RolloutBody>;
export type RolloutParams = Static<typeof RolloutParams>;
export type ResumeBody = Static<typeof ResumeBody>;
export type InventoryQuery = Static<typeof InventoryQuery>;
export type RolloutReply = Static<typeof RolloutReply>;
export type RolloutsReply = Static<typeof RolloutsReply>;
export type RolloutStartReply = Static<typeof RolloutStartReply>;
export type InventoryReply = Static<typeof InventoryReply>;

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const inStep: {
  readonly report: Same<Static<typeof RolloutReport>, core.RolloutReport>;
  readonly plan: Same<Static<typeof RolloutPlan>, core.RolloutPlan>;
  readonly drive: Same<Static<typeof InventoryDrive>, core.InventoryDrive>;
} = { report: true, plan: true, drive: true };
void inStep;
