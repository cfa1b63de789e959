/**
 * A running volume as the control plane holds it: calls with time limits, and the last known snapshot, so that
 * `locum status` is answered even when the volume's thread is not.
 *
 * A heartbeat reads the snapshot about once a second. From its age follow three things: an alarm in the status when it
 * is older than ALARM_AFTER_MS; the end of every waiting call when it is older than GIVE_UP_AFTER_MS; and the list of
 * known paths, which the owner takes from each new snapshot. A call may take hours (a full verification), as long as
 * the thread answers its heartbeat meanwhile.
 */

import type { Outcome, Problem } from '../core/problems.ts';
import type { VolumeStatus } from '../core/status.ts';
import { Caller, type Port } from './rpc.ts';
import type { Connection, Snapshot, VolumeCalls, VolumeNotice } from './volume-calls.ts';

export interface VolumeThread {
  readonly port: Port;
  /** Resolves with the reason when the thread ends without having been told to. */
  readonly died: Promise<string>;
  /** `quiet`: nothing in the kernel points into the thread's memory any more, so that it may go. */
  terminate(quiet: boolean): Promise<void>;
}

export interface HandleOptions {
  readonly name: string;
  readonly thread: VolumeThread;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  readonly onNotice: (notice: VolumeNotice) => void;
  /** The volume is lost for this server: its thread has crashed. Called once. */
  readonly onLost: (reason: string) => void;
  readonly timing?: Partial<Timing>;
}

export interface Timing {
  readonly heartbeatMs: number;
  readonly snapshotLimitMs: number;
  readonly alarmAfterMs: number;
  readonly giveUpAfterMs: number;
}

const defaultTiming: Timing = {
  heartbeatMs: 1_000,
  snapshotLimitMs: 1_000,
  alarmAfterMs: 3_000,
  giveUpAfterMs: 60_000,
};

/** For a thread to give its ring back. */
const END_MS = 2_000;

export class VolumeHandle {
  readonly #options: HandleOptions;
  readonly #timing: Timing;
  readonly #caller: Caller<VolumeCalls, VolumeNotice>;
  #last: Snapshot | null = null;
  #lastMs = performance.now();
  #reading: Promise<void> | null = null;
  #nextReading: Promise<void> | null = null;
  #heartbeat: NodeJS.Timeout | null = null;
  #lost: string | null = null;

  constructor(options: HandleOptions) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#caller = new Caller(options.thread.port, options.name, (notice) => this.#noticed(notice));
    void options.thread.died.then((reason) => this.#lose(reason));
  }

  /** The last snapshot; null before the start has succeeded. */
  get last(): Snapshot | null {
    return this.#last;
  }

  /** When `last` was read, on the clock of `performance`. */
  get lastMs(): number {
    return this.#lastMs;
  }

  get lost(): string | null {
    return this.#lost;
  }

  async start(
    method: 'create' | 'assemble',
    request: Parameters<VolumeCalls['create' | 'assemble']>[0],
  ): Promise<Outcome<Snapshot>> {
    const outcome = await this.#caller.call(method, [request as never]);
    if (outcome.ok) {
      this.#took(outcome.value);
      this.#heartbeat = setInterval(() => void this.#beat(), this.#timing.heartbeatMs);
      this.#heartbeat.unref();
    }
    return outcome;
  }

  call<M extends keyof VolumeCalls>(
    method: M,
    args: Parameters<VolumeCalls[M]>,
    limitMs: number | null = null,
  ): ReturnType<VolumeCalls[M]> {
    return this.#caller.call(method, args as never, limitMs) as ReturnType<VolumeCalls[M]>;
  }

  connect(connection: Connection): Promise<Outcome<void>> {
    return this.#caller.call('connect', [connection]);
  }

  /** As fresh as can be had within the time limit, otherwise the last one; stale ones carry an alarm. */
  async status(): Promise<VolumeStatus | null> {
    await this.refresh();
    if (!this.#last) return null;
    const ageMs = performance.now() - this.#lastMs;
    const { status } = this.#last;
    if (this.#lost !== null || ageMs < this.#timing.alarmAfterMs) return status;
    const seconds = Math.round(ageMs / 1000);
    const message = `The volume's thread has not answered for ${seconds} s; this is what it said last.`;
    return {
      ...status,
      alarms: [{ code: 'volume-stalled', severity: 'critical', message }, ...status.alarms],
    };
  }

  /**
   * Reads a snapshot that begins after this call, so that whoever has just changed something sees the change.
   * Callers that come while one is being read share the next one.
   */
  refresh(): Promise<void> {
    if (this.#lost !== null) return Promise.resolve();
    if (this.#reading === null) return this.#read();
    this.#nextReading ??= this.#reading.then(() => {
      this.#nextReading = null;
      return this.#read();
    });
    return this.#nextReading;
  }

  #read(): Promise<void> {
    this.#reading = this.#caller
      .call('snapshot', [], this.#timing.snapshotLimitMs)
      .then((outcome) => {
        this.#reading = null;
        if (outcome.ok) this.#took(outcome.value);
      });
    return this.#reading;
  }

  /** No more heartbeat; the thread is ended. */
  async end(): Promise<void> {
    this.#stopHeartbeat();
    const ended = await this.#caller.call('end', [], END_MS);
    // A thread that still waits for a drive that hangs ends when the drive answers, and nobody waits for that.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, END_MS);
    });
    await Promise.race([this.#options.thread.terminate(ended.ok && ended.value), late]);
    clearTimeout(timer);
  }

  async #beat(): Promise<void> {
    if (this.#reading === null) await this.refresh();
    const ageMs = performance.now() - this.#lastMs;
    if (this.#lost === null && ageMs >= this.#timing.giveUpAfterMs) {
      this.#caller.giveUp({
        code: 'volume-stalled',
        detail: { volume: this.#options.name, waitedMs: Math.round(ageMs) },
      });
    }
  }

  #took(snapshot: Snapshot): void {
    this.#last = snapshot;
    this.#lastMs = performance.now();
    this.#options.onSnapshot(snapshot);
  }

  #noticed(notice: VolumeNotice): void {
    if (notice.kind === 'crashed') this.#lose(notice.reason);
    else this.#options.onNotice(notice);
  }

  #lose(reason: string): void {
    if (this.#lost !== null) return;
    this.#lost = reason;
    this.#stopHeartbeat();
    const problem: Problem = {
      code: 'volume-crashed',
      detail: { volume: this.#options.name, reason },
    };
    this.#caller.end(problem);
    this.#options.onLost(reason);
  }

  #stopHeartbeat(): void {
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    this.#heartbeat = null;
  }
}
