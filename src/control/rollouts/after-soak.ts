/**
 * The look at a drive when its soak is over: is it well, and has it what it was given? Asked of the drive itself, by what it
 * said before it was begun. Names move while nobody watches: what answers at its path may be another drive by now, which
 * says nothing about this one, however well it is.
 *
 * A drive may be silent for a moment. It is looked for among all the others, each of which has to be asked for that, only
 * when it stays so, or when another one answers in its place.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../../api/errors.ts';
import { compareFacts, type DriveFacts, saidOfDiffer } from '../../core/drive-facts.ts';
import type { RolloutDrive } from '../../core/rollout-report.ts';
import { TRIES_TO_ASK } from '../runs/before-step.ts';
import { askDrive } from './rollout-planner.ts';
import { keyOf, type RolloutRecord } from './rollout-record.ts';
import type { RolloutTools } from './rollout-tools.ts';

/** Null: it is well. A drive that is found under another name is known by that from then on. */
export async function whyUnwell(
  tools: RolloutTools,
  record: RolloutRecord,
  drive: RolloutDrive,
): Promise<string | null> {
  const before = record.before[keyOf(record, drive)] ?? null;
  let answer = await askPatiently(drive.path);
  if (typeof answer === 'string' && before !== null) {
    const task = tools.taskOf(before.transport, record.task);
    const found = await tools.findDrive(before, task);
    if (found !== null && found.path !== drive.path) {
      drive.path = found.path;
      answer = await askAt(found.path);
    }
  }
  return typeof answer === 'string' ? answer : unwell(drive, before, answer);

  async function askPatiently(path: string): Promise<DriveFacts | string> {
    for (let tries = 1; ; tries += 1) {
      const asked = await askDrive(tools, path, record.task);
      if (asked.ok) return judged(path, asked.value.facts);
      if (tries === TRIES_TO_ASK) return explain(asked.problem).message;
      await delay(tools.lookMs);
    }
  }

  async function askAt(path: string): Promise<DriveFacts | string> {
    const asked = await askDrive(tools, path, record.task);
    return asked.ok ? judged(path, asked.value.facts) : explain(asked.problem).message;
  }

  function judged(path: string, facts: DriveFacts): DriveFacts | string {
    const differs = before === null ? null : compareFacts(before, facts);
    return differs === null
      ? facts
      : `after the soak what answers at ${path} is not the drive that was flashed, or not as it was: ${saidOfDiffer(differs)}`;
  }
}

function unwell(
  { firmwareAfter }: RolloutDrive,
  before: DriveFacts | null,
  { firmware, health, healthNote }: DriveFacts,
): string | null {
  if (firmware !== firmwareAfter) return `after the soak it has ${firmware}, not ${firmwareAfter}`;
  return health === 'failing' && before?.health !== 'failing'
    ? `after the soak it says that it is failing: ${healthNote}`
    : null;
}
