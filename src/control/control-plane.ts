/**
 * The control plane: the volumes of this server by name, and one handler for each operation of the API.
 *
 * Invariants:
 *   1. A volume is in `#entries` from the moment its start is tried until it is forgotten or destroyed; `volumes.json`
 *      has the same names (those whose first start succeeded).
 *   2. At most one start, stop or destruction of a volume is under way (`#changing`).
 *   3. No drive or leg is claimed by two volumes, running or not (claims.ts).
 *   4. A volume that cannot start stays, with the reason, and is tried again only on request.
 * Handlers answer with values; what the volume's thread says comes through as it is, with the volume's name added.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../api/errors.ts';
import type { ControlPlane, Handlers, Input, Reply } from '../api/operations.ts';
import {
  API_VERSION,
  type ServerReply,
  type StatusReply,
  VOLUME_NAME_PATTERN,
  type WindowBody,
} from '../api/schema.ts';
import { DOUBLE_ABSENCE_WAIT_MS } from '../api/units.ts';
import { done, type Outcome, type Problem, type ProblemCode, refuse } from '../core/problems.ts';
import type { LocumEvent, VolumeStatus, WindowReport } from '../core/status.ts';
import type { AssembleRequest, CreateRequest, WindowRequest } from '../engine/contract.ts';
import { type ClaimedPaths, Claims } from './claims.ts';
import type { EventLog, NewEvent } from './event-log.ts';
import { type KnownVolume, type KnownVolumes, lastSeenOf } from './known-volumes.ts';
import { statusOfCrashed, statusOfStopped } from './not-running.ts';
import type { Connection, Snapshot, VolumeCalls } from './volume-calls.ts';
import { type Timing, VolumeHandle, type VolumeThread } from './volume-handle.ts';
import type { WindowHistory } from './window-history.ts';

const WINDOW_MAX_MS = 30 * 60_000;
const EVENTS_DEFAULT = 100;
const EVENTS_MAX = 10_000;
/** For questions that a volume answers from memory. */
const QUICK_MS = 5_000;
/** Clients get this long to see the end of what they have under way. */
const DISCONNECT_MS = 2_000;
const STOP_MS = 6_000;
const volumeName = new RegExp(VOLUME_NAME_PATTERN);
const GOODBYE_MS = 100;
const GOODBYE_ROUNDS = 10;

export interface ControlOptions {
  readonly server: () => Omit<ServerReply, 'apiVersion'>;
  readonly known: KnownVolumes;
  readonly events: EventLog;
  readonly history: WindowHistory;
  readonly startThread: (name: string) => VolumeThread;
  /** The connection ended; the volume's thread does not hold it any more. */
  readonly onDisconnected: (id: number, reason: string) => void;
  /** A volume's thread has crashed: whoever holds its connections cuts them. */
  readonly onVolumeLost: (name: string) => void;
  /** Something that no reply can carry: volumes.json could not be written. */
  readonly onTrouble: (reason: string) => void;
  readonly wallMs: () => number;
  readonly timing?: Partial<Timing>;
}

interface Entry {
  handle: VolumeHandle | null;
  /** Why it does not run; null while it does, and when it was stopped on request. */
  problem: Problem | null;
}

export interface ExportInfo {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly preferredBytes: number;
}

export class Control implements ControlPlane {
  readonly handlers: Handlers;
  readonly #options: ControlOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #changing = new Set<string>();
  readonly #claims = new Claims();
  #closing = false;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.handlers = this.#handlers();
  }

  // --- the life of the server ----------------------------------------------------------------------------------------

  /** Starts what is known, all at once; resolves when each has started or been refused. Never fails as a whole. */
  async startKnown(): Promise<void> {
    const volumes = this.#options.known.all();
    for (const volume of volumes) {
      this.#entries.set(volume.name, {
        handle: null,
        problem: volume.stopped ? null : starting(volume.name),
      });
      this.#claims.set(volume.name, volume);
    }
    await Promise.all(
      volumes
        .filter((volume) => !volume.stopped)
        .map(async ({ name, drives, logs }) => {
          const request = { name, drivePaths: drives, logPaths: logs, force: false };
          const outcome = await this.#start(name, 'assemble', request);
          if (!outcome.ok) {
            const { message, fix } = explain(outcome.problem);
            this.#announce(name, 'volume-not-started', 'critical', `${message} ${fix}`, {
              code: outcome.problem.code,
            });
          }
        }),
    );
  }

  /** Ends every volume cleanly, as far as it goes within the time that a service manager gives. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(
      [...this.#entries].map(async ([name, { handle }]) => {
        if (!handle || handle.lost !== null) return;
        await handle.call('disconnect', [DISCONNECT_MS], DISCONNECT_MS + 500);
        const stopped = await handle.call('stop', [], STOP_MS);
        if (!stopped.ok) this.#options.onTrouble(`${name}: ${explain(stopped.problem).message}`);
        await handle.end();
      }),
    );
  }

  // --- for the NBD listeners -----------------------------------------------------------------------------------------

  exports(): ExportInfo[] {
    return [...this.#entries].flatMap(([name, { handle }]) => {
      const last = handle?.lost === null ? handle.last : null;
      if (!last) return [];
      const { preferredBytes, description, status } = last;
      return [{ name, description, sizeBytes: status.sizeBytes, preferredBytes }];
    });
  }

  /** Hands a connection over to its volume; false when the volume is not there any more. */
  async connect(volume: string, connection: Connection): Promise<boolean> {
    const handle = this.#entries.get(volume)?.handle;
    return handle ? (await handle.connect(connection)).ok : false;
  }

  subscribe(
    afterSequence: number,
    volume: string | null,
    send: (event: LocumEvent) => void,
  ): () => void {
    return this.#options.events.subscribe(afterSequence, volume, send);
  }

  // --- starting and ending a volume ----------------------------------------------------------------------------------

  /** Runs `change` unless another one of the same volume is under way. */
  async #exclusively<T>(volume: string, change: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    if (this.#closing)
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
  #start(name: string, method: 'create', request: CreateRequest): Promise<Outcome<VolumeStatus>>;
  #start(
    name: string,
    method: 'assemble',
    request: AssembleRequest,
  ): Promise<Outcome<VolumeStatus>>;
  async #start(
    name: string,
    method: 'create' | 'assemble',
    request: CreateRequest | AssembleRequest,
  ): Promise<Outcome<VolumeStatus>> {
    const before = this.#options.known.get(name);
    const paths: ClaimedPaths = { drives: request.drivePaths, logs: request.logPaths };
    const free = this.#claims.check(name, [...paths.drives, ...paths.logs]);
    if (!free.ok) return free;
    this.#claims.set(name, paths);

    // Until the drives have said it, the name may be a stand-in; notices come only after the start.
    let known = name;
    const handle: VolumeHandle = new VolumeHandle({
      name,
      thread: this.#options.startThread(name),
      onSnapshot: (snapshot) => this.#sawSnapshot(known, handle, snapshot),
      onNotice: (notice) => {
        if (notice.kind === 'event') this.#append(notice.event);
        else if (notice.kind === 'disconnected')
          this.#options.onDisconnected(notice.id, notice.reason);
      },
      onLost: (reason) => this.#lost(known, handle, reason),
      ...(this.#options.timing ? { timing: this.#options.timing } : {}),
    });
    const outcome = await handle.start(method, request);
    const problem = outcome.ok ? this.#nameConflict(name, outcome.value.status) : outcome.problem;
    if (!outcome.ok || problem) {
      if (outcome.ok) await handle.call('stop', [], STOP_MS);
      await handle.end();
      if (before) this.#claims.set(name, before);
      else this.#claims.release(name);
      const entry = this.#entries.get(name);
      const named: Problem = { ...problem!, detail: { volume: name, ...problem!.detail } };
      if (entry) entry.problem = named;
      return { ok: false, problem: named };
    }
    const { status } = outcome.value;
    this.#claims.release(name);
    known = status.name;
    this.#entries.set(known, { handle, problem: null });
    await this.#remember(known, outcome.value);
    return done(status);
  }

  /** A volume found on drives may have the name of another one that is known here. */
  #nameConflict(asked: string, { name, uuid }: VolumeStatus): Problem | null {
    if (name === asked) return null;
    const other = this.#options.known.get(name);
    const running = this.#entries.get(name)?.handle;
    return running || (other && other.lastSeen.uuid !== uuid)
      ? { code: 'volume-exists', detail: { volume: name } }
      : null;
  }

  /** Ends the volume's thread in an orderly way: clients first, then the volume. */
  async #end(
    volume: string,
    handle: VolumeHandle,
    how: 'stop' | 'destroy',
  ): Promise<Outcome<void>> {
    await handle.call('disconnect', [DISCONNECT_MS], DISCONNECT_MS + 500);
    const ended = await handle.call(how, []);
    if (!ended.ok) return named(volume, ended);
    this.#entries.set(volume, { handle: null, problem: null });
    await handle.end();
    return done(undefined);
  }

  #sawSnapshot(name: string, handle: VolumeHandle, snapshot: Snapshot): void {
    this.#followWindow(snapshot);
    if (this.#entries.get(name)?.handle !== handle || this.#changing.has(name)) return;
    void this.#remember(name, snapshot);
  }

  async #remember(name: string, { status, paths }: Snapshot, stopped = false): Promise<void> {
    this.#claims.set(name, paths);
    const { drives, logs } = paths;
    this.#options.known.set({
      name,
      drives: [...drives],
      logs: [...logs],
      stopped,
      lastSeen: lastSeenOf(status),
    });
    await this.#save();
  }

  /** A list that cannot be written is trouble for the next start, and no reason to refuse anything now. */
  async #save(): Promise<void> {
    try {
      await this.#options.known.save();
    } catch (error) {
      this.#options.onTrouble(`volumes.json cannot be written: ${(error as Error).message}`);
    }
  }

  /** Keeps the reports of windows; one whose volume has forgotten it is closed as it was last seen. */
  #followWindow({ status, report }: Snapshot): void {
    const { history } = this.#options;
    if (report) history.record(report);
    for (const open of history.open(status.name)) {
      if (open.id === report?.id || open.id === status.window?.id) continue;
      const closedAt = new Date(this.#options.wallMs()).toISOString();
      history.record({ ...open, state: 'closed', closedAt, outcome: open.outcome || 'ended' });
    }
  }

  #lost(name: string, handle: VolumeHandle, reason: string): void {
    const entry = this.#entries.get(name);
    if (entry?.handle !== handle) return;
    entry.problem = { code: 'volume-crashed', detail: { volume: name, reason } };
    const { message, fix } = explain(entry.problem);
    this.#announce(name, 'volume-crashed', 'critical', `${message} ${fix}`, { reason });
    this.#options.onVolumeLost(name);
  }

  #append(event: NewEvent): void {
    this.#options.events.append(event);
  }

  #announce(
    volume: string,
    kind: string,
    severity: LocumEvent['severity'],
    message: string,
    detail: LocumEvent['detail'] = {},
  ): void {
    this.#append({ volume, kind, severity, message, detail });
  }

  // --- looking at volumes --------------------------------------------------------------------------------------------

  async #status(name: string, entry: Entry): Promise<VolumeStatus | null> {
    const { handle, problem } = entry;
    if (handle) {
      const status = await handle.status();
      if (status) return problem ? statusOfCrashed(status, problem) : status;
    }
    const known = this.#options.known.get(name);
    return known ? statusOfStopped(known, problem, this.#options.server().io) : null;
  }

  async #statusReply(name: string): Promise<Outcome<StatusReply>> {
    const entry = this.#entries.get(name);
    const status = entry ? await this.#status(name, entry) : null;
    return status ? reply({ volumes: [status] }) : refuse('volume-unknown', { volume: name });
  }

  /** The volume's handle, or why there is none. */
  #running(volume: string): Outcome<VolumeHandle> {
    const entry = this.#entries.get(volume);
    if (!entry) return refuse('volume-unknown', { volume });
    if (entry.handle && entry.problem === null) return done(entry.handle);
    const reason = entry.problem ? explain(entry.problem).message : 'it was stopped on request';
    return refuse('volume-not-running', { volume, reason });
  }

  /** Asks a running volume; `shape` makes the reply of the value. */
  async #ask<M extends keyof VolumeCalls, R>(
    volume: string,
    method: M,
    args: Parameters<VolumeCalls[M]>,
    shape: (value: ValueOf<M>) => Outcome<R> | Promise<Outcome<R>>,
    limitMs: number | null = null,
  ): Promise<Outcome<R>> {
    const running = this.#running(volume);
    if (!running.ok) return running;
    const outcome = (await running.value.call(method, args, limitMs)) as Outcome<ValueOf<M>>;
    if (!outcome.ok) return named(volume, outcome);
    return await shape(outcome.value);
  }

  /** For calls that change drives or legs: their reply is the new status, given when the new paths are durable. */
  #change<M extends Changing>(
    volume: string,
    method: M,
    args: Parameters<VolumeCalls[M]>,
  ): Promise<Outcome<StatusReply>> {
    return this.#ask(volume, method, args, async () => {
      const status = await this.#statusReply(volume);
      await this.#save();
      return status;
    });
  }

  /** The same for calls that change a window: a drive may have come back on another path. */
  async #report(volume: string, report: WindowReport): Promise<Outcome<Reply<'windowShow'>>> {
    this.#options.history.record(report);
    await this.#entries.get(volume)?.handle?.refresh();
    await this.#save();
    return reply({ window: report });
  }

  // --- the operations ------------------------------------------------------------------------------------------------

  #handlers(): Handlers {
    const windowRequest = (body: WindowBody): WindowRequest => ({
      drive: body.drive,
      purpose: body.purpose,
      maxMs: body.maxMs ?? WINDOW_MAX_MS,
      onDoubleAbsence: body.onDoubleAbsence ?? 'wait',
      waitMs: body.waitMs ?? DOUBLE_ABSENCE_WAIT_MS,
      allowDegraded: body.allowDegraded === true,
      allowSingleLog: body.allowSingleLog === true,
    });
    const claimed = (volume: string, path: string | undefined): Outcome<void> =>
      path === undefined ? done(undefined) : this.#claims.check(volume, [path]);

    return {
      server: async () => reply(this.#options.server()),
      status: async () => {
        const names = [...this.#entries.keys()].sort();
        const all = await Promise.all(
          names.map((name) => this.#status(name, this.#entries.get(name)!)),
        );
        return reply({ volumes: all.filter((status) => status !== null) });
      },
      volumeStatus: ({ params }) => this.#statusReply(params.volume),
      volumeCreate: (input) => this.#create(input),
      volumeAssemble: (input) => this.#assemble(input),
      volumeStop: (input) => this.#stop(input),
      volumeDestroy: (input) => this.#destroy(input),
      volumeExport: async ({ params: { volume } }) => {
        const running = this.#running(volume);
        if (!running.ok) return running;
        const sizeBytes = running.value.last?.status.sizeBytes ?? 0;
        return reply({ name: volume, sizeBytes, listen: this.#options.server().listen });
      },

      driveAdd: async ({ params: { volume }, body }) => {
        const free = claimed(volume, body.path);
        if (!free.ok) return free;
        return this.#change(volume, 'addDrive', [
          body.path,
          body.spare === true,
          body.force === true,
        ]);
      },
      driveFail: ({ params, body }) => this.#change(params.volume, 'failDrive', [body.drive]),
      driveRemove: ({ params, body }) => this.#change(params.volume, 'removeDrive', [body.drive]),
      driveReplace: async ({ params: { volume }, body }) => {
        const free = claimed(volume, body.with);
        if (!free.ok) return free;
        return this.#change(volume, 'replaceDrive', [body.drive, body.with, body.force === true]);
      },

      windowPlan: (input) =>
        this.#ask(input.params.volume, 'planWindow', [windowRequest(input.body)], (plan) =>
          reply({ plan }),
        ),
      windowOpen: (input) =>
        this.#ask(input.params.volume, 'openWindow', [windowRequest(input.body)], (report) =>
          this.#report(input.params.volume, report),
        ),
      windowShow: ({ params: { volume } }) =>
        this.#ask(
          volume,
          'windowReport',
          [],
          (report) =>
            report.closedAt === null
              ? reply({ window: report })
              : refuse('window-none', { volume }),
          QUICK_MS,
        ),
      windowClose: async ({ params: { volume }, body }) => {
        const free = claimed(volume, body.drivePath);
        if (!free.ok) return free;
        const request = {
          drivePath: body.drivePath ?? null,
          verify: body.verify ?? 'recent',
          rebuild: body.rebuild === true,
        } as const;
        return this.#ask(volume, 'closeWindow', [request], (report) =>
          this.#report(volume, report),
        );
      },
      windowAbort: ({ params: { volume } }) =>
        this.#ask(volume, 'abortWindow', [], (report) => this.#report(volume, report)),
      windowExtend: ({ params: { volume }, body }) =>
        this.#ask(volume, 'extendWindow', [body.byMs], (report) => this.#report(volume, report)),
      windowList: async () => {
        const handles = [...this.#entries.values()].flatMap(({ handle }) =>
          handle ? [handle] : [],
        );
        await Promise.all(handles.map((handle) => handle.refresh()));
        const reports = handles.flatMap((handle) =>
          handle.last?.report ? [handle.last.report] : [],
        );
        return reply({ windows: reports.filter((report) => report.closedAt === null) });
      },
      windowHistory: async ({ query }) => {
        const handles = [...this.#entries.values()].flatMap(({ handle }) =>
          handle ? [handle] : [],
        );
        await Promise.all(handles.map((handle) => handle.refresh()));
        return reply({ windows: this.#options.history.ended(query.volume ?? null) });
      },

      scrubStart: ({ params, body }) =>
        this.#ask(params.volume, 'startScrub', [body.repair === true], (job) => reply({ job })),
      scrubStop: ({ params }) => this.#ask(params.volume, 'stopScrub', [], (job) => reply({ job })),
      scrubStatus: ({ params }) =>
        this.#ask(params.volume, 'scrubStatus', [], (job) => reply({ job }), QUICK_MS),
      logShow: ({ params }) =>
        this.#ask(params.volume, 'logReport', [], (log) => reply({ log }), QUICK_MS),
      logCheck: ({ params }) =>
        this.#ask(params.volume, 'checkLog', [], (check) => reply({ check })),
      logReplace: async ({ params: { volume }, body }) => {
        const free = claimed(volume, body.with);
        if (!free.ok) return free;
        const { leg, with: path, sizeBytes = null, force = false } = body;
        return this.#change(volume, 'replaceLeg', [{ leg, path, sizeBytes, force }]);
      },
      logAdd: async ({ params: { volume }, body }) => {
        const free = this.#claims.check(volume, body.logs);
        if (!free.ok) return free;
        const { logs: paths, sizeBytes = null, force = false } = body;
        return this.#change(volume, 'addLog', [{ paths, sizeBytes, force }]);
      },
      events: async ({ query }) => {
        const limit = Math.min(EVENTS_MAX, Number(query.limit ?? EVENTS_DEFAULT));
        return reply({
          events: this.#options.events.list(Number(query.after ?? 0), query.volume ?? null, limit),
        });
      },
    };
  }

  #create({ body }: Input<'volumeCreate'>): Promise<Outcome<StatusReply>> {
    const { name } = body;
    if (!volumeName.test(name)) return Promise.resolve(refuse('volume-name-invalid', { name }));
    if (this.#entries.has(name)) return Promise.resolve(refuse('volume-exists', { volume: name }));
    return this.#exclusively(name, async () => {
      const outcome = await this.#start(name, 'create', {
        name,
        level: body.level,
        drivePaths: body.drives,
        logPaths: body.logs,
        chunkBytes: body.chunkBytes ?? null,
        imageSizeBytes: body.imageSizeBytes ?? null,
        logSizeBytes: body.logSizeBytes ?? null,
        assumeClean: body.assumeClean === true,
        force: body.force === true,
      });
      return outcome.ok ? reply({ volumes: [outcome.value] }) : outcome;
    });
  }

  /** By name alone (a known volume), by drives alone (the name is on them), or both. */
  #assemble({ body }: Input<'volumeAssemble'>): Promise<Outcome<StatusReply>> {
    const known =
      body.name === undefined ? this.#knownByPaths(body) : this.#options.known.get(body.name);
    const name = body.name ?? known?.name ?? null;
    if (name !== null && this.#entries.get(name)?.handle) {
      const crashed = this.#entries.get(name)?.problem;
      return Promise.resolve(
        crashed ? { ok: false, problem: crashed } : refuse('volume-exists', { volume: name }),
      );
    }
    const drivePaths = body.drives.length > 0 ? body.drives : (known?.drives ?? []);
    const logPaths = body.logs.length > 0 ? body.logs : (known?.logs ?? []);
    if (drivePaths.length === 0) {
      const problem: ProblemCode = body.name === undefined ? 'argument-invalid' : 'volume-unknown';
      return Promise.resolve(
        refuse(problem, {
          volume: body.name ?? '',
          name: '--drive',
          expected: 'the drives of the volume',
        }),
      );
    }
    const key = name ?? `(assembling ${drivePaths[0]})`;
    return this.#exclusively(key, async () => {
      const request = { name, drivePaths, logPaths, force: body.force === true };
      const outcome = await this.#start(key, 'assemble', request);
      return outcome.ok ? reply({ volumes: [outcome.value] }) : outcome;
    });
  }

  /** The volume that is known, does not run, and has one of these paths: then that one is meant. */
  #knownByPaths({ drives, logs }: ClaimedPaths): KnownVolume | null {
    const given = new Set([...drives, ...logs]);
    const fits = (volume: KnownVolume): boolean =>
      !this.#entries.get(volume.name)?.handle &&
      [...volume.drives, ...volume.logs].some((path) => given.has(path));
    return this.#options.known.all().find(fits) ?? null;
  }

  #stop({ params: { volume }, body }: Input<'volumeStop'>): Promise<Outcome<Reply<'volumeStop'>>> {
    return this.#exclusively(volume, async () => {
      const entry = this.#entries.get(volume);
      if (!entry) return refuse('volume-unknown', { volume });
      const { handle } = entry;
      if (handle && entry.problem === null) {
        const clients = body.force === true ? 0 : await clientsOf(handle);
        if (clients > 0) return refuse('volume-in-use', { volume, clients });
        const ended = await this.#end(volume, handle, 'stop');
        if (!ended.ok) return ended;
        if (handle.last) await this.#remember(volume, handle.last, true);
        this.#announce(
          volume,
          'volume-stopped',
          'info',
          `Volume ${volume} was stopped on request.`,
        );
      } else if (body.forget !== true) {
        const reason = entry.problem ? explain(entry.problem).message : 'it is stopped already';
        return refuse('volume-not-running', { volume, reason });
      }
      if (body.forget === true) await this.#forget(volume);
      return reply({});
    });
  }

  #destroy({
    params: { volume },
    body,
  }: Input<'volumeDestroy'>): Promise<Outcome<Reply<'volumeDestroy'>>> {
    return this.#exclusively(volume, async () => {
      const running = this.#running(volume);
      if (!running.ok) return running;
      if (body.confirm !== volume) return refuse('confirm-mismatch', { volume });
      const clients = await clientsOf(running.value);
      if (clients > 0) return refuse('volume-in-use', { volume, clients });
      const ended = await this.#end(volume, running.value, 'destroy');
      if (!ended.ok) return ended;
      await this.#forget(volume);
      this.#announce(
        volume,
        'volume-destroyed',
        'warning',
        `Volume ${volume} was destroyed on request.`,
      );
      return reply({});
    });
  }

  async #forget(volume: string): Promise<void> {
    this.#entries.delete(volume);
    this.#claims.release(volume);
    this.#options.known.delete(volume);
    await this.#save();
  }
}

type Changing = 'addDrive' | 'failDrive' | 'removeDrive' | 'replaceDrive' | 'replaceLeg' | 'addLog';

type ValueOf<M extends keyof VolumeCalls> =
  ReturnType<VolumeCalls[M]> extends Promise<Outcome<infer T>> ? T : never;

const reply = <T extends object>(value: T): Outcome<T & { apiVersion: typeof API_VERSION }> =>
  done({ apiVersion: API_VERSION, ...value });

/** The engine does not always say which volume it is about; its sentence should. */
const named = (
  volume: string,
  { problem }: { readonly problem: Problem },
): { readonly ok: false; readonly problem: Problem } => ({
  ok: false,
  problem: { ...problem, detail: { volume, ...problem.detail } },
});

/** A client that has just said goodbye is still there for a moment. */
async function clientsOf(handle: VolumeHandle): Promise<number> {
  for (let round = 0; ; round += 1) {
    await handle.refresh();
    const clients = handle.last?.connections ?? 0;
    if (clients === 0 || round === GOODBYE_ROUNDS) return clients;
    await delay(GOODBYE_MS);
  }
}

const starting = (volume: string): Problem => ({
  code: 'volume-not-running',
  detail: { volume, reason: 'it is being started' },
});
