/**
 * The plan of a rollout: which drives, in which order, what is left out and why, and what warns or blocks. Everything that
 * can be known before is checked here, of every drive, so that nothing is touched when one of them could not be flashed:
 * the image, the tools, the rights, the model, the window. Changes nothing.
 */

import { explain } from '../../api/errors.ts';
import type { DriveFacts } from '../../core/drive-facts.ts';
import {
  type KnownRevision,
  oneByOneMs,
  skipReason,
  wantedVersion,
} from '../../core/machines/rollout-decisions.ts';
import { done, type Outcome, type Problem, refuse } from '../../core/problems.ts';
import type { PlannedDrive, RolloutPlan } from '../../core/rollout-report.ts';
import type { ImageReport, TaskRequest } from '../../core/run-report.ts';
import type { Check } from '../../core/status.ts';
import type { TaskDrive } from '../../tasks/task.ts';
import type { RunService } from '../runs/run-service.ts';
import type { RolloutRecord } from './rollout-record.ts';
import type { RolloutRequest } from './rollout-request.ts';
import { type Target, targetsOf } from './rollout-targets.ts';
import type { RolloutTools } from './rollout-tools.ts';

export interface Planned {
  readonly plan: RolloutPlan;
  /** The task for every drive: with the checksum of the image as it is now, whatever was asked for. */
  readonly task: TaskRequest & { readonly imagePath: string };
  /** Why it may not begin as a whole, beyond the checks of its drives. */
  readonly problem: Problem | null;
}

export async function planRollout(
  tools: RolloutTools,
  request: RolloutRequest,
  earlier: readonly RolloutRecord[],
): Promise<Outcome<Planned>> {
  const image = await tools.imageOf(request.task.imagePath, request.task.imageSha256);
  if (!image.ok) return image;
  const targets = await targetsOf(tools.volumes, request.volumes, request.drives);
  if (!targets.ok) return targets;
  const task = { ...request.task, imageSha256: image.value.sha256 };
  const known = knownRevisions(image.value, tools.runs, earlier);
  const drives: PlannedDrive[] = [];
  const kinds: (SkipKind | null)[] = [];
  for (const target of targets.value) {
    const { drive, skip } = await planDrive(tools, target, { ...request, task }, known);
    drives.push(drive);
    kinds.push(skip);
  }
  const toFlash = drives.filter(({ action }) => action === 'flash');
  const versions = new Set(
    drives.map((drive) => wantedVersion(drive, { version: task.version, model: null, known })),
  );
  const [version = null] = versions.size === 1 ? versions : [];
  const usualMs = usualRunMs(tools.runs);
  const plan: RolloutPlan = {
    allowed: !toFlash.some(({ checks }) => checks.some(({ result }) => result === 'block')),
    image: image.value,
    version,
    drives,
    soakTotalMs: oneByOneMs(toFlash, request.soakMs),
    estimateMs: usualMs === null ? null : oneByOneMs(toFlash, usualMs + request.soakMs),
  };
  const problem = problemOf(plan, kinds, task.model);
  return done({ plan: { ...plan, allowed: problem === null }, task, problem });
}

function problemOf(
  { drives }: RolloutPlan,
  kinds: readonly (SkipKind | null)[],
  model: string | null,
): Problem | null {
  if (kinds.length > 0 && kinds.every((kind) => kind === 'model')) {
    const reason = `none of the ${drives.length} drives is of model ${model}`;
    return { code: 'rollout-refused', detail: { reason } };
  }
  if (kinds.every((kind) => kind === 'absent' || kind === 'model')) {
    return { code: 'rollout-refused', detail: { reason: 'no drive is there to be flashed' } };
  }
  const blocked = drives.flatMap(({ action, path, checks }) =>
    action === 'skip'
      ? []
      : checks.filter(({ result }) => result === 'block').map((check) => ({ path, check })),
  );
  const first = blocked[0];
  if (first === undefined) return null;
  const others = new Set(blocked.map(({ path }) => path)).size - 1;
  const more = others === 0 ? '' : `, and ${others} more`;
  return {
    code: 'rollout-refused',
    detail: { reason: `${first.check.reason} (${first.path}${more})` },
    checks: blocked.filter(({ path }) => path === first.path).map(({ check }) => check),
  };
}

type SkipKind = 'absent' | 'model' | 'version';

async function planDrive(
  tools: RolloutTools,
  target: Target,
  request: RolloutRequest,
  known: readonly KnownRevision[],
): Promise<{ drive: PlannedDrive; skip: SkipKind | null }> {
  const { volumes, slot, path, uuid } = target;
  const drive: PlannedDrive = {
    volumes,
    slot,
    path,
    uuid,
    model: '',
    serial: '',
    firmware: '',
    action: 'flash',
    note: '',
    checks: [],
  };
  const leftOut = (skip: SkipKind, note: string) => ({
    drive: { ...drive, action: 'skip' as const, note },
    skip,
  });
  if (path === '' || target.state === 'failed' || target.state === 'missing') {
    return leftOut('absent', `it is ${path === '' ? 'missing' : target.state}`);
  }
  const { task } = request;
  const asked = await askDrive(tools, path, task);
  drive.checks.push(check('FW001', 'The drive answers', asked.ok ? null : asked.problem));
  if (!asked.ok) return { drive, skip: null };
  const { facts } = asked.value;
  Object.assign(drive, { model: facts.model, serial: facts.serial, firmware: facts.firmware });
  const reason = skipReason(facts, { version: task.version, model: task.model, known });
  if (reason !== null) return leftOut(reason.kind, reason.note);

  const fit = await asked.value.check();
  drive.checks.push(check('FW002', 'Image and tools fit the drive', fit.ok ? null : fit.problem));
  drive.checks.push(healthCheck(facts));
  const [volume] = volumes;
  if (slot === null) {
    drive.checks.push(...(await tools.volumes.checksOfSpare(volume!, target.memberPath)));
    return { drive, skip: null };
  }
  const window = await tools.volumes.planWindow(volume!, target.memberPath, request.window);
  if (window.ok) drive.checks.push(...window.value);
  else drive.checks.push(check('FW004', 'A window can be planned', window.problem));
  return { drive, skip: null };
}

/** Asks the drive what it is; `check` asks whether the task could be done on it. */
export async function askDrive(
  tools: RolloutTools,
  path: string,
  request: TaskRequest,
): Promise<Outcome<{ readonly facts: DriveFacts; readonly check: () => Promise<Outcome<void>> }>> {
  const found = await tools.taskFor(path, request);
  if (!found.ok) return found;
  const { task, transport } = found.value;
  const drive: TaskDrive = { path, transport, environment: {} };
  const facts = await task.probe(drive);
  if (!facts.ok) return facts;
  return done({ facts: facts.value, check: () => task.check(drive, facts.value, request) });
}

function check(id: string, title: string, problem: Problem | null): Check {
  if (problem === null) return { id, title, result: 'pass', reason: '', fix: '' };
  const { message, fix } = explain(problem);
  return { id, title, result: 'block', reason: message, fix };
}

function healthCheck({ health, healthNote }: DriveFacts): Check {
  const title = 'The drive says that it is well';
  if (health !== 'failing') return { id: 'FW003', title, result: 'pass', reason: '', fix: '' };
  const reason = `it says that it is failing${healthNote === '' ? '' : `: ${healthNote}`}`;
  const fix = 'consider to replace it instead: locum drive replace';
  return { id: 'FW003', title, result: 'warn', reason, fix };
}

/** What this very image made of a model before: from runs that ended well, and from spares of earlier rollouts. */
export function knownRevisions(
  image: ImageReport,
  runs: RunService,
  rollouts: readonly RolloutRecord[],
): KnownRevision[] {
  const ofRuns = runs
    .all()
    .filter(({ outcome }) => outcome === 'done')
    .flatMap((run) => (run.image?.sha256 === image.sha256 && run.after ? [run.after] : []));
  const ofRollouts = rollouts
    .filter(({ report }) => report.image.sha256 === image.sha256)
    .flatMap(({ report }) => report.drives)
    .filter(({ state, firmwareAfter }) => state === 'done' && firmwareAfter !== '')
    .map(({ model, firmwareAfter }) => ({ model, firmware: firmwareAfter }));
  // The newest says most: a later run of the same image may have been told another slot.
  return [...ofRuns, ...ofRollouts].reverse().map(({ model, firmware }) => ({ model, firmware }));
}

/** What a firmware run took lately, from the plan to the end of the replay; null: there was none. */
function usualRunMs(runs: RunService): number | null {
  const spans = runs
    .all()
    .filter(({ purpose, outcome }) => purpose === 'firmware' && outcome === 'done')
    .slice(-RUNS_FOR_ESTIMATE)
    .map(({ startedAt, endedAt }) => Date.parse(endedAt ?? startedAt) - Date.parse(startedAt));
  if (spans.length === 0) return null;
  return Math.max(0, Math.round(spans.reduce((sum, ms) => sum + ms, 0) / spans.length));
}

const RUNS_FOR_ESTIMATE = 20;

export const refusedPlan = (problem: Problem): ReturnType<typeof refuse> =>
  refuse(problem.code, problem.detail, problem.checks);
