/**
 * One rollout at work. It looks, about once a second and whenever a run changes: what has become of the drives at work, are
 * the volumes well, may another drive go. What to do is decided in core/machines/rollout*.ts; here it is carried out.
 *
 * Invariants
 *   1. Looks are one after another. A command (pause, resume, stop) may come between any two steps of a look, so the
 *      state is read again right before a drive is begun.
 *   2. Everything that a restarted server must know is durable before what follows from it begins.
 *   3. A drive at work is never broken off: closing the worker leaves it where it is, for the next server to go on with.
 */

import { randomUUID } from 'node:crypto';
import { explain } from '../../api/errors.ts';
import {
  decideRollout,
  type RolloutDriveEvent,
  type RolloutEvent,
} from '../../core/machines/rollout.ts';
import {
  eventOfOutcome,
  isAtWork,
  isSettled,
  isTrouble,
  nextDrives,
  skipReason,
  type Verdict,
} from '../../core/machines/rollout-decisions.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { RolloutDrive } from '../../core/rollout-report.ts';
import type { RunReport } from '../../core/run-report.ts';
import type { DriveStatus, VolumeStatus } from '../../core/status.ts';
import { whyUnwell } from './after-soak.ts';
import { RolloutBook } from './rollout-book.ts';
import { askDrive, knownRevisions } from './rollout-planner.ts';
import { keyOf, nameOf, ownerOf, type RolloutRecord } from './rollout-record.ts';
import type { ResumeRequest } from './rollout-request.ts';
import type { RolloutStore } from './rollout-store.ts';
import type { RolloutTools } from './rollout-tools.ts';
import { nextAfterBadResult, nextWhenPaused } from './rollout-words.ts';
import { flashSpare, resumeSpare, type SpareEnd, type SpareJob } from './spare-flash.ts';
import { VolumeWatch } from './volume-watch.ts';

/** A drive that was begun so often and broken off each time is left alone. */
const TRIES_MAX = 5;

export class RolloutWorker {
  readonly record: RolloutRecord;
  readonly #tools: RolloutTools;
  readonly #store: RolloutStore;
  readonly #book: RolloutBook;
  readonly #watch: VolumeWatch;
  /** Spares at work in this process, and how they ended. */
  readonly #spares = new Map<RolloutDrive, SpareEnd | null>();
  /** Runs that were at work when this server started: their end says less about the drive. */
  readonly #interrupted: Set<RolloutDrive>;
  #looking: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /** `restarted`: the record comes from another server's life. */
  constructor(tools: RolloutTools, store: RolloutStore, record: RolloutRecord, restarted: boolean) {
    this.record = record;
    this.#tools = tools;
    this.#store = store;
    this.#book = new RolloutBook(tools, store, record);
    this.#watch = new VolumeWatch(tools.volumes, this.#book);
    const running = record.report.drives.filter(({ state }) => state === 'running');
    this.#interrupted = new Set(restarted ? running : []);
    if (restarted) this.#afterRestart();
  }

  get #report() {
    return this.record.report;
  }

  /** Looks now, and again until it is over. */
  wake(): void {
    this.#again = true;
    this.#looking ??= this.#lookOften();
  }

  /** No more looks; resolves when the one under way has ended. Tools on spares are left to themselves. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  // --- commands ------------------------------------------------------------------------------------------------------

  async pause(): Promise<Outcome<void>> {
    return this.#command('pause', 'paused by the administrator', nextWhenPaused(this.record));
  }

  async stop(): Promise<Outcome<void>> {
    const atWork = this.#report.drives.find(isAtWork);
    const reason = 'stopped by the administrator';
    const next = atWork === undefined ? '' : `${nameOf(atWork)} is let finish.`;
    return this.#command('stop', reason, next);
  }

  async resume(request: ResumeRequest): Promise<Outcome<void>> {
    const decision = decideRollout(this.#report.state, 'resume');
    if (decision.kind === 'move') {
      const { window } = this.record;
      this.record.window = {
        ...window,
        allowDegraded: window.allowDegraded || request.allowDegraded,
      };
      this.#report.allowDegraded = this.record.window.allowDegraded;
      if (request.retry) {
        for (const drive of this.#report.drives) {
          this.#book.drive(drive, 'retry', drive.note);
          if (drive.state === 'pending') delete this.record.tries[keyOf(this.record, drive)];
        }
      }
      await this.#watch.takeAsItIs();
    }
    return this.#command('resume', '', '');
  }

  async #command(event: RolloutEvent, reason: string, next: string): Promise<Outcome<void>> {
    const { id, state } = this.#report;
    const decision = decideRollout(state, event);
    if (decision.kind === 'refused') return refuse('rollout-wrong-state', { rollout: id, state });
    if (decision.kind === 'move') {
      this.#book.tell(event, reason, next);
      this.#book.endIfOver();
      const isKept = await this.#book.save();
      this.wake();
      // It is so all the same: whoever wants it paused is not served by one that goes on.
      if (!isKept) {
        const detail = { rollout: id, state: this.#report.state, reason: this.#book.whyUnwritten };
        return refuse('rollout-unrecorded', detail);
      }
    }
    this.wake();
    return done(undefined);
  }

  // --- a look --------------------------------------------------------------------------------------------------------

  async #lookOften(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#look();
    }
    this.#looking = null;
    if (this.#closed || this.#report.endedAt !== null) return;
    this.#timer = setTimeout(() => this.wake(), this.#tools.lookMs);
  }

  async #look(): Promise<void> {
    const { drives } = this.#report;
    for (const drive of drives) {
      if (drive.state === 'running') this.#followWork(drive);
    }
    const statuses = await this.#watch.read();
    const verdicts = this.#watch.judge(statuses);
    for (const drive of drives) {
      if (drive.state === 'soaking') await this.#followSoak(drive, verdicts);
    }
    if (this.#report.state === 'running') await this.#beginNext(statuses, verdicts);
    if (isSettled(drives)) this.#book.tell('settled', '', '');
    this.#book.endIfOver();
    await this.#book.save();
  }

  // --- drives at work ------------------------------------------------------------------------------------------------

  #followWork(drive: RolloutDrive): void {
    if (drive.slot === null) {
      const end = this.#spares.get(drive);
      if (!end) return;
      this.#spares.delete(drive);
      drive.firmwareAfter = end.firmwareAfter;
      return this.#ended(drive, end.event, end.note, '');
    }
    const run = this.#runOf(drive);
    if (run === null) {
      // It was to begin when the server ended, and did not.
      if (drive.step === '') return this.#book.drive(drive, 'put-off', '');
      return this.#ended(drive, 'went-wrong', `its run ${drive.runId} is not known any more`, '');
    }
    drive.step = run.step;
    drive.note = run.state === 'waiting' ? run.sentence : '';
    if (run.outcome === null || run.state !== 'ended') return;
    drive.firmwareAfter = run.after?.firmware ?? '';
    // Its name may have become another one's since: it is looked at again after the soak.
    if (run.after !== null) drive.path = run.after.path;
    const event = eventOfOutcome[run.outcome];
    this.#ended(drive, event, event === 'applied' ? '' : run.sentence, run.next);
  }

  #runOf({ runId }: RolloutDrive): RunReport | null {
    return runId === null ? null : this.#tools.runs.get(runId);
  }

  #ended(drive: RolloutDrive, event: RolloutDriveEvent, note: string, next: string): void {
    const isNews = drive.firmwareAfter !== '' && drive.firmwareAfter !== drive.firmwareBefore;
    const wasInterrupted = this.#interrupted.delete(drive);
    const wasBrokenOff =
      wasInterrupted && this.record.tries[keyOf(this.record, drive)]! < TRIES_MAX;
    if (wasBrokenOff && event !== 'applied' && !isNews && this.#isBack(drive)) {
      return this.#book.drive(drive, 'put-off', 'broken off by a restart of the server');
    }
    this.#book.drive(drive, event, note);
    if (event === 'applied') {
      drive.soakUntil = this.#book.now(this.#report.soakMs);
    }
    const severity = event === 'applied' ? 'info' : 'warning';
    const what = event === 'applied' ? `it has ${drive.firmwareAfter} now` : note;
    this.#book.announce('rollout-drive', severity, `Firmware update: ${about(drive, what)}.`);
    if (isTrouble(event, this.#report.stopOnError)) {
      const reason = about(drive, note);
      this.#book.driveTrouble(drive, reason, nextAfterBadResult(this.record, next, drive.state));
    }
  }

  /** The run says that the drive came back: anything else is a matter for people. */
  #isBack(drive: RolloutDrive): boolean {
    if (drive.slot === null) return true;
    return this.#runOf(drive)?.outcome !== 'drive-lost';
  }

  async #followSoak(drive: RolloutDrive, verdicts: ReadonlyMap<string, Verdict>): Promise<void> {
    const nowMs = this.#tools.wallMs();
    const leftMs = Date.parse(drive.soakUntil!) - nowMs;
    // A clock that was set back must not make the soak much longer than it was meant.
    if (leftMs > this.#report.soakMs) drive.soakUntil = this.#book.now(this.#report.soakMs);
    if (leftMs > 0) return;
    if (drive.volumes.some((volume) => verdicts.get(volume)?.kind === 'busy')) return;
    const why = await whyUnwell(this.#tools, this.record, drive);
    if (drive.state !== 'soaking') return;
    if (why === null) return this.#book.drive(drive, 'soaked', '');
    this.#book.drive(drive, 'unwell', why);
    const reason = about(drive, why);
    this.#book.driveTrouble(drive, reason, nextAfterBadResult(this.record, '', drive.state));
    this.#book.tellTrouble();
  }

  // --- the next ones -------------------------------------------------------------------------------------------------

  async #beginNext(
    statuses: ReadonlyMap<string, VolumeStatus>,
    verdicts: ReadonlyMap<string, Verdict>,
  ): Promise<void> {
    const waits = new Set<string>();
    const tried = new Set<RolloutDrive>();
    for (;;) {
      const next = nextDrives(this.#report.drives, this.#report.canary).find(
        (one) => !tried.has(one),
      );
      if (next === undefined || this.#report.state !== 'running') break;
      tried.add(next);
      const held = next.volumes
        .map((volume) => verdicts.get(volume))
        .find((one) => one?.kind !== 'well');
      const busy = held?.kind === 'busy' ? held.why : this.#runOn(next.volumes);
      if (busy !== null) waits.add(busy);
      else if (held === undefined) await this.#begin(next, statuses);
      this.#book.tellTrouble();
    }
    if (this.#report.state !== 'running') return;
    this.#report.reason = waits.size === 0 ? '' : `It waits: ${[...waits].join(', ')}.`;
  }

  /**
   * Somebody's run is there; null: none. Also one of this update's own: the end of a run is known a moment before it is on
   * record, and a server that is killed in that moment is followed by one that ends it again.
   */
  #runOn(volumes: readonly string[]): string | null {
    for (const volume of volumes) {
      const run = this.#tools.runs.ofVolume(volume);
      if (run !== null) return `run ${run.id} is under way on ${volume}`;
    }
    return null;
  }

  async #begin(drive: RolloutDrive, statuses: ReadonlyMap<string, VolumeStatus>): Promise<void> {
    const here = find(statuses.get(drive.volumes[0]!)!, drive);
    if (here === null) return this.#book.drive(drive, 'needless', 'it is in the volume no more');
    if (here.state === 'failed' || here.state === 'missing')
      return this.#book.drive(drive, 'needless', `it is ${here.state}`);
    const isAnother = here.uuid !== drive.uuid;
    const { wholePath } = await this.#tools.volumes.wholeOf(here.path);
    const { task } = this.record;
    const asked = await askDrive(this.#tools, wholePath, task);
    if (!asked.ok) return this.#ended(drive, 'went-wrong', explain(asked.problem).message, '');
    const { facts } = asked.value;
    // The image was chosen for the drive that was there.
    if (isAnother && facts.model !== drive.model && task.model === null)
      return this.#book.drive(drive, 'needless', `a ${facts.model} is in its place now`);
    // A spare may have been taken for a member since, a member replaced.
    Object.assign(drive, { slot: here.slot, uuid: here.uuid, path: wholePath });
    const known = knownRevisions(this.#report.image, this.#tools.runs, this.#store.all());
    const { model, serial, firmware } = facts;
    Object.assign(drive, { model, serial, firmwareBefore: firmware, firmwareAfter: '' });
    const skip = skipReason(facts, { version: task.version, model: task.model, known });
    if (skip !== null) {
      if (skip.kind === 'version') drive.firmwareAfter = firmware;
      return this.#book.drive(drive, 'needless', skip.note);
    }
    // Asked for meanwhile: pause, stop.
    if (this.#report.state !== 'running') return;
    this.#book.drive(drive, 'begun', '');
    // Known before it begins: after a restart it is found, or there is none.
    drive.runId = here.slot === null ? null : randomUUID();
    drive.startedAt = this.#book.now();
    const key = keyOf(this.record, drive);
    this.record.before[key] = facts;
    this.record.tries[key] = (this.record.tries[key] ?? 0) + 1;
    if (!(await this.#book.save())) {
      return this.#ended(drive, 'put-off', this.#book.whyUnwritten, '');
    }
    if (here.slot === null) {
      return this.#onSpare(drive, flashSpare(this.#jobFor(drive, here.path)));
    }
    const started = await this.#tools.runs.start({
      volume: drive.volumes[0]!,
      drive: here.path,
      task,
      window: this.record.window,
      rehearsal: false,
      requestedBy: this.#report.requestedBy,
      rolloutId: this.#report.id,
      id: drive.runId!,
    });
    if (started.ok) return;
    drive.runId = null;
    const { message, fix } = explain(started.problem);
    const blocking = (started.problem.checks ?? []).find(({ result }) => result === 'block');
    const why = blocking === undefined ? message : blocking.reason;
    this.#ended(drive, 'put-off', why, blocking?.fix ?? fix);
  }

  #jobFor(drive: RolloutDrive, memberPath: string): SpareJob {
    const { id } = this.#report;
    const name = `spare-${keyOf(this.record, drive)}`;
    return {
      tools: this.#tools,
      record: this.record,
      drive,
      memberPath,
      owner: ownerOf(this.record, drive),
      outputPath: (step) => this.#store.outputPath(id, `${name}-${step}`),
      save: () => this.#book.save(),
      whyUnwritten: () => this.#book.whyUnwritten,
    };
  }

  #onSpare(drive: RolloutDrive, work: Promise<SpareEnd>): void {
    this.#spares.set(drive, null);
    // Owned here: its end is looked at like that of a run.
    void work.then((end) => {
      this.#spares.set(drive, end);
      this.wake();
    });
  }

  // --- restart -------------------------------------------------------------------------------------------------------

  #afterRestart(): void {
    this.#watch.countersBeganAgain();
    for (const drive of this.#report.drives) {
      if (drive.state !== 'running' || drive.slot !== null) continue;
      const work = this.record.spares[keyOf(this.record, drive)];
      if (work) this.#onSpare(drive, resumeSpare(this.#jobFor(drive, work.memberPath), work));
      else this.#spares.set(drive, { event: 'put-off', firmwareAfter: '', note: '' });
    }
  }
}

/** The drive itself, else what is in its place. */
function find({ drives }: VolumeStatus, { uuid, path, slot }: RolloutDrive): DriveStatus | null {
  return (
    drives.find((one) => one.uuid === uuid) ??
    drives.find((one) => one.path === path) ??
    drives.find((one) => one.slot === slot && slot !== null) ??
    null
  );
}

/** A sentence about the drive says which one; a run's sentences do already. */
const about = (drive: RolloutDrive, sentence: string): string =>
  sentence.startsWith(`${drive.path} `) ? sentence : `${nameOf(drive)}: ${sentence}`;
