/**
 * May this run begin? Everything that can be found out before the freeze is found out here, and nothing is changed: the
 * drive and who else is on it, the windows, the drive's own answer, the tool with its rights and the image, the new drive.
 */

import { randomUUID } from 'node:crypto';
import { explain } from '../../api/errors.ts';
import { formatBytes } from '../../api/units.ts';
import { done, type Outcome, type Problem, refuse } from '../../core/problems.ts';
import type { Check } from '../../core/status.ts';
import type { WindowRequest } from '../../engine/contract.ts';
import type { TaskDrive } from '../../tasks/task.ts';
import type { Claims } from '../claims.ts';
import { beginStep, endStep, type RunRecord, taskSteps } from './run-record.ts';
import type { RunRequest } from './run-service.ts';
import type { RunTools } from './run-tools.ts';
import type { SharedDrive, SharedDrives } from './shared-drive.ts';
import type { WindowGroups } from './window-groups.ts';

export interface Planning {
  readonly groups: WindowGroups;
  readonly drives: SharedDrives;
  readonly tools: RunTools;
  readonly claims: Claims;
  readonly wallMs: () => number;
}

export const windowRequestOf = ({ drive, task, window }: RunRequest): WindowRequest => ({
  drive,
  purpose: task.purpose,
  maxMs: window.maxMs,
  onDoubleAbsence: window.onDoubleAbsence,
  waitMs: window.waitMs,
  allowDegraded: window.allowDegraded,
  allowSingleLog: window.allowSingleLog,
});

/** Ok: a record that is ready to begin, and is not kept yet. */
export async function planRun(
  planning: Planning,
  request: RunRequest,
): Promise<Outcome<RunRecord>> {
  const startedAt = new Date(planning.wallMs()).toISOString();
  const sensible = checkRequest(request);
  if (sensible !== null) return { ok: false, problem: sensible };
  const planned = await planning.groups.plan(request.volume, windowRequestOf(request));
  if (!planned.ok) return planned;
  const { plan, drive } = planned.value;
  const exchange = await checkExchange(planning, request, drive);
  const checks = [...plan.checks, ...exchange];
  if (checks.some(({ result }) => result === 'block')) {
    const { volume } = request;
    return refuse('window-refused', { volume, drive: request.drive }, checks);
  }
  const { tools } = planning;
  const refusedBy = (problem: Problem) => ({ ok: false as const, problem });
  const { transport } = drive;
  const task = tools.taskOf(transport, request.task);
  const away: TaskDrive = { path: drive.wholePath, transport, environment: {} };
  const facts = await task.probe(away);
  if (!facts.ok) return refusedBy(facts.problem);
  checks.push(passed('TK001', 'The drive answers'));
  const ready = await task.check(away, facts.value, request.task);
  if (!ready.ok) return refusedBy(ready.problem);
  checks.push(passed('TK002', 'Tool, rights and image are as they should be'));

  const { imagePath } = request.task;
  const image = imagePath === null ? null : await tools.imageOf(imagePath);
  const [member] = drive.members;
  if (member === undefined) return refuse('drive-unknown', { drive: request.drive });
  const { slot, path, uuid } = member;
  const record: RunRecord = {
    version: 1,
    request,
    phase: 'opening',
    members: drive.members,
    drive: { key: drive.key, leftFrom: drive.wholePath, path: drive.wholePath, transport },
    stepsLeft: taskSteps(request, task.stageActivates),
    process: null,
    task: null,
    recallWhy: null,
    refusal: null,
    readTest: '',
    thawed: false,
    takenBack: false,
    report: {
      id: request.id ?? randomUUID(),
      volumes: drive.members.map(({ volume }) => volume),
      drive: { slot, path, uuid },
      purpose: request.task.purpose,
      rehearsal: request.rehearsal,
      requestedBy: request.requestedBy,
      image,
      state: 'running',
      step: 'plan',
      begun: false,
      outcome: null,
      sentence: '',
      next: '',
      startedAt,
      endedAt: null,
      before: facts.value,
      after: null,
      steps: [],
      checks,
      windowIds: [],
      loggedBytes: 0,
      replayedBytes: 0,
      rolloutId: request.rolloutId,
    },
  };
  const step = beginStep(record, 'plan', startedAt);
  endStep(step, 'done', new Date(planning.wallMs()).toISOString());
  return done(record);
}

function checkRequest({ task }: RunRequest): Problem | null {
  const { purpose, newDrivePath, test } = task;
  const invalid = (name: string, reason: string): Problem => ({
    code: 'argument-invalid',
    detail: { name, reason },
  });
  if (newDrivePath !== null && purpose !== 'replacement') {
    return invalid('--with', 'only a replacement has a new drive');
  }
  if (test !== null && purpose !== 'diagnostics') {
    return invalid('--test', 'only diagnostics have a test');
  }
  return null;
}

/** The new drive of a replacement: not one that is in use, not the one that goes, and nothing on it. */
async function checkExchange(
  { drives, claims, tools }: Planning,
  request: RunRequest,
  drive: SharedDrive,
): Promise<Check[]> {
  const path = request.task.newDrivePath;
  if (request.task.purpose !== 'replacement') return [];
  const title = 'The new drive can be taken';
  const block = (reason: string, fix: string): Check[] => [
    { id: 'WP014', title, result: 'block', reason, fix },
  ];
  if (drive.members.length > 1) {
    return block(
      `the drive holds members of ${drive.members.length} volumes, and each needs a place of its own on the new one`,
      'replace each member by itself: locum drive replace',
    );
  }
  if (path === null) return [];
  if ((await drives.keyOfPath(path)) === drive.key) {
    return block(
      `${path} is the drive that is to go`,
      'leave --with out, swap the drive, then: locum window close VOLUME',
    );
  }
  const free = await claims.check('', [path]);
  if (!free.ok) return block(explain(free.problem).message, explain(free.problem).fix);
  if (!(await drives.isThere(path))) {
    return [
      {
        id: 'WP014',
        title,
        result: 'warn',
        reason: `there is nothing at ${path} yet`,
        fix: 'plug it in once the window is open',
      },
    ];
  }
  const found = await tools.newDrive(path);
  if (!found.ok) return block(explain(found.problem).message, explain(found.problem).fix);
  const { content, sizeBytes } = found.value;
  if (content !== null) {
    return block(
      `${path} is not blank: it carries ${content}`,
      'give another drive, or erase this one first (wipefs)',
    );
  }
  const leastBytes = drives.shareOf(request.volume);
  if (sizeBytes < leastBytes) {
    return block(
      `${path} has ${formatBytes(sizeBytes)}, and each drive of ${request.volume} holds ${formatBytes(leastBytes)} of its data`,
      'give a drive that is at least as large as the one that goes',
    );
  }
  return [passed('WP014', title)];
}

const passed = (id: string, title: string): Check => ({
  id,
  title,
  result: 'pass',
  reason: '',
  fix: '',
});
