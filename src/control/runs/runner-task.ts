/**
 * The first half of a run: the freeze, and what is done to the drive. Each function carries out one effect of the run's
 * machine and answers with what came of it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../../api/errors.ts';
import {
  compareFacts,
  type DriveFacts,
  type FactsDiffer,
  saidOfDiffer,
} from '../../core/drive-facts.ts';
import type { RunEvent } from '../../core/machines/run.ts';
import { capital } from '../../core/machines/volume-facts.ts';
import type { Problem } from '../../core/problems.ts';
import type { RunReport, RunStep, StepReport } from '../../core/run-report.ts';
import type { CommandResult, StepControl } from '../../tasks/task.ts';
import { notStarted, TRIES_TO_ASK } from './before-step.ts';
import { windowRequestOf } from './run-plan.ts';
import { beginStep, endStep, lastStep } from './run-record.ts';
import type { Activity, Runner } from './runner.ts';

/** For the read test after a task; a drive that takes longer is not well. */
const READ_TEST_LIMIT_MS = 120_000;

export async function openWindows(run: Runner): Promise<RunEvent> {
  const { record, world } = run;
  const step = await run.step('open');
  const opened = await run.do(
    world.groups.openAll(record.members, windowRequestOf(record.request)),
  );
  if (!opened.ok) {
    const { message } = explain(opened.problem);
    record.refusal = message;
    record.report.checks.push(...(opened.problem.checks ?? []));
    await run.endStep(step, 'failed', message);
    return 'not-opened';
  }
  record.report.windowIds = opened.value.map(({ id }) => id);
  await run.endStep(step, 'done');
  return 'opened';
}

export const taskWork: Readonly<
  Record<'begin' | 'next-step' | 'wait-for-tool' | 'look-for-drive' | 'identify', Activity>
> = {
  begin,
  'next-step': nextStep,
  'wait-for-tool': waitForTool,
  'look-for-drive': look,
  identify,
};

/** The last look before the drive is touched: a second failure, or an image that is gone, and it stays as it is. */
async function begin(run: Runner): Promise<RunEvent> {
  const { record } = run;
  const early = await run.interruption();
  if (early !== null) return early;
  if (record.report.rehearsal) {
    for (const name of record.stepsLeft) {
      endStep(beginStep(record, name, run.now()), 'skipped', run.now(), 'A rehearsal.');
    }
    record.stepsLeft = [];
    return 'nothing-to-do';
  }
  if (isExchange(run)) return 'exchange-begins';
  const refusal = await run.during(stillReady(run));
  run.isReady = true;
  if (refusal !== null) {
    record.refusal = refusal;
    run.recall(refusal);
    return (await run.interruption()) ?? 'recall';
  }
  // The volumes once more, because the tools may have taken their time.
  return (await run.interruption()) ?? 'task-begins';
}

const isExchange = ({ record }: Runner): boolean =>
  record.request.task.purpose === 'replacement' && record.request.task.command === null;

/** The image is held against the sum that it had in the plan: a drive gets what was looked at, or nothing. */
async function stillReady(run: Runner): Promise<string | null> {
  const { before, image } = run.record.report;
  if (before === null) return null;
  const { task } = run.record.request;
  const pinned = { ...task, imageSha256: image?.sha256 ?? task.imageSha256 };
  const ready = await run.task.check(run.taskDrive('plan'), before, pinned);
  if (ready.ok) return (await stillTheDrive(run)) ?? (await stillTheMembers(run));
  const { message } = explain(ready.problem);
  return ready.problem.code === 'image-wrong-checksum'
    ? `the image was changed after the plan. ${message}`
    : message;
}

/**
 * Null: what answers at the path is the drive that was asked for. Asked right before each command: the kernel gives names
 * as they come, and while nobody has a drive open its name may become another one's.
 */
async function stillTheDrive(run: Runner): Promise<string | null> {
  const { before } = run.record.report;
  if (before === null) return null;
  const facts = await run.task.probe(run.taskDrive('plan'));
  if (!facts.ok) return explain(facts.problem).message;
  const differs = compareFacts(before, facts.value);
  if (differs === null) return await usedByOthers(run);
  return `what answers at ${facts.value.path} is not the drive that was asked for: ${saidOfDiffer(differs)}.`;
}

/** While nobody has it open, somebody may have mounted it, or given a part of it to a volume. */
async function usedByOthers({ record, world }: Runner): Promise<string | null> {
  const why = await world.drives.whyInUse(record.drive.path, record.members);
  return why && `${record.drive.path} has come into use since the plan: ${why}`;
}

/** The server has let go of them, and the drive is as it left: it carries the members it was frozen with. */
async function stillTheMembers(run: Runner): Promise<string | null> {
  const { record, world } = run;
  for (const { path, uuid } of record.members) {
    let found = await run.do(world.tools.memberAt(path));
    for (let tries = 1; !found.ok && isInUse(found.problem) && tries < TRIES_TO_ASK; tries++) {
      await delay(world.timing.retryMs);
      found = await run.do(world.tools.memberAt(path));
    }
    if (!found.ok && isInUse(found.problem)) return explain(found.problem).message;
    const here = found.ok ? found.value : null;
    if (here !== null && here !== uuid) return `what is at ${path} is not the member that left.`;
    // It is told from its like by nothing else.
    if (here === null && record.report.before?.serial === '')
      return `${path} gives no serial number, and the member that left is not seen on it.`;
  }
  return null;
}

/** Somebody has it open for himself alone. */
const isInUse = ({ code }: Problem): boolean => code === 'drive-busy' || code === 'drive-mounted';

// --- the steps of the task -------------------------------------------------------------------------------------------

async function nextStep(run: Runner): Promise<RunEvent> {
  const [name] = run.record.stepsLeft;
  if (name === undefined) return 'task-ended';
  const other = await run.during(answersAsItself(run));
  // Begun by a server that died before the first command.
  const isLooked = name !== 'stage' || run.isReady;
  const refusal = isLooked ? null : await run.during(stillReady(run));
  // Between two steps is the moment to turn back: what was brought to the drive does nothing by itself.
  const event = await run.interruption();
  if (event !== null) await run.tell(event);
  if (run.record.phase === 'recalled') {
    leaveOutTheRest(run);
    return 'task-ended';
  }
  if (refusal !== null) {
    leaveOut(run, 'not-started', refusal);
    return 'task-ended';
  }
  const step = await run.step(name);
  if (other !== null) return ended(run, step, notStarted(other));
  // Not on record, a server that is started again would begin it a second time.
  if (!(await run.keep())) return ended(run, step, notStarted(run.whyUnwritten));
  return ended(run, step, await perform(run, name));
}

/** A drive may be silent for a moment after the step before. */
async function answersAsItself(run: Runner): Promise<string | null> {
  for (let tries = 1; ; tries += 1) {
    const other = await run.do(stillTheDrive(run));
    if (other === null || tries === TRIES_TO_ASK) return other;
    await delay(run.world.timing.retryMs);
  }
}

/** A command is over, now or while no server watched it: what follows from how it ended. */
function ended(run: Runner, step: StepReport, result: CommandResult): RunEvent {
  const { record } = run;
  step.command = result.command;
  step.exitStatus = result.exitStatus;
  step.output = result.output;
  endStep(step, stepResultOf(result), run.now(), result.reason);
  record.process = null;
  record.stepsLeft.shift();
  record.task = { result: result.result, exitStatus: result.exitStatus, reason: result.reason };
  if (result.result === 'done' && record.stepsLeft.length > 0) {
    if (record.phase === 'recalled') leaveOutTheRest(run);
    return 'step-ended';
  }
  record.stepsLeft = [];
  return 'task-ended';
}

function stepResultOf({ result }: CommandResult): StepReport['result'] {
  if (result === 'done') return 'done';
  return result === 'stopped' ? 'interrupted' : 'failed';
}

const leaveOutTheRest = (run: Runner): void =>
  leaveOut(run, 'stopped', 'the drive was called back.');

function leaveOut(run: Runner, result: 'stopped' | 'not-started', reason: string): void {
  const { record } = run;
  const note = capital(reason);
  for (const name of record.stepsLeft) {
    endStep(beginStep(record, name, run.now()), 'skipped', run.now(), note);
  }
  record.stepsLeft = [];
  record.task = { result, exitStatus: null, reason };
}

/** A test is stopped when the drive is wanted back; everything else that has begun is let finish. */
async function perform(run: Runner, name: RunStep): Promise<CommandResult> {
  const { request } = run.record;
  const { task } = run;
  const { stop, ...told } = controlOf(run, name);
  const control: StepControl = {
    ...told,
    onStarted: (process) => {
      run.record.process = process;
      // Its loss costs nothing: the task leaves the number of its process beside the output as well.
      void run.world.store.save(run.record);
    },
  };
  const drive = run.taskDrive(name);
  const work = {
    stage: () => task.stage(drive, request.task, control),
    activate: () => task.activate(drive, request.task, control),
    reset: () => task.reset(drive, request.task, control),
    diagnose: () => task.diagnose(drive, request.task, control),
    exchange: () => task.stage(drive, request.task, control),
  }[name as 'stage' | 'activate' | 'reset' | 'diagnose' | 'exchange']();
  return await supervised(run, name, work, stop);
}

/** Looks at the volumes while the command is at work; `stop` reaches only what may be stopped. */
async function supervised<T>(
  run: Runner,
  name: RunStep,
  work: Promise<T>,
  stop: AbortController,
): Promise<T> {
  return await run.during(work, (effects) => {
    if (effects.includes('stop-test') && name === 'diagnose') stop.abort();
  });
}

function controlOf(run: Runner, name: RunStep) {
  const { request, report } = run.record;
  const stop = new AbortController();
  const step = lastStep(run.record);
  return {
    outputPath: run.world.store.outputPath(report.id, name),
    limitMs: request.task.commandLimitMs,
    stop,
    signal: stop.signal,
    onProgress: (share: number): void => {
      if (step) step.note = `${Math.floor(share * 100)} %`;
    },
  };
}

/** After a restart: the tool of before may still be at work, or have ended while no server watched. */
async function waitForTool(run: Runner): Promise<RunEvent> {
  const { record, world } = run;
  const step = lastStep(record);
  if (step === undefined || step.result !== 'running') {
    return record.stepsLeft.length > 0 ? 'step-ended' : 'task-ended';
  }
  const { stop, ...control } = controlOf(run, step.step);
  const former = {
    process: record.process,
    // What Locum's own tools were given is not known any more; the step says enough.
    shown: record.request.task.command ?? '',
    mayStop: step.step === 'diagnose',
  };
  const waiting = world.tools.waitForCommand(former, control);
  const result = await supervised(run, step.step, waiting, stop);
  if (result !== null && (result.result !== 'failed' || result.exitStatus !== null)) {
    return ended(run, step, result);
  }
  step.output = result?.output ?? '';
  record.process = null;
  await run.endStep(step, 'interrupted', 'The server was stopped while it was at work.');
  // Looking at a drive changes nothing: a test is begun anew.
  if (step.step === 'diagnose' && record.phase === 'working') return 'step-ended';
  record.stepsLeft = [];
  const reason = 'the server was stopped while it was at work.';
  record.task = { result: 'interrupted', exitStatus: null, reason };
  return 'task-ended';
}

// --- the exchange of a drive -----------------------------------------------------------------------------------------

async function look(run: Runner): Promise<RunEvent> {
  const { record, world } = run;
  const { newDrivePath } = record.request.task;
  const step = await run.step('exchange');
  for (;;) {
    const event = await run.interruption();
    if (event !== null) {
      await run.endStep(step, event === 'recall' ? 'skipped' : 'done');
      return event;
    }
    if (newDrivePath !== null) {
      const place = await run.do(world.tools.placeOf(newDrivePath));
      if (!place.identity.startsWith('path:')) {
        await run.endStep(step, 'done', `The new drive is at ${newDrivePath}.`);
        return 'drive-exchanged';
      }
    }
    const { path } = record.report.drive;
    const [volume] = record.report.volumes;
    await run.waits(
      `${path} may be taken out now.`,
      newDrivePath === null
        ? `Put the new drive in, then \`locum window close ${volume} --drive PATH\`.`
        : `Put the new drive in, so that it is at ${newDrivePath}.`,
    );
    await run.pause(world.timing.lookMs);
    run.changed();
  }
}

// --- who is it? ------------------------------------------------------------------------------------------------------

/** One try: is it the drive that left, as it left, and does it read? */
async function identify(run: Runner): Promise<RunEvent> {
  const { record, world } = run;
  const step = await run.step('identify');
  const event = await run.interruption();
  if (event !== null) {
    await run.endStep(step, 'skipped');
    return event;
  }
  const answer = await run.during(ask(run));
  if (typeof answer === 'string' || 'what' in answer) {
    await sayWhatIsWrong(run, step, answer);
    const isSlow = record.report.state === 'waiting';
    await run.pause(isSlow ? world.timing.retryMs * 2 : world.timing.retryMs);
    return (await run.interruption()) ?? 'not-answered';
  }
  run.goesOn();
  record.report.after = answer;
  const { path, leftFrom } = record.drive;
  // What was wrong at earlier tries is over.
  step.note = '';
  await run.endStep(step, 'done', path === leftFrom ? '' : `It is at ${path} now.`);
  await readTest(run);
  return 'answered';
}

/**
 * Where it was; and when another one is there, or it stays silent, wherever a drive says that it is the one. All others have
 * to be asked for that, and a drive may take its time to start: not at once, nor each time.
 */
export async function ask(run: Runner): Promise<DriveFacts | FactsDiffer | string> {
  const { before } = run.record.report;
  const answer = await askHere(run);
  if (before === null) return answer;
  if (typeof answer !== 'string') {
    run.silences = 0;
    if (!('what' in answer)) return answer;
  } else if (run.silences++ % SILENCES_TO_SEARCH !== SILENCES_TO_SEARCH - 1) return answer;
  const found = await run.world.tools.findDrive(before, run.task);
  if (found === null || found.path === run.record.drive.path) return answer;
  await run.movesTo(found.path);
  return askHere(run);
}

const SILENCES_TO_SEARCH = 4;

async function askHere(run: Runner): Promise<DriveFacts | FactsDiffer | string> {
  const facts = await run.task.probe(run.taskDrive('identify'));
  if (!facts.ok) return explain(facts.problem).message;
  const { before } = run.record.report;
  return (before === null ? null : compareFacts(before, facts.value)) ?? facts.value;
}

/** What a drive is silent about is said once. */
export const silent = (path: string, answer: string): string =>
  `${path} does not answer since its task: ${answer.replace(`${path} does not answer: `, '')}`;

async function sayWhatIsWrong(
  run: Runner,
  step: StepReport,
  answer: DriveFacts | FactsDiffer | string,
): Promise<void> {
  const { request, report } = run.record;
  const { path } = run.record.drive;
  const close = `\`locum window close ${request.volume} --drive PATH\` takes it from another path.`;
  if (typeof answer === 'string') {
    step.note = answer;
    if (run.elapsedMs(step) < request.task.answerLimitMs) return;
    await run.waits(
      silent(path, answer),
      `The volume is safe in its window. Power-cycle or reseat the drive; ${close}`,
    );
  } else if ('what' in answer) {
    step.note = saidOfDiffer(answer);
    await run.waits(
      `What answers at ${path} is not the drive that left, or not as it left: ${step.note}.`,
      `It is not taken back, and the volume is safe in its window. ${insteadOf(answer, report, close)}`,
    );
  }
}

/** The drive that left and has another shape is not to be fetched from anywhere: it is here. */
function insteadOf({ what }: FactsDiffer, { before, volumes }: RunReport, close: string): string {
  if (what === 'serial' || what === 'model')
    return `Bring the drive that left (serial ${before?.serial ?? ''}); ${close}`;
  return (
    `Undo the change of ${saidOfShape[what]}, and it is taken back by itself; ` +
    `or take another one in its place: \`locum window close ${volumes[0]} --drive PATH --rebuild\`.`
  );
}

const saidOfShape = {
  capacity: 'capacity (host protected area, over-provisioning)',
  'block-size': 'block size',
} as const;

async function readTest(run: Runner): Promise<void> {
  const { record, world } = run;
  const step = await run.step('verify');
  const control: StepControl = {
    outputPath: world.store.outputPath(record.report.id, 'verify'),
    limitMs: Math.min(READ_TEST_LIMIT_MS, record.request.task.commandLimitMs),
    signal: new AbortController().signal,
    onProgress: () => {},
    onStarted: () => {},
  };
  const result = await run.during(run.task.verify(run.taskDrive('verify'), control));
  step.command = result.command;
  step.exitStatus = result.exitStatus;
  step.output = result.output;
  // One that could not be begun says nothing of the drive: the verdict says that it was not made.
  const isBegun = result.result !== 'not-started';
  const isBad = result.result !== 'done' && isBegun;
  record.readTest = isBad ? result.reason || 'the read test failed.' : '';
  record.unread = isBegun ? '' : result.reason || 'the read test could not be begun.';
  await run.endStep(step, stepResultOf(result), result.reason);
}
