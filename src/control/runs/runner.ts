/**
 * One run from the freeze to its end. What happens is told to core/machines/run.ts as an event; the record is durable; then
 * the answer is carried out. Carrying out one thing ends in the next event: there is one line of execution for each run.
 *
 * Invariants:
 *   1. The phase, and the step that begins, are on record before anything of them is done.
 *   2. `begun` is on record before the first command that may change the drive.
 *   3. An abandoned runner (its server ends) does nothing any more, whatever it was waiting for: `#do` sees to that.
 */

import { assert } from '../../base/assert.ts';
import {
  decideRun,
  type RunEffect,
  type RunEvent,
  type RunPhase,
} from '../../core/machines/run.ts';
import type { RunReport, RunStep, StepReport } from '../../core/run-report.ts';
import { verdictOf } from '../../core/run-verdict.ts';
import type { LocumEvent } from '../../core/status.ts';
import type { DriveTask, TaskDrive } from '../../tasks/task.ts';
import type { Asking } from '../asking.ts';
import type { Claims } from '../claims.ts';
import type { VolumeTable } from '../volume-table.ts';
import { beginStep, copyOf, endStep, lastStep, movedPath, type RunRecord } from './run-record.ts';
import type { RunStore } from './run-store.ts';
import type { RunTiming, RunTools } from './run-tools.ts';
import { backHome } from './runner-return.ts';
import { openWindows, taskWork } from './runner-task.ts';
import type { SharedDrives } from './shared-drive.ts';
import type { WindowGroups } from './window-groups.ts';
import { lookAtWindow, type WindowSight } from './window-look.ts';

export interface RunnerWorld {
  readonly table: VolumeTable;
  readonly asking: Asking;
  readonly groups: WindowGroups;
  readonly drives: SharedDrives;
  readonly claims: Claims;
  readonly store: RunStore;
  readonly tools: RunTools;
  readonly timing: RunTiming;
  readonly onChange: (report: RunReport) => void;
}

/** Thrown through a runner whose server ends; caught at its end and nowhere else. */
class Abandoned extends Error {}

/** What carries out an effect; answers with what came of it. */
export type Activity = (run: Runner) => Promise<RunEvent>;

/** In `identifying` it has ended as a rule; one that hangs in its drive outlives its limit. */
const toolMayWork: ReadonlySet<RunPhase> = new Set(['working', 'recalled', 'identifying']);

const activities: Readonly<Record<Exclude<RunEffect, 'stop-test' | 'end'>, Activity>> = {
  ...taskWork,
  ...backHome,
};

export class Runner {
  readonly record: RunRecord;
  readonly world: RunnerWorld;
  #isAlive = true;
  #wake: () => void = () => {};
  #task: DriveTask | null = null;
  readonly #beganMs = new WeakMap<StepReport, number>();
  /** Asked for by an operator or a rollout. */
  #recallAsked: string | null = null;
  sights: readonly WindowSight[] = [];
  /** How often in a row the drive has not answered. */
  silences = 0;
  /** Tool, rights and image were looked at with the windows open, by this server. */
  isReady = false;

  constructor(record: RunRecord, world: RunnerWorld) {
    this.record = record;
    this.world = world;
  }

  // --- its life ------------------------------------------------------------------------------------------------------

  /** Resolves when the run has ended or was abandoned. */
  async live(first: 'open' | 'restarted'): Promise<void> {
    const { claims } = this.world;
    const { id } = this.record.report;
    try {
      await this.#hold();
      if (first === 'restarted') this.#closeInterruptedStep();
      let event = first === 'restarted' ? first : await openWindows(this);
      for (;;) {
        const effects = await this.tell(event);
        const effect = effects.find((one) => one !== 'stop-test');
        if (effect === undefined || effect === 'end') return;
        event = await activities[effect](this);
      }
    } catch (error) {
      if (!(error instanceof Abandoned)) throw error;
    } finally {
      claims.letGo(id);
    }
  }

  /** The kernel gave the drive another name; everybody is told that one from now on. */
  async movesTo(path: string): Promise<void> {
    const { record } = this;
    const [first] = record.members;
    record.drive.path = path;
    if (first) record.report.drive.path = movedPath(record, first.path) ?? first.path;
    await this.#hold();
    await this.keep();
  }

  /** What is on the drive beside its members is looked for; all of it is held from then on. */
  async #hold(): Promise<void> {
    const { drive, phase } = this.record;
    if (phase === 'late') return;
    drive.rest = await this.do(this.world.drives.restOf(drive.path, this.#memberPaths()));
    this.#claim(false);
  }

  /** As it was on record, until `live` has looked: a tool of the server before this one may be at work on it. */
  holdAsRecorded(): void {
    this.#claim(true);
  }

  /**
   * What is on the drive beside its members is free, and to be given to nobody before the drive is back. The members are
   * their volumes'; but these may go on without them while a tool is at work, and nobody is given them before it is over.
   * Then nothing is done to the drive any more, and whoever comes in its place may have got its name.
   */
  #claim(isRemembered: boolean): void {
    const { drive, phase, report } = this.record;
    if (phase === 'late' || phase === 'ended') {
      this.world.claims.letGo(report.id);
      return;
    }
    const members = toolMayWork.has(phase) ? this.#memberPaths() : [];
    const paths = [...(drive.rest ?? [drive.path]), ...members];
    const work = `${report.purpose} of ${report.drive.path}`;
    this.world.claims.hold(report.id, { volumes: report.volumes, paths, work, isRemembered });
  }

  #memberPaths(): string[] {
    return this.record.members.map(({ path }) => movedPath(this.record, path) ?? path);
  }

  abandon(): void {
    this.#isAlive = false;
    this.#wake();
  }

  recall(why: string): void {
    this.#recallAsked ??= why;
    // Of an exchange the old drive is wanted back instead of the new one, as long as neither has been taken.
    const { phase, report } = this.record;
    if (phase === 'returning' && !report.begun) this.record.recallWhy ??= why;
    this.#wake();
  }

  /** What is awaited, unless the server ends meanwhile. */
  async do<T>(waiting: Promise<T>): Promise<T> {
    const value = await waiting;
    if (!this.#isAlive) throw new Abandoned();
    return value;
  }

  /** Ends early when somebody has something to say. */
  async pause(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
      this.#wake = resolve;
    });
    await over;
    clearTimeout(timer);
    this.#wake = () => {};
    if (!this.#isAlive) throw new Abandoned();
  }

  // --- what happens --------------------------------------------------------------------------------------------------

  async tell(event: RunEvent): Promise<readonly RunEffect[]> {
    const { record } = this;
    const decision = decideRun(record.phase, event);
    assert(decision.kind === 'move', `run: ${event} in ${record.phase} is told only when it moves`);
    const isUndone = decision.to === 'returning' && !record.report.begun;
    if (event === 'restarted' && isUndone && record.phase !== 'returning')
      record.recallWhy ??= 'the server was stopped before it began.';
    if (event === 'recall') record.recallWhy ??= this.#recallWhy() ?? 'it was wanted back';
    if (event === 'thawed') record.thawed = true;
    if (event === 'taken-back') record.takenBack = true;
    if (event === 'task-begins') record.report.begun = true;
    if (decision.to !== record.phase) this.goesOn();
    record.phase = decision.to;
    this.#claim(false);
    if (decision.to === 'ended') {
      this.#judge();
      // Said before it is on record: a server that dies here says it again, and never not at all.
      this.#announceEnd();
    }
    const isKept = await this.keep();
    if (event === 'task-begins' && !isKept) {
      // Never touched without a record of it.
      record.report.begun = false;
      record.phase = 'frozen';
      record.recallWhy ??= this.whyUnwritten;
      return await this.tell('recall');
    }
    return decision.effects;
  }

  /** Looks at all windows. Null: nothing there that would move the run. */
  async interruption(): Promise<RunEvent | null> {
    const { record, world } = this;
    const ids = record.report.windowIds;
    const mayDiffer = record.report.purpose === 'replacement';
    this.sights = await this.do(
      Promise.all(
        record.members.map((member, index) =>
          lookAtWindow(world.table, member, ids[index] ?? null, mayDiffer),
        ),
      ),
    );
    this.#count();
    const states = this.sights.map(({ state }) => state);
    const told: RunEvent[] = [];
    if (states.some((state) => state === 'thawing' || state === 'thawed')) told.push('thawed');
    const isOver = (state: WindowSight['state']): boolean =>
      state === 'replaying' || state === 'returned' || (state === 'none' && ids.length > 0);
    if (states.some(isOver)) told.push('closed-by-hand');
    if (this.#recallWhy() !== null) told.push('recall');
    return told.find((event) => decideRun(record.phase, event).kind === 'move') ?? null;
  }

  /**
   * Waits for work that is not to be interrupted, and looks at the windows meanwhile. Only a task that is at work is told
   * what happens there (`onEvent`): after everything else the windows are looked at again in any case.
   */
  async during<T>(
    work: Promise<T>,
    onEvent: (effects: readonly RunEffect[]) => void = () => {},
  ): Promise<T> {
    let isOver = false;
    const over = work.finally(() => {
      isOver = true;
      this.#wake();
    });
    over.catch(() => {});
    while (!isOver) {
      await this.pause(this.world.timing.lookMs);
      if (isOver) break;
      const event = await this.interruption();
      if (event !== null && this.record.phase === 'working') onEvent(await this.tell(event));
      this.changed();
    }
    return await this.do(over);
  }

  #recallWhy(): string | null {
    if (this.#recallAsked !== null) return this.#recallAsked;
    for (const sight of this.sights) {
      if ('recall' in sight && sight.recall !== null) return sight.recall;
    }
    return null;
  }

  #count(): void {
    const { report } = this.record;
    let logged = 0;
    let replayed = 0;
    for (const sight of this.sights) {
      const from = 'loggedBytes' in sight ? sight : 'report' in sight ? sight.report : null;
      logged += from?.loggedBytes ?? 0;
      replayed += from?.replayedBytes ?? 0;
    }
    report.loggedBytes = Math.max(report.loggedBytes, logged);
    report.replayedBytes = Math.max(report.replayedBytes, replayed);
  }

  // --- the record ----------------------------------------------------------------------------------------------------

  now(): string {
    return new Date(this.world.table.options.wallMs()).toISOString();
  }

  /** Milliseconds since the step began, over restarts. Only across those it is told by a clock that somebody may set. */
  elapsedMs(step: StepReport): number {
    const nowMs = performance.now();
    const known = this.#beganMs.get(step);
    if (known !== undefined) return nowMs - known;
    const ageMs = this.world.table.options.wallMs() - Date.parse(step.startedAt);
    this.#beganMs.set(step, nowMs - Math.max(0, ageMs));
    return Math.max(0, ageMs);
  }

  /** The step at work, begun now unless it is at work already; on record when this resolves. */
  async step(name: RunStep): Promise<StepReport> {
    const last = lastStep(this.record);
    if (last?.step === name && last.result === 'running') return last;
    const step = beginStep(this.record, name, this.now());
    this.elapsedMs(step);
    this.announce('run-step', 'info', `${this.record.report.drive.path}: ${name}`, { step: name });
    await this.keep();
    return step;
  }

  async endStep(step: StepReport, result: StepReport['result'], note = ''): Promise<void> {
    endStep(step, result, this.now(), note);
    await this.keep();
  }

  async keep(): Promise<boolean> {
    const isKept = await this.do(this.world.store.save(this.record));
    this.changed();
    return isKept;
  }

  /** Of a record that could not be kept, in a sentence. */
  get whyUnwritten(): string {
    return this.world.store.whyNotSaved(this.record.report.id);
  }

  changed(): void {
    this.world.onChange(copyOf(this.record.report));
  }

  /** Somebody has to do something; said once for each sentence. */
  async waits(sentence: string, next: string): Promise<void> {
    const { report } = this.record;
    const isNews = report.state !== 'waiting' || report.sentence !== sentence;
    report.state = 'waiting';
    report.sentence = sentence;
    report.next = next;
    if (!isNews) return;
    this.announce('run-waiting', 'warning', `${sentence} ${next}`.trim());
    await this.keep();
  }

  /** Nobody has to do anything any more. */
  goesOn(): void {
    const { report } = this.record;
    report.state = 'running';
    report.sentence = '';
    report.next = '';
  }

  #closeInterruptedStep(): void {
    const step = lastStep(this.record);
    const { phase } = this.record;
    // The tool of these phases may still be at work; who waits for it says how it ended.
    if (step?.result !== 'running' || phase === 'working' || phase === 'recalled') return;
    endStep(step, 'interrupted', this.now(), 'The server was stopped meanwhile.');
  }

  #judge(): void {
    const { record } = this;
    const { report, request } = record;
    const { outcome, sentence, next } = verdictOf({
      volume: request.volume,
      path: report.drive.path,
      purpose: report.purpose,
      rehearsal: report.rehearsal,
      begun: report.begun,
      version: request.task.version,
      ownCommand: request.task.command !== null,
      recallWhy: record.recallWhy,
      refusal: record.refusal,
      task: record.task,
      before: report.before,
      after: report.after,
      readTest: record.readTest,
      unread: record.unread ?? '',
      thawed: record.thawed,
      takenBack: record.takenBack,
      newPath: request.task.newDrivePath,
      rebuilt: this.sights.some(
        (sight) => sight.state === 'returned' && sight.report.outcome === 'rebuilt',
      ),
    });
    Object.assign(report, { outcome, sentence, next });
    report.state = 'ended';
    report.endedAt = this.now();
  }

  #announceEnd(): void {
    const { outcome, sentence, next } = this.record.report;
    const isBad = outcome === 'drive-lost' || outcome === 'unhealthy';
    const isWell = outcome === 'done' || outcome === 'rehearsed';
    this.announce(
      'run-ended',
      isBad ? 'critical' : isWell ? 'info' : 'warning',
      `${sentence} ${next}`.trim(),
      { outcome },
    );
  }

  announce(
    kind: string,
    severity: LocumEvent['severity'],
    message: string,
    detail: LocumEvent['detail'] = {},
  ): void {
    const { id, volumes, drive } = this.record.report;
    for (const volume of volumes) {
      this.world.table.announce(volume, kind, severity, message, {
        run: id,
        path: drive.path,
        ...detail,
      });
    }
  }

  // --- the drive -----------------------------------------------------------------------------------------------------

  get task(): DriveTask {
    const { drive, request } = this.record;
    this.#task ??= this.world.tools.taskOf(drive.transport, request.task);
    return this.#task;
  }

  /** The drive as a task sees it, with what a command of the user's own is told. */
  taskDrive(step: RunStep): TaskDrive {
    const { drive, report, request } = this.record;
    return {
      path: drive.path,
      transport: drive.transport,
      environment: {
        LOCUM_VOLUME: request.volume,
        LOCUM_VOLUMES: report.volumes.join(' '),
        LOCUM_WINDOW: report.windowIds[0] ?? '',
        LOCUM_RUN: report.id,
        LOCUM_DRIVE_PATH: drive.path,
        LOCUM_MEMBER_PATH: report.drive.path,
        LOCUM_SLOT: String(report.drive.slot ?? ''),
        LOCUM_MEMBER_UUID: report.drive.uuid,
        LOCUM_IMAGE: request.task.imagePath ?? '',
        LOCUM_STEP: step,
      },
    };
  }
}
