/**
 * A run as it is kept in STATE/runs/ID.json: its report, and what a server that is started again needs to go on with it.
 * Plain data; only the runner changes it, and writes it down before it acts.
 */

import type { Transport } from '../../core/drive-facts.ts';
import type { RunPhase } from '../../core/machines/run.ts';
import type { RunReport, RunStep, StepReport } from '../../core/run-report.ts';
import type { TaskResult } from '../../core/run-verdict.ts';
import type { RunRequest } from './run-service.ts';
import type { GroupMember } from './shared-drive.ts';

export interface RunRecord {
  readonly version: 1;
  readonly request: RunRequest;
  readonly report: RunReport;
  phase: RunPhase;
  /** One in each volume of the drive, that of the volume that was asked first. */
  readonly members: readonly GroupMember[];
  readonly drive: {
    readonly key: string;
    /** Where it was when it left; its members' paths begin with it, unless they are by-id. */
    readonly leftFrom: string;
    /** Where it is now: the kernel gives names as they come. */
    path: string;
    /** What was held of it beside its members, as of then; a record of before knows only the drive. */
    rest?: readonly string[];
    readonly transport: Transport;
  };
  /** Steps of the task that are still to be begun. */
  stepsLeft: RunStep[];
  /** The command at work; a tool outlives its server. */
  process: { readonly pid: number; readonly startTicks: number } | null;
  task: TaskResult | null;
  recallWhy: string | null;
  refusal: string | null;
  /** What the read test after the task said; empty when it passed. */
  readTest: string;
  /** Why it could not even be begun; absent in records of before. */
  unread?: string;
  thawed: boolean;
  takenBack: boolean;
}

export const lastStep = (record: RunRecord): StepReport | undefined => record.report.steps.at(-1);

export function beginStep(record: RunRecord, step: RunStep, at: string): StepReport {
  const begun: StepReport = {
    step,
    result: 'running',
    startedAt: at,
    endedAt: null,
    command: '',
    exitStatus: null,
    output: '',
    note: '',
  };
  record.report.step = step;
  record.report.steps.push(begun);
  // Retries stay within their step, so this is only reached by a run that is restarted again and again.
  if (record.report.steps.length > STEPS_MAX) record.report.steps.splice(0, 1);
  return begun;
}

const STEPS_MAX = 200;

export function endStep(
  step: StepReport,
  result: StepReport['result'],
  at: string,
  note = '',
): void {
  step.result = result;
  step.endedAt = at;
  if (note !== '') step.note = note;
}

/** The steps of the task itself, by purpose. `stageActivates`: the download makes the image current by itself. */
export function taskSteps(request: RunRequest, stageActivates: boolean): RunStep[] {
  switch (request.task.purpose) {
    case 'firmware':
      return stageActivates ? ['stage'] : ['stage', 'activate'];
    case 'diagnostics':
      return ['diagnose'];
    case 'reset':
      return ['reset'];
    case 'replacement':
      return ['exchange'];
  }
}

/** Where the member is, after its drive came back under another name; null: where it was. */
export function movedPath({ drive }: RunRecord, memberPath: string): string | null {
  if (drive.path === drive.leftFrom || !memberPath.startsWith(drive.leftFrom)) return null;
  return drive.path + memberPath.slice(drive.leftFrom.length);
}

/** A copy that nobody else changes. */
export const copyOf = (report: RunReport): RunReport => structuredClone(report);
