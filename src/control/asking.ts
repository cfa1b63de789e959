/**
 * Asking volumes: the status of any, running or not, and a call to one that runs. What changes the paths of a volume is
 * answered when the new ones are on the server's list.
 */

import { explain } from '../api/errors.ts';
import type { Reply } from '../api/operations.ts';
import type { StatusReply } from '../api/schema.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { VolumeStatus, WindowReport } from '../core/status.ts';
import { type ConcernSource, withConcerns } from './concerns.ts';
import { statusOfCrashed, statusOfStopped } from './not-running.ts';
import { named, reply } from './replies.ts';
import type { VolumeCalls } from './volume-calls.ts';
import type { VolumeHandle } from './volume-handle.ts';
import type { Entry, VolumeTable } from './volume-table.ts';

/** For questions that a volume answers from memory. */
export const QUICK_MS = 5_000;

type Changing = 'addDrive' | 'failDrive' | 'removeDrive' | 'replaceDrive' | 'replaceLeg' | 'addLog';

type ValueOf<M extends keyof VolumeCalls> =
  ReturnType<VolumeCalls[M]> extends Promise<Outcome<infer T>> ? T : never;

export class Asking {
  readonly #table: VolumeTable;
  #concernsOf: ConcernSource = () => [];

  constructor(table: VolumeTable) {
    this.#table = table;
  }

  /** Who has something to say about volumes besides themselves; they are made after this. */
  heed(concernsOf: ConcernSource): void {
    this.#concernsOf = concernsOf;
  }

  async status(name: string, entry: Entry): Promise<VolumeStatus | null> {
    const status = await this.#ownStatus(name, entry);
    return status && withConcerns(status, this.#concernsOf(name));
  }

  async #ownStatus(name: string, entry: Entry): Promise<VolumeStatus | null> {
    const { handle, problem } = entry;
    if (handle) {
      const status = await handle.status();
      if (status) return problem ? statusOfCrashed(status, problem) : status;
    }
    const known = this.#table.options.known.get(name);
    return known ? statusOfStopped(known, problem, this.#table.options.server().io) : null;
  }

  async statusReply(name: string): Promise<Outcome<StatusReply>> {
    const entry = this.#table.entries.get(name);
    const status = entry ? await this.status(name, entry) : null;
    return status ? reply({ volumes: [status] }) : refuse('volume-unknown', { volume: name });
  }

  /** The volume's handle, or why there is none. */
  running(volume: string): Outcome<VolumeHandle> {
    const entry = this.#table.entries.get(volume);
    if (!entry) return refuse('volume-unknown', { volume });
    if (entry.handle && entry.problem === null) return done(entry.handle);
    const reason = entry.problem ? explain(entry.problem).message : 'it was stopped on request';
    return refuse('volume-not-running', { volume, reason });
  }

  /** Asks a running volume; `shape` makes the reply of the value. */
  async ask<M extends keyof VolumeCalls, R>(
    volume: string,
    method: M,
    args: Parameters<VolumeCalls[M]>,
    shape: (value: ValueOf<M>) => Outcome<R> | Promise<Outcome<R>>,
    limitMs: number | null = null,
  ): Promise<Outcome<R>> {
    const running = this.running(volume);
    if (!running.ok) return running;
    const outcome = (await running.value.call(method, args, limitMs)) as Outcome<ValueOf<M>>;
    if (!outcome.ok) return named(volume, outcome);
    return await shape(outcome.value);
  }

  /** For calls that change drives or legs: their reply is the new status, given when the new paths are durable. */
  async change<M extends Changing>(
    volume: string,
    method: M,
    args: Parameters<VolumeCalls[M]>,
  ): Promise<Outcome<StatusReply>> {
    const changed = await this.ask(volume, method, args, async () => {
      const status = await this.statusReply(volume);
      await this.#table.save();
      return status;
    });
    // Of all refusals this one comes with a new path.
    if (changed.ok || changed.problem.code !== 'leg-unrecorded') return changed;
    await this.#table.entries.get(volume)?.handle?.refresh();
    await this.#table.save();
    return changed;
  }

  /** The same for calls that change a window: a drive may have come back on another path. */
  async report(volume: string, report: WindowReport): Promise<Outcome<Reply<'windowOpen'>>> {
    this.#table.options.history.record(report);
    await this.#table.entries.get(volume)?.handle?.refresh();
    await this.#table.save();
    return reply({ window: report });
  }
}
