/**
 * A place for one test of the tasks: a directory, images in it, tools of its own in a folder that is all of PATH, and the
 * controls of a step. Everything is gone after the test; a process that is still there then fails it.
 */

import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { DriveFacts } from '../../../src/core/drive-facts.ts';
import type { Outcome, ProblemCode } from '../../../src/core/problems.ts';
import type { TaskRequest } from '../../../src/core/run-report.ts';
import { plainRequest } from '../../../src/core/task-request.ts';
import { isRunning, type ProcessIdentity } from '../../../src/tasks/command.ts';
import type { TaskContext } from '../../../src/tasks/context.ts';
import type { StepControl, TaskDrive } from '../../../src/tasks/task.ts';

export interface Rig {
  readonly directory: string;
  readonly context: TaskContext;
  /** Every process that a step said it had started. */
  readonly started: ProcessIdentity[];
  readonly progress: number[];
  path(name: string): string;
  image(name: string, sizeBytes?: number): string;
  /** A shell script that comes first in PATH. */
  tool(name: string, script: string): void;
  control(change?: Partial<StepControl>): StepControl;
}

export function rig(t: TestContext): Rig {
  const directory = mkdtempSync(join(tmpdir(), 'tasks-test-'));
  const folder = join(directory, 'bin');
  mkdirSync(folder);
  mkdirSync(join(directory, 'sys'));
  const started: ProcessIdentity[] = [];
  const progress: number[] = [];
  let steps = 0;
  t.after(() => {
    const left = started.filter(isRunning);
    for (const { pid } of left) process.kill(-pid, 'SIGKILL');
    rmSync(directory, { recursive: true, force: true });
    assert.deepEqual(left, [], 'no process is left');
  });
  return {
    directory,
    started,
    progress,
    context: {
      environment: { PATH: folder, LC_ALL: 'C' },
      isRoot: true,
      sysRoot: join(directory, 'sys'),
    },
    path: (name) => join(directory, name),
    image(name, sizeBytes = 4 * 1024 * 1024) {
      writeFileSync(join(directory, name), Buffer.alloc(sizeBytes, 7));
      return join(directory, name);
    },
    tool(name, script) {
      writeFileSync(join(folder, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
      chmodSync(join(folder, name), 0o755);
    },
    control: (change = {}) => {
      steps += 1;
      return {
        outputPath: join(directory, `step-${steps}.txt`),
        limitMs: 60_000,
        signal: new AbortController().signal,
        onProgress: (share) => progress.push(share),
        onStarted: (process) => started.push(process),
        ...change,
      };
    },
  };
}

export const request = (change: Partial<TaskRequest> = {}): TaskRequest => ({
  ...plainRequest,
  ...change,
});

export const driveAt = (path: string, transport: TaskDrive['transport']): TaskDrive => ({
  path,
  transport,
  environment: {},
});

export function valueOf<T>(outcome: Outcome<T>): T {
  assert.ok(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.problem));
  return outcome.value;
}

export function refusedAs(outcome: Outcome<unknown>, code: ProblemCode): void {
  assert.ok(!outcome.ok, 'it was to be refused');
  assert.equal(outcome.problem.code, code, JSON.stringify(outcome.problem));
}

export const facts = (change: Partial<DriveFacts> = {}): DriveFacts => ({
  path: '/dev/sdx',
  transport: 'scsi',
  model: 'ACME Fast 9000',
  serial: 'S1',
  firmware: '1.0',
  capacityBytes: 1000,
  logicalBlockBytes: 512,
  physicalBlockBytes: 4096,
  health: 'unknown',
  healthNote: '',
  ...change,
});

/** Waits for a state, however long it takes; the runner's own limit ends a test that waits for ever. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

export const textOf = (path: string): string =>
  existsSync(path) ? readFileSync(path, 'utf8') : '';
