/**
 * The volumes of this server by name, and what changes that list: a start, an end, a crash, a volume forgotten.
 *
 * Invariants:
 *   1. A volume is in `entries` from the moment its start is tried until it is forgotten or destroyed; `volumes.json`
 *      has the same names (those whose first start succeeded).
 *   2. At most one start, stop or destruction of a volume is under way (`exclusively`).
 *   3. No drive or leg is claimed by two volumes, running or not (claims.ts).
 *   4. A path that a command may make part of a volume is on the list before the command begins (`expecting`): a server
 *      that dies half-way must know where to look.
 *   5. A volume that cannot start stays, with the reason, and is tried again only on request.
 */

import { explain } from '../api/errors.ts';
import { done, type Outcome, type Problem, refuse } from '../core/problems.ts';
import type { LocumEvent, VolumeStatus } from '../core/status.ts';
import type { AssembleRequest, CreateRequest } from '../engine/contract.ts';
import { type ClaimedPaths, Claims } from './claims.ts';
import { type Concern, unwrittenConcern } from './concerns.ts';
import type { ControlOptions } from './control-options.ts';
import type { NewEvent } from './event-log.ts';
import { type KnownVolume, lastSeenOf } from './known-volumes.ts';
import { named } from './replies.ts';
import type { Snapshot } from './volume-calls.ts';
import { VolumeHandle } from './volume-handle.ts';
import { ENDED_UNSEEN } from './window-history.ts';

/** Clients get this long to see the end of what they have under way. */
export const DISCONNECT_MS = 2_000;
export const STOP_MS = 6_000;
const SAVE_RETRY_MS = 5_000;

export interface Entry {
  handle: VolumeHandle | null;
  /** Why it does not run; null while it does, and when it was stopped on request. */
  problem: Problem | null;
}

export class VolumeTable {
  readonly options: ControlOptions;
  readonly entries = new Map<string, Entry>();
  readonly claims = new Claims();
  /** Threads that are on their way out. */
  readonly #ending = new Set<Promise<void>>();
  readonly #changing = new Set<string>();
  /** By volume: what each of its commands under way may add. */
  readonly #coming = new Map<string, ClaimedPaths[]>();
  /** Why the list of volumes is not on file as it is now. */
  #unsaved: string | null = null;
  #retry: NodeJS.Timeout | null = null;
  /** The server ends: nothing is started or stopped on request any more. */
  closing = false;

  constructor(options: ControlOptions) {
    this.options = options;
  }

  /** Runs `change` unless another one of the same volume is under way. */
  async exclusively<T>(volume: string, change: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    if (this.closing)
      return refuse('volume-wrong-state', { volume, state: 'being stopped with the server' });
    if (this.#changing.has(volume)) {
      return refuse('volume-wrong-state', { volume, state: 'being started or stopped' });
    }
    this.#changing.add(volume);
    try {
      return await change();
    } finally {
      this.#changing.delete(volume);
    }
  }

  /** `name` is the volume's, or a stand-in for an assembly that learns it from the drives. */
  start(name: string, method: 'create', request: CreateRequest): Promise<Outcome<VolumeStatus>>;
  start(
    name: string,
    method: 'assemble',
    request: AssembleRequest,
    isKnown?: boolean,
  ): Promise<Outcome<VolumeStatus>>;
  async start(
    name: string,
    method: 'create' | 'assemble',
    request: CreateRequest | AssembleRequest,
    isKnown = false,
  ): Promise<Outcome<VolumeStatus>> {
    const before = this.options.known.get(name);
    const paths: ClaimedPaths = { drives: request.drivePaths, logs: request.logPaths };
    const free = await this.claims.take(name, paths, isKnown);
    if (!free.ok) return free;

    // Until the drives have said it, the name may be a stand-in; notices come only after the start.
    let known = name;
    const handle: VolumeHandle = new VolumeHandle({
      name,
      thread: this.options.startThread(name),
      onSnapshot: (snapshot) => this.#sawSnapshot(known, handle, snapshot),
      onNotice: (notice) => {
        if (notice.kind === 'event') this.#append(notice.event);
        else if (notice.kind === 'disconnected')
          this.options.onDisconnected(notice.id, notice.reason);
      },
      onLost: (reason) => this.#lost(known, handle, reason),
      ...(this.options.timing ? { timing: this.options.timing } : {}),
    });
    const outcome = await handle.start(method, request);
    const problem = outcome.ok ? this.#nameConflict(name, outcome.value.status) : outcome.problem;
    if (!outcome.ok || problem) {
      if (outcome.ok) await handle.call('stop', [], STOP_MS);
      await this.#endThread(handle);
      if (before) this.claims.set(name, before);
      else this.claims.release(name);
      const entry = this.entries.get(name);
      const named: Problem = { ...problem!, detail: { volume: name, ...problem!.detail } };
      if (entry) entry.problem = named;
      return { ok: false, problem: named };
    }
    const { status } = outcome.value;
    this.claims.release(name);
    known = status.name;
    this.entries.set(known, { handle, problem: null });
    await this.remember(known, outcome.value);
    return done(status);
  }

  /**
   * Starts a volume from where its drives were seen last. What a command was adding when the server died may be part of it
   * by now, or still be anything at all: with it first, and without it when that is refused.
   */
  async startKnown(known: KnownVolume, force: boolean): Promise<Outcome<VolumeStatus>> {
    const { name, drives, logs, coming } = known;
    if (coming !== undefined) {
      const both = {
        drivePaths: [...new Set([...drives, ...coming.drives])],
        logPaths: [...new Set([...logs, ...coming.logs])],
      };
      const outcome = await this.start(name, 'assemble', { name, ...both, force: false }, true);
      if (outcome.ok) return outcome;
    }
    const request = { name, drivePaths: drives, logPaths: logs, force };
    return this.start(name, 'assemble', request, true);
  }

  /** Runs `change` with the paths that it may add on the list. */
  async expecting<T>(volume: string, paths: ClaimedPaths, change: () => Promise<T>): Promise<T> {
    if (paths.drives.length + paths.logs.length === 0) return change();
    const all = this.#coming.get(volume) ?? [];
    this.#coming.set(volume, all);
    all.push(paths);
    await this.#rememberComing(volume);
    try {
      return await change();
    } finally {
      all.splice(all.indexOf(paths), 1);
      await this.#rememberComing(volume);
    }
  }

  async #rememberComing(volume: string): Promise<void> {
    const known = this.options.known.get(volume);
    if (known === null) return;
    const { coming: _, ...rest } = known;
    this.options.known.set({ ...rest, ...this.#comingOf(volume) });
    await this.save();
  }

  #comingOf(volume: string): Pick<KnownVolume, 'coming'> {
    const all = this.#coming.get(volume) ?? [];
    if (all.length === 0) return {};
    const drives = all.flatMap((paths) => paths.drives);
    return { coming: { drives, logs: all.flatMap((paths) => paths.logs) } };
  }

  /** A volume found on drives may have the name of another one that is known here. */
  #nameConflict(asked: string, { name, uuid }: VolumeStatus): Problem | null {
    if (name === asked) return null;
    const other = this.options.known.get(name);
    const running = this.entries.get(name)?.handle;
    return running || (other && other.lastSeen.uuid !== uuid)
      ? { code: 'volume-exists', detail: { volume: name } }
      : null;
  }

  /** Ends the volume's thread in an orderly way: clients first, then the volume. */
  async end(volume: string, handle: VolumeHandle, how: 'stop' | 'destroy'): Promise<Outcome<void>> {
    await handle.call('disconnect', [DISCONNECT_MS], DISCONNECT_MS + 500);
    const ended = await handle.call(how, []);
    if (!ended.ok) return named(volume, ended);
    this.entries.set(volume, { handle: null, problem: null });
    await this.#endThread(handle);
    return done(undefined);
  }

  async #endThread(handle: VolumeHandle): Promise<void> {
    const ending = handle.end();
    this.#ending.add(ending);
    await ending.finally(() => this.#ending.delete(ending));
  }

  /** Threads of volumes that are on no list any more are gone as well. */
  async ended(): Promise<void> {
    await Promise.all(this.#ending);
  }

  #sawSnapshot(name: string, handle: VolumeHandle, snapshot: Snapshot): void {
    this.#followWindow(snapshot);
    if (this.entries.get(name)?.handle !== handle || this.#changing.has(name)) return;
    void this.remember(name, snapshot);
  }

  async remember(name: string, { status, paths }: Snapshot, stopped = false): Promise<void> {
    this.claims.set(name, paths);
    const { drives, logs } = paths;
    this.options.known.set({
      name,
      drives: [...drives],
      logs: [...logs],
      ...this.#comingOf(name),
      stopped,
      lastSeen: lastSeenOf(status),
    });
    await this.save();
  }

  /**
   * A list that cannot be written is trouble for the next start, and no reason to refuse anything now. It is tried again
   * until it can be: whenever a volume tells how it is, and after a while when none runs.
   */
  async save(): Promise<void> {
    try {
      await this.options.known.save();
      this.#unsaved = null;
    } catch (error) {
      const { stateDirectory } = this.options.server();
      const reason = `volumes.json cannot be written to ${stateDirectory}: ${(error as Error).message}`;
      if (reason !== this.#unsaved) this.options.onTrouble(reason);
      this.#unsaved = reason;
      this.#tryAgain();
    }
  }

  #tryAgain(): void {
    if (this.closing || this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      // It never throws: a write that fails again is tried again.
      void this.save();
    }, this.options.saveRetryMs ?? SAVE_RETRY_MS).unref();
  }

  /** The server ends: from here on the list is written once, or not. */
  close(): void {
    this.closing = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  concerns(): Concern[] {
    if (this.#unsaved === null) return [];
    const why = `the list of the volumes is not on file as it is now: ${this.#unsaved}`;
    return [unwrittenConcern('volumes-unrecorded', why)];
  }

  /** Keeps the reports of windows; one whose volume has forgotten it is closed as it was last seen. */
  #followWindow({ status, report }: Snapshot): void {
    const { history } = this.options;
    if (report) history.record(report);
    for (const open of history.open(status.name)) {
      if (open.id === report?.id || open.id === status.window?.id) continue;
      const closedAt = new Date(this.options.wallMs()).toISOString();
      history.record({ ...open, state: 'closed', closedAt, outcome: open.outcome || ENDED_UNSEEN });
    }
  }

  #lost(name: string, handle: VolumeHandle, reason: string): void {
    const entry = this.entries.get(name);
    if (entry?.handle !== handle) return;
    entry.problem = { code: 'volume-crashed', detail: { volume: name, reason } };
    const { message, fix } = explain(entry.problem);
    this.announce(name, 'volume-crashed', 'critical', `${message} ${fix}`, { reason });
    this.options.onVolumeLost(name);
  }

  #append(event: NewEvent): void {
    this.options.events.append(event);
  }

  announce(
    volume: string,
    kind: string,
    severity: LocumEvent['severity'],
    message: string,
    detail: LocumEvent['detail'] = {},
  ): void {
    this.#append({ volume, kind, severity, message, detail });
  }

  async forget(volume: string): Promise<void> {
    this.entries.delete(volume);
    this.claims.release(volume);
    this.options.known.delete(volume);
    await this.save();
  }
}
