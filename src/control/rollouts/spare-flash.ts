/**
 * Firmware onto a spare. It holds nothing, so it needs no window: it is released from its volume, flashed, identified, read,
 * and added again as a spare. Every step is on record before it begins (`SpareWork`), so that a server that dies in between
 * brings the spare back when it is started again; the tool outlives the server, and is waited for.
 *
 * From before its release until it is a spare again, or lost, the drive is held: while no volume has it, nobody else may.
 *
 * As for a member, success is what the drive says afterwards.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../../api/errors.ts';
import { compareFacts, type DriveFacts, saidOfDiffer } from '../../core/drive-facts.ts';
import type { RolloutDriveEvent } from '../../core/machines/rollout.ts';
import { done, type Outcome, type Problem } from '../../core/problems.ts';
import type { RolloutDrive } from '../../core/rollout-report.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from '../../tasks/task.ts';
import { notStarted, TRIES_TO_ASK } from '../runs/before-step.ts';
import { keyOf, type RolloutRecord, type SpareWork } from './rollout-record.ts';
import type { RolloutTools } from './rollout-tools.ts';

export interface SpareEnd {
  readonly event: Extract<RolloutDriveEvent, 'applied' | 'unchanged' | 'went-wrong' | 'put-off'>;
  readonly firmwareAfter: string;
  readonly note: string;
}

export interface SpareJob {
  readonly tools: RolloutTools;
  readonly record: RolloutRecord;
  readonly drive: RolloutDrive;
  /** Where the spare was within its drive when it was begun; the same but for partitions. */
  readonly memberPath: string;
  /** Of the hold on its drive. */
  readonly owner: string;
  readonly outputPath: (step: string) => string;
  /** Resolves when the record is durable; false: it is not. */
  readonly save: () => Promise<boolean>;
  /** In a sentence, with the place. */
  readonly whyUnwritten: () => string;
}

/** Released, flashed, and back. */
export const flashSpare = (job: SpareJob): Promise<SpareEnd> => held(job, job.memberPath, flash);

/** After a restart: wherever it stood, the spare comes back, and says itself what became of it. */
export const resumeSpare = (job: SpareJob, work: SpareWork): Promise<SpareEnd> =>
  held(job, work.memberPath, (it) => resume(it, work));

async function held(
  job: SpareJob,
  path: string,
  act: (job: SpareJob) => Promise<SpareEnd>,
): Promise<SpareEnd> {
  const { volumes } = job.tools;
  try {
    await volumes.hold(job.owner, job.drive.volumes[0]!, path);
    return await act(job);
  } finally {
    volumes.letGo(job.owner);
  }
}

async function flash(job: SpareJob): Promise<SpareEnd> {
  const { tools, record, drive } = job;
  const found = await open(job);
  if (!found.ok) return putOff(found.problem);
  const { task, target } = found.value;
  const fits = await task.check(target, record.before[keyOf(record, drive)]!, record.task);
  if (!fits.ok) return putOff(fits.problem);
  const checks = await tools.volumes.checksOfSpare(drive.volumes[0]!, job.memberPath);
  const blocking = checks.find(({ result }) => result === 'block');
  if (blocking) return { event: 'put-off', firmwareAfter: '', note: blocking.reason };

  const work: SpareWork = {
    memberPath: job.memberPath,
    memberUuid: drive.uuid,
    phase: 'released',
    step: '',
  };
  record.spares[keyOf(record, drive)] = work;
  if (!(await job.save())) return unrecorded(job);
  const [volume] = drive.volumes;
  const released = await tools.volumes.removeSpare(volume!, job.memberPath);
  if (!released.ok) {
    delete record.spares[keyOf(record, drive)];
    return putOff(released.problem);
  }
  work.phase = 'begun';
  if (!(await job.save())) return bringBack(job, work, await unrecorded(job));
  const carries = await whyNotOurs(job, work);
  let last = carries === null ? null : notStarted(carries);
  last ??= await step(job, work, 'stage', (control) => task.stage(target, record.task, control));
  if (last.result === 'done' && !task.stageActivates) {
    last = await step(job, work, 'activate', (control) =>
      task.activate(target, record.task, control),
    );
  }
  return await judge(job, work, last);
}

async function resume(job: SpareJob, work: SpareWork): Promise<SpareEnd> {
  if (work.phase === 'released') {
    const end = { event: 'put-off', firmwareAfter: '', note: 'the server ended' } as const;
    // After a restart of the machine another drive may have its name.
    return (await whyNotItself(job)) === null ? bringBack(job, work, end) : judge(job, work, null);
  }
  const last = await waitForFormer(job, work);
  const end = await judge(job, work, last);
  // Broken off between two steps, it may be begun anew; what was done is done again.
  return end.event === 'unchanged' ? { ...end, event: 'put-off' } : end;
}

const putOff = (problem: Problem): SpareEnd => ({
  event: 'put-off',
  firmwareAfter: '',
  note: explain(problem).message,
});

async function unrecorded(job: SpareJob): Promise<SpareEnd> {
  const note = `${job.whyUnwritten()}; nothing was begun`;
  if (job.record.spares[keyOf(job.record, job.drive)]?.phase === 'released')
    delete job.record.spares[keyOf(job.record, job.drive)];
  return { event: 'put-off', firmwareAfter: '', note };
}

async function open(
  job: SpareJob,
): Promise<Outcome<{ readonly task: DriveTask; readonly target: TaskDrive }>> {
  const { tools, record, drive } = job;
  const found = await tools.taskFor(drive.path, record.task);
  if (!found.ok) return found;
  const { task, transport } = found.value;
  const environment = {
    LOCUM_VOLUME: drive.volumes[0]!,
    LOCUM_DRIVE_PATH: drive.path,
    LOCUM_MEMBER_UUID: drive.uuid,
    LOCUM_PURPOSE: 'firmware',
  };
  return done({ task, target: { path: drive.path, transport, environment } });
}

async function step(
  job: SpareJob,
  work: SpareWork,
  name: string,
  run: (control: StepControl) => Promise<CommandResult>,
): Promise<CommandResult> {
  const against = name === 'verify' ? null : await whyNotNow(job);
  if (against !== null) return notStarted(against);
  job.drive.step = name;
  work.step = name;
  // Not on record, a server that is started again would not wait for it.
  if (!(await job.save())) return notStarted(job.whyUnwritten());
  return await run({
    outputPath: job.outputPath(name),
    limitMs: job.record.task.commandLimitMs,
    // A flash is never broken off.
    signal: new AbortController().signal,
    onProgress: () => {},
    // It is found again by its output.
    onStarted: () => {},
  });
}

async function waitForFormer(
  job: SpareJob,
  { step: name }: SpareWork,
): Promise<CommandResult | null> {
  if (name === '') return null;
  job.drive.step = name;
  return await job.tools.waitForCommand(
    { process: null, shown: '', mayStop: false },
    {
      outputPath: job.outputPath(name),
      limitMs: job.record.task.commandLimitMs,
      signal: new AbortController().signal,
      onProgress: () => {},
    },
  );
}

/** The drive is asked until it answers, or the limit is over; then it is read, and goes back to its volume. */
async function judge(
  job: SpareJob,
  work: SpareWork,
  last: CommandResult | null,
): Promise<SpareEnd> {
  const { tools, record, drive } = job;
  const before = record.before[keyOf(record, drive)]!;
  drive.step = 'identify';
  const untilMs = performance.now() + record.task.answerLimitMs;
  let why = 'it does not answer';
  for (;;) {
    const asked = await ask(job);
    if (asked.ok) {
      const differs = compareFacts(before, asked.value);
      if (differs === null)
        return await bringBack(job, work, await verdict(job, work, last, asked.value));
      why = saidOfDiffer(differs);
    } else why = explain(asked.problem).message;
    if (await isElsewhere(job, work, before)) continue;
    if (performance.now() >= untilMs) break;
    await delay(tools.lookMs);
  }
  delete record.spares[keyOf(record, drive)];
  const [volume] = drive.volumes;
  const note =
    `${why}; it is no spare of ${volume} any more. When it is right again: ` +
    `locum drive add ${volume} ${work.memberPath} --spare`;
  return { event: 'went-wrong', firmwareAfter: '', note };
}

/** The kernel gave it another name: it is known by that from now on. */
async function isElsewhere(job: SpareJob, work: SpareWork, before: DriveFacts): Promise<boolean> {
  const { tools, record, drive } = job;
  const found = await open(job);
  const task = found.ok ? found.value.task : tools.taskOf(before.transport, record.task);
  const here = await tools.findDrive(before, task);
  if (here === null || here.path === drive.path) return false;
  const inDrive = work.memberPath.startsWith(drive.path);
  if (inDrive) work.memberPath = here.path + work.memberPath.slice(drive.path.length);
  drive.path = here.path;
  await tools.volumes.hold(job.owner, drive.volumes[0]!, work.memberPath);
  await job.save();
  return true;
}

/**
 * Right before a command: null while the drive that was looked at answers, and nobody has come to use it. It may be silent
 * for a moment after the step before.
 */
async function whyNotNow(job: SpareJob): Promise<string | null> {
  for (let tries = 1; ; tries += 1) {
    const why = (await whyNotItself(job)) ?? (await job.tools.volumes.whyInUse(job.drive.path));
    if (why === null || tries === TRIES_TO_ASK) return why;
    await delay(job.tools.lookMs);
  }
}

/** It carries the spare that was released, or it is somebody else's, whatever it says of itself. */
async function whyNotOurs(job: SpareJob, { memberPath, memberUuid }: SpareWork) {
  const here = await job.tools.volumes.memberAt(memberPath);
  if (!here.ok) return explain(here.problem).message;
  return here.value === memberUuid
    ? null
    : `what is at ${memberPath} is not the spare that was released.`;
}

/** Null: the drive that was looked at before is still what answers. */
async function whyNotItself(job: SpareJob): Promise<string | null> {
  const asked = await ask(job);
  if (!asked.ok) return explain(asked.problem).message;
  const differs = compareFacts(job.record.before[keyOf(job.record, job.drive)]!, asked.value);
  return differs && saidOfDiffer(differs);
}

async function ask(job: SpareJob): Promise<Outcome<DriveFacts>> {
  const found = await open(job);
  return found.ok ? await found.value.task.probe(found.value.target) : found;
}

async function verdict(
  job: SpareJob,
  work: SpareWork,
  last: CommandResult | null,
  after: DriveFacts,
): Promise<SpareEnd> {
  const firmwareAfter = after.firmware;
  const before = job.record.before[keyOf(job.record, job.drive)]!;
  const found = await open(job);
  if (found.ok) {
    const { task, target } = found.value;
    const read = await step(job, work, 'verify', (control) => task.verify(target, control));
    const how = read.result === 'not-started' ? 'could not be made' : 'failed';
    if (read.result !== 'done')
      return { event: 'went-wrong', firmwareAfter, note: `the read test ${how}: ${read.reason}` };
  }
  const { version } = job.record.task;
  const isNew = version === null ? firmwareAfter !== before.firmware : firmwareAfter === version;
  if (isNew) return { event: 'applied', firmwareAfter, note: '' };
  if (last !== null && last.result !== 'done')
    return { event: 'went-wrong', firmwareAfter, note: last.reason };
  const wanted = version === null || firmwareAfter === before.firmware ? '' : `, not ${version}`;
  const has = firmwareAfter === before.firmware ? 'still has' : 'has';
  return { event: 'unchanged', firmwareAfter, note: `it ${has} ${firmwareAfter}${wanted}` };
}

/** Adds the spare again; what was found out about it stays what it is. */
async function bringBack(job: SpareJob, work: SpareWork, end: SpareEnd): Promise<SpareEnd> {
  const { tools, record, drive } = job;
  const volume = drive.volumes[0]!;
  drive.step = 'return';
  const added = await addAgain(job, work);
  delete record.spares[keyOf(record, drive)];
  if (!added.ok) {
    const note =
      `it could not be added to ${volume} again: ${explain(added.problem).message} ` +
      `Add it by hand: locum drive add ${volume} ${work.memberPath} --spare`;
    return { ...end, event: 'went-wrong', note: end.note === '' ? note : `${end.note}; ${note}` };
  }
  const found = await tools.volumes.status(volume);
  const here = found.ok && found.value.drives.find(({ path }) => path === work.memberPath);
  if (here) drive.uuid = here.uuid;
  return end;
}

async function addAgain(
  { tools: { volumes }, drive, owner }: SpareJob,
  { memberPath, memberUuid }: SpareWork,
): Promise<Outcome<void>> {
  const volume = drive.volumes[0]!;
  const status = await volumes.status(volume);
  if (status.ok && status.value.drives.some(({ path }) => path === memberPath))
    return done(undefined);
  const added = await volumes.addSpare(volume, memberPath, false, owner);
  if (added.ok || added.problem.code !== 'drive-has-data') return added;
  // What is on it is the superblock that made it this volume's spare. Anything else stays untouched.
  const here = await volumes.memberAt(memberPath);
  const isOurs = here.ok && here.value === memberUuid;
  return isOurs ? await volumes.addSpare(volume, memberPath, true, owner) : added;
}
