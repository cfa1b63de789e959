/**
 * The shapes of runs in the control API; schema.ts has the rules for all of them. A run's own fields are described in
 * core/run-report.ts, and the build stops when the two drift apart.
 */

import { type Static, Type } from 'typebox';
import { healths, transports } from '../core/drive-facts.ts';
import type * as core from '../core/run-report.ts';
import { runOutcomes, runStates, runSteps, stepResults } from '../core/run-report.ts';
import { purposes, verifyModes } from '../core/status.ts';
import {
  AbsolutePath,
  Bytes,
  Check,
  closed,
  DriveName,
  orNull,
  reply,
  WindowReport,
} from './schema.ts';

const Text = Type.String({ maxLength: 4096 });
const Limit = Type.Integer({ minimum: 1000, maximum: 7 * 86_400_000 });

export const DriveFacts = Type.Object({
  path: Type.String(),
  transport: Type.Enum(transports),
  model: Type.String(),
  serial: Type.String(),
  firmware: Type.String(),
  capacityBytes: orNull(Bytes),
  logicalBlockBytes: orNull(Bytes),
  physicalBlockBytes: orNull(Bytes),
  health: Type.Enum(healths),
  healthNote: Type.String(),
});

export const ImageReport = Type.Object({
  path: Type.String(),
  sizeBytes: Bytes,
  sha256: Type.String(),
});

const StepReport = Type.Object({
  step: Type.Enum(runSteps),
  result: Type.Enum(stepResults),
  startedAt: Type.String(),
  endedAt: orNull(Type.String()),
  command: Type.String(),
  exitStatus: orNull(Type.Integer()),
  output: Type.String(),
  note: Type.String(),
});

export const RunReport = Type.Object({
  id: Type.String(),
  volumes: Type.Array(Type.String()),
  drive: Type.Object({
    slot: orNull(Type.Integer({ minimum: 0 })),
    path: Type.String(),
    uuid: Type.String(),
  }),
  purpose: Type.Enum(purposes),
  rehearsal: Type.Boolean(),
  requestedBy: Type.String(),
  image: orNull(ImageReport),
  state: Type.Enum(runStates),
  step: Type.Enum(runSteps),
  begun: Type.Boolean(),
  outcome: orNull(Type.Enum(runOutcomes)),
  sentence: Type.String(),
  next: Type.String(),
  startedAt: Type.String(),
  endedAt: orNull(Type.String()),
  before: orNull(DriveFacts),
  after: orNull(DriveFacts),
  steps: Type.Array(StepReport),
  checks: Type.Array(Check),
  windowIds: Type.Array(Type.String()),
  loggedBytes: Bytes,
  replayedBytes: Bytes,
  rolloutId: orNull(Type.String()),
});

export const RunBody = Type.Object(
  {
    drive: DriveName,
    purpose: Type.Enum(purposes),
    /** Either an image, or a shell command of the user's own and the folder in which it runs. */
    image: Type.Optional(AbsolutePath),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    version: Type.Optional(Text),
    model: Type.Optional(Text),
    activation: Type.Optional(Type.Enum(['live', 'deferred'])),
    firmwareSlot: Type.Optional(Type.Integer({ minimum: 1, maximum: 7 })),
    command: Type.Optional(Type.String({ minLength: 1, maxLength: 65_536 })),
    commandDirectory: Type.Optional(AbsolutePath),
    test: Type.Optional(Type.Enum(['short', 'long', 'scan'])),
    with: Type.Optional(AbsolutePath),
    commandLimitMs: Type.Optional(Limit),
    answerLimitMs: Type.Optional(Limit),
    rehearsal: Type.Optional(Type.Boolean()),
    requestedBy: Type.Optional(Type.String({ maxLength: 255 })),
    maxMs: Type.Optional(Limit),
    onDoubleAbsence: Type.Optional(Type.Enum(['wait', 'error'])),
    waitMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 365 * 86_400_000 })),
    allowDegraded: Type.Optional(Type.Boolean()),
    allowSingleLog: Type.Optional(Type.Boolean()),
    verify: Type.Optional(Type.Enum(verifyModes)),
  },
  closed,
);
export const RunParams = Type.Object({ run: Type.String({ minLength: 1, maxLength: 64 }) }, closed);
export const RecallBody = Type.Object({ why: Type.Optional(Text) }, closed);
/** A window's id or a run's; without it the open window, else the last one. */
export const WindowQuery = Type.Object({ id: Type.Optional(Text) }, closed);

export const RunReply = reply({ run: RunReport });
export const RunsReply = reply({ runs: Type.Array(RunReport) });
/**
 * `run`: the one that opened this window; null when an operator did. `window`: null for a run that has not opened one, or
 * was refused. `stale`: the volume is stopped, or does not answer; the window is as it was seen last.
 */
export const WindowShowReply = reply({
  window: orNull(WindowReport),
  run: orNull(RunReport),
  stale: Type.Optional(Type.Boolean()),
});

export type RunReply = Static<typeof RunReply>;
export type RunsReply = Static<typeof RunsReply>;
export type WindowShowReply = Static<typeof WindowShowReply>;
export type RunBody = Static<typeof RunBody>;
export type RunParams = Static<typeof RunParams>;
export type RecallBody = Static<typeof RecallBody>;
export type WindowQuery = Static<typeof WindowQuery>;

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const inStep: Same<Static<typeof RunReport>, core.RunReport> = true;
void inStep;
