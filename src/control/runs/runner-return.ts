/**
 * The second half of a run: every volume takes its drive back, the log is replayed, and a volume that went on without the
 * drive gets it as a former member. Each function carries out one effect of the run's machine.
 */

import { explain } from '../../api/errors.ts';
import { saidOfDiffer } from '../../core/drive-facts.ts';
import type { RunEvent } from '../../core/machines/run.ts';
import { done, type Outcome, type Problem, type ProblemCode } from '../../core/problems.ts';
import type { CloseRequest } from '../../engine/contract.ts';
import { movedPath } from './run-record.ts';
import type { Activity, Runner } from './runner.ts';
import { ask, silent } from './runner-task.ts';
import type { GroupMember } from './shared-drive.ts';
import type { WindowSight } from './window-look.ts';

export const backHome: Readonly<Record<'bring-back' | 'follow-replay' | 'bring-late', Activity>> = {
  'bring-back': bringBack,
  'follow-replay': followReplay,
  'bring-late': bringLate,
};

/** Refusals that are over by themselves as a rule: the drive is still starting, or its tool still has it open. */
const passing: ReadonlySet<ProblemCode> = new Set([
  'window-drive-absent',
  'drive-path-missing',
  'drive-busy',
  'drive-open-failed',
  'window-wrong-state',
  'volume-stalled',
]);

/** Null: this volume has its member. */
type Trouble = { readonly sentence: string; readonly next: string; readonly isPassing: boolean };

/** The freeze was refused or never begun: there is nothing to bring back, and no step to tell of. */
async function nothingIsOpen(run: Runner): Promise<boolean> {
  if (run.record.report.windowIds.length > 0) return false;
  await run.interruption();
  return run.sights.every(({ state }) => state === 'none');
}

async function bringBack(run: Runner): Promise<RunEvent> {
  if (await nothingIsOpen(run)) return 'returned';
  const step = await run.step('return');
  const event = await run.interruption();
  if (event !== null) {
    await run.endStep(step, 'interrupted');
    return event;
  }
  const trouble = await everyVolume(run, takeBack);
  if (trouble === null) {
    await run.endStep(step, 'done');
    return 'returned';
  }
  step.note = trouble.sentence;
  const isPatient =
    trouble.isPassing && run.elapsedMs(step) < run.record.request.task.answerLimitMs;
  if (!isPatient) await run.waits(trouble.sentence, trouble.next);
  await run.pause(isPatient ? run.world.timing.retryMs : run.world.timing.retryMostMs);
  return (await run.interruption()) ?? 'not-returned';
}

async function everyVolume(
  run: Runner,
  act: (run: Runner, member: GroupMember, sight: WindowSight) => Promise<Trouble | null>,
): Promise<Trouble | null> {
  let first: Trouble | null = null;
  for (const [index, member] of run.record.members.entries()) {
    const sight = run.sights[index];
    const trouble = sight === undefined ? null : await act(run, member, sight);
    first ??= trouble;
  }
  return first;
}

async function takeBack(
  run: Runner,
  member: GroupMember,
  sight: WindowSight,
): Promise<Trouble | null> {
  switch (sight.state) {
    case 'none':
    case 'replaying':
    case 'returned':
      return null;
    case 'unknown':
      return notRunning(member, sight.why);
    // By hand, or by a call that was given up: what comes of it is seen next time.
    case 'returning':
    case 'thawing':
    case 'thawed':
      return {
        sentence: `Volume ${member.volume} is comparing the drive.`,
        next: '',
        isPassing: true,
      };
    case 'open': {
      const request = closeRequestOf(run, member);
      const { id } = run.record.report;
      const closed = await run.during(run.world.groups.closeOne(member.volume, request, id));
      return closed.ok || closed.problem.code === 'window-none'
        ? null
        : refusedBy(run, member, closed.problem);
    }
  }
}

/** The new drive of a replacement, unless the old one was called back; another drive wherever it is now. */
function closeRequestOf({ record }: Runner, { path }: GroupMember): CloseRequest {
  const { task, window } = record.request;
  const isOld = record.recallWhy !== null || record.report.rehearsal;
  const exchanged = isOld ? null : task.newDrivePath;
  const drivePath = exchanged ?? movedPath(record, path);
  return { drivePath, verify: window.verify, rebuild: false };
}

const notRunning = ({ volume }: GroupMember, why: string): Trouble => ({
  sentence: `The drive cannot be given back: ${why}.`,
  next: `Nothing is lost. Start the volume: \`locum volume assemble ${volume}\`.`,
  isPassing: true,
});

function refusedBy({ record }: Runner, { volume }: GroupMember, problem: Problem): Trouble {
  const { message, fix } = explain({ ...problem, detail: { volume, ...problem.detail } });
  const { newDrivePath } = record.request.task;
  const other =
    newDrivePath === null || record.recallWhy !== null
      ? ''
      : ` Or take the old drive back: \`locum window abort ${volume}\`.`;
  return {
    sentence: `Volume ${volume} does not take the drive back: ${message}`,
    next: `${fix}${other}`,
    isPassing: passing.has(problem.code),
  };
}

// --- replay ----------------------------------------------------------------------------------------------------------

async function followReplay(run: Runner): Promise<RunEvent> {
  if (await nothingIsOpen(run)) return 'replayed';
  const step = await run.step('replay');
  for (;;) {
    const event = await run.interruption();
    if (event !== null) {
      await run.endStep(step, 'interrupted');
      return event;
    }
    const trouble = await everyVolume(run, stillReplaying);
    if (trouble === null) break;
    if (trouble.sentence === '') run.goesOn();
    else await run.waits(trouble.sentence, trouble.next);
    await run.pause(run.world.timing.lookMs);
    run.changed();
  }
  await run.endStep(step, 'done');
  await askNewDrive(run);
  await run.endStep(await run.step('close'), 'done');
  return 'replayed';
}

/** For the record: which drive has the place of the one that was replaced. A silent one is in use all the same. */
async function askNewDrive(run: Runner): Promise<void> {
  const { record, world } = run;
  const { newDrivePath } = record.request.task;
  if (newDrivePath === null || record.recallWhy !== null || record.report.rehearsal) return;
  const whole = await run.during(world.tools.wholeDrive(newDrivePath));
  if (!whole.ok) return;
  const { path, transport } = whole.value;
  const task = world.tools.taskOf(transport, record.request.task);
  const facts = await run.during(task.probe({ path, transport, environment: {} }));
  if (facts.ok) record.report.after = facts.value;
}

/** An empty sentence: it goes on, and nobody has to do anything. */
async function stillReplaying(
  run: Runner,
  member: GroupMember,
  sight: WindowSight,
): Promise<Trouble | null> {
  if (sight.state === 'none' || sight.state === 'returned') return null;
  // Closed by hand in one volume: the others follow. A return that failed half-way is tried again.
  if (sight.state === 'open') return takeBack(run, member, sight);
  if (sight.state === 'unknown') return notRunning(member, sight.why);
  return { sentence: '', next: '', isPassing: true };
}

// --- a volume that went on without the drive -------------------------------------------------------------------------

async function bringLate(run: Runner): Promise<RunEvent> {
  const step = await run.step('return');
  const event = await run.interruption();
  if (event !== null) return event;
  const trouble = (await unknownDrive(run)) ?? (await everyVolume(run, takeBackLate));
  if (trouble === null) {
    await run.endStep(step, 'done', 'By a resync.');
    return 'taken-back';
  }
  step.note = trouble.sentence;
  const { lateMs, retryMs } = run.world.timing;
  // While a volume thaws or does not run there is nothing to offer the drive to.
  if (!trouble.isPassing && run.elapsedMs(step) > lateMs) {
    await run.endStep(step, 'failed', trouble.sentence);
    return 'gave-up';
  }
  if (trouble.sentence === '') run.goesOn();
  else await run.waits(trouble.sentence, trouble.next);
  await run.pause(retryMs);
  return 'not-taken-back';
}

/**
 * A thaw may come before the drive has said who it is. It is offered to no volume until it has: what is at its path may be
 * somebody else's drive by now, and a volume that misses a member takes a blank one.
 */
async function unknownDrive(run: Runner): Promise<Trouble | null> {
  const { report, drive } = run.record;
  if (!report.begun || report.after !== null || report.purpose === 'replacement') return null;
  const answer = await run.during(ask(run));
  if (typeof answer !== 'string' && !('what' in answer)) {
    report.after = answer;
    return null;
  }
  const sentence =
    typeof answer === 'string'
      ? silent(drive.path, answer)
      : `What answers at ${drive.path} is not the drive that left, or not as it left: ${saidOfDiffer(answer)}.`;
  return {
    sentence,
    next: `Power-cycle or reseat the drive (serial ${report.before?.serial ?? ''}), or replace it: \`locum drive add ${report.volumes[0]} PATH\`.`,
    isPassing: false,
  };
}

async function takeBackLate(
  run: Runner,
  member: GroupMember,
  sight: WindowSight,
): Promise<Trouble | null> {
  if (sight.state === 'thawing') return { sentence: '', next: '', isPassing: true };
  if (sight.state !== 'thawed') return takeBack(run, member, sight);
  const { volume, slot, uuid, path } = member;
  const drive = run.world.table.entries
    .get(volume)
    ?.handle?.last?.status.drives.find((one) => one.slot === slot);
  const isIn = drive?.state === 'online' || drive?.state === 'rebuilding';
  if (isIn && drive.uuid === uuid) return null;
  if (isIn) {
    const now = movedPath(run.record, path) ?? path;
    // The other one may have got its name.
    const free = now === drive.path ? 'PATH' : now;
    return {
      sentence: `Another drive, ${drive.path}, has taken its place in volume ${volume}.`,
      next: `The drive that was away is free: \`locum drive add ${volume} ${free} --spare\`.`,
      isPassing: false,
    };
  }
  const added = await run.during(offer(run, member));
  return added.ok ? null : { ...refusedBy(run, member, added.problem), isPassing: false };
}

async function offer(run: Runner, { volume, path }: GroupMember): Promise<Outcome<void>> {
  const now = movedPath(run.record, path) ?? path;
  const verify = run.record.request.window.verify === 'full' ? 'full' : 'sample';
  const changed = await run.world.asking.change(volume, 'addDrive', [now, false, false, verify]);
  return changed.ok ? done(undefined) : changed;
}
