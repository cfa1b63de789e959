/**
 * All runs of this server: begins them, keeps them apart, and after a restart goes on with those that had not ended.
 *
 * Bounded: one run a physical drive (and so one a volume), ACTIVE_MAX at a time, RUNS_MAX on record.
 */

import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { RunReport } from '../../core/run-report.ts';
import { type Concern, unwrittenConcern } from '../concerns.ts';
import type { LostTool } from '../lost-tools.ts';
import { LostRuns } from './lost-runs.ts';
import { planRun } from './run-plan.ts';
import { copyOf, type RunRecord } from './run-record.ts';
import type { RunRequest, RunService } from './run-service.ts';
import { goesOn, saidOfCallOff } from './run-words.ts';
import { Runner, type RunnerWorld } from './runner.ts';

const ACTIVE_MAX = 32;
/** Before that it is heard as a rule; one that is busy hears it afterwards, and does nothing to its drive in between. */
const HEARD_MS = 5_000;

export interface RunsOptions extends Omit<RunnerWorld, 'onChange'> {
  /** A runner threw: a fault of ours. */
  readonly onFault: (error: unknown) => void;
}

export class Runs implements RunService {
  readonly #options: RunsOptions;
  readonly #runners = new Map<string, Runner>();
  readonly #lives = new Set<Promise<void>>();
  readonly #listeners = new Set<(report: RunReport) => void>();
  /** Drives and volumes that a run is being planned for. */
  readonly #planned = new Set<string>();
  readonly #lost: LostRuns;
  #isClosing = false;

  /**
   * What had not ended is known from here on: a volume may be asked for its drive before the others have been started, and
   * the tool of a run does not wait for them either. So is what it holds.
   */
  constructor(options: RunsOptions) {
    this.#options = options;
    const { store, table, tools, timing } = options;
    for (const record of store.all()) {
      if (record.phase === 'ended') continue;
      const runner = this.#runner(record);
      this.#runners.set(record.report.id, runner);
      runner.holdAsRecorded();
    }
    const isOwned = (id: string): boolean =>
      store.all().some(({ report }) => report.windowIds.includes(id));
    const { lookMs } = timing;
    this.#lost = new LostRuns({ lost: store.lost, table, tools, lookMs, isOwned });
  }

  async start(request: RunRequest): Promise<Outcome<RunReport>> {
    const { volume, drive } = request;
    if (this.#isClosing) return refuse('run-limit', { reason: 'the server is being stopped' });
    if (this.#runners.size >= ACTIVE_MAX) return refuse('run-limit', { most: ACTIVE_MAX });
    const found = await this.#options.drives.find(volume, drive);
    if (!found.ok) return found;
    const { key, members } = found.value;
    const other = this.#at(
      key,
      members.map((member) => member.volume),
    );
    if (other !== null) {
      return refuse('run-exists', { volume, drive, run: other.record.report.id });
    }
    const names = [key, ...members.map((member) => `volume ${member.volume}`)];
    if (names.some((name) => this.#planned.has(name))) {
      return refuse('run-exists', { volume, drive });
    }
    for (const name of names) this.#planned.add(name);
    try {
      return await this.#begin(request);
    } finally {
      for (const name of names) this.#planned.delete(name);
    }
  }

  async #begin(request: RunRequest): Promise<Outcome<RunReport>> {
    const { groups, drives, tools, claims, table, store } = this.#options;
    const { wallMs } = table.options;
    const planned = await planRun({ groups, drives, tools, claims, wallMs }, request);
    if (!planned.ok) return planned;
    const record = planned.value;
    if (this.#isClosing) return refuse('run-limit', { reason: 'the server is being stopped' });
    const unwritten = await store.add(record);
    if (unwritten !== null) {
      const path = table.options.server().stateDirectory;
      return refuse('state-unusable', { path, reason: unwritten });
    }
    const runner = this.#runner(record);
    runner.announce(
      'run-started',
      'info',
      `${record.report.drive.path}: ${request.task.purpose}${request.rehearsal ? ' (rehearsal)' : ''}, asked for by ${request.requestedBy}`,
    );
    this.#live(runner, 'open');
    return done(copyOf(record.report));
  }

  /** For people: with what its commands printed. */
  async whole(id: string): Promise<RunReport | null> {
    const record = await this.#options.store.whole(id);
    return record === null ? null : copyOf(record.report);
  }

  get(id: string): RunReport | null {
    const record = this.#options.store.get(id);
    return record === null ? null : copyOf(record.report);
  }

  all(): RunReport[] {
    return this.#options.store.all().map(({ report }) => withoutOutput(report));
  }

  ofVolume(volume: string): RunReport | null {
    const runner = this.#of(volume);
    return runner === null ? null : copyOf(runner.record.report);
  }

  /** The newest one that fits. */
  find(fits: (report: RunReport) => boolean): RunReport | null {
    const found = this.#options.store.all().findLast(({ report }) => fits(report));
    return found === undefined ? null : copyOf(found.report);
  }

  recall(id: string, why: string): Outcome<RunReport> {
    const record = this.#options.store.get(id);
    if (record === null) return refuse('run-unknown', { run: id });
    const runner = this.#runners.get(id);
    if (runner === undefined || record.phase === 'ended') return refuse('run-ended', { run: id });
    runner.recall(why);
    return done(copyOf(record.report));
  }

  /**
   * With a run on it, calling a window off is the business of the run: what has not begun is left out, and it brings the
   * drive back. Ok: what it does, on record. Null: this volume has no run.
   */
  async callOff(volume: string): Promise<Outcome<string> | null> {
    const runner = this.#of(volume);
    if (runner === null) return null;
    const { record } = runner;
    // It went on without the drive.
    if (record.phase === 'late') return refuse('window-none', { volume });
    if (mayRecall(record)) {
      runner.recall('somebody called it off.');
      await this.#heard(record);
      if (record.recallWhy !== null) await this.#options.store.save(record);
    }
    return done(saidOfCallOff(record));
  }

  async #heard(record: RunRecord): Promise<void> {
    const isHeard = (): boolean => record.recallWhy !== null || !mayRecall(record);
    if (isHeard()) return;
    let timer: NodeJS.Timeout | undefined;
    let leave = (): void => {};
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, HEARD_MS);
      leave = this.onChange(({ id }) => {
        if (id === record.report.id && isHeard()) resolve();
      });
    });
    clearTimeout(timer);
    leave();
  }

  /** A tool is at work on the drive, so that nobody else may take it. */
  isAtWork(volume: string): RunReport | null {
    const runner = this.#of(volume);
    const phase = runner?.record.phase;
    return runner !== null && (phase === 'working' || phase === 'recalled')
      ? copyOf(runner.record.report)
      : null;
  }

  /** The same, of a run whose record is lost. */
  orphanAt(volume: string): LostTool | null {
    return this.#lost.orphanAt(volume);
  }

  /** A run of this volume that waits for somebody, or one that nobody knows any more. */
  concerns(volume: string): Concern[] {
    const lost = [...this.#lost.concerns(volume), ...this.#unwritten(volume)];
    const record = this.#of(volume)?.record;
    if (record === undefined) return lost;
    if (record.report.state !== 'waiting')
      return [
        ...lost,
        {
          alarm: null,
          next: goesOn(volume, record),
          insteadOfClose: 'its run does that by itself',
        },
      ];
    const { sentence, next } = record.report;
    const message = `${sentence} ${next}`.trim();
    return [...lost, { alarm: { code: 'run-waiting', severity: 'warning', message }, next }];
  }

  /** What is done to a drive must be on record; said where a run is, or was the last. */
  #unwritten(volume: string): Concern[] {
    const { store } = this.#options;
    const why = store.unwritten;
    if (why === null || !store.all().some(({ report }) => report.volumes.includes(volume)))
      return [];
    return [unwrittenConcern('run-unrecorded', why)];
  }

  onChange(listener: (report: RunReport) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Once the volumes have been started: everything that had not ended goes on. */
  resume(): void {
    const { restored } = this.#options.store;
    for (const runner of this.#runners.values()) {
      const { id } = runner.record.report;
      if (restored.has(id)) {
        const said = `The record of run ${id} was damaged, and taken from its copy; the run goes on.`;
        runner.announce('run-record-restored', 'warning', said);
      }
      this.#live(runner, 'restarted');
    }
    this.#lost.resume();
  }

  /** Tools are left alone: they outlive the server, and the next one waits for them. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#lost.close();
    for (const runner of this.#runners.values()) runner.abandon();
    await this.#options.store.close();
  }

  #runner(record: RunRecord): Runner {
    return new Runner(record, {
      ...this.#options,
      onChange: (report) => {
        for (const listener of this.#listeners) listener(report);
      },
    });
  }

  #live(runner: Runner, first: 'open' | 'restarted'): void {
    const { id } = runner.record.report;
    this.#runners.set(id, runner);
    const life = runner
      .live(first)
      .catch(this.#options.onFault)
      .finally(() => {
        this.#runners.delete(id);
        this.#lives.delete(life);
        runner.changed();
      });
    this.#lives.add(life);
  }

  #of(volume: string): Runner | null {
    return this.#at(null, [volume]);
  }

  #at(key: string | null, volumes: readonly string[]): Runner | null {
    for (const runner of this.#runners.values()) {
      const { drive, report, phase } = runner.record;
      if (phase === 'ended') continue;
      if (drive.key === key || report.volumes.some((volume) => volumes.includes(volume)))
        return runner;
    }
    return null;
  }
}

/** It would change something: the drive is not on its way back yet, or it is the other one that is wanted. */
const mayRecall = ({ phase, report }: RunRecord): boolean =>
  ['opening', 'frozen', 'exchanging', 'working'].includes(phase) ||
  (phase === 'returning' && !report.begun);

const withoutOutput = (report: RunReport): RunReport => ({
  ...structuredClone({ ...report, steps: [] }),
  steps: report.steps.map((step) => ({ ...step, output: '' })),
});
