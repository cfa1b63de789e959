/**
 * A machine for tests of runs: drives in memory under the real engine, the real control plane over it, and a tool box whose
 * drives have firmware and do what they are told (hang, go away, come back as another one). `kill` ends the server between
 * two instructions; the next one begins from what was in its state directory and on its drives.
 *
 * Time is real, and nothing is decided by it: tests wait for states, every limit of the engine and of runs is short.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { VolumeOffset } from '../../../../src/base/units.ts';
import { Control } from '../../../../src/control/control-plane.ts';
import { EventLog } from '../../../../src/control/event-log.ts';
import { KnownVolumes } from '../../../../src/control/known-volumes.ts';
import { openRolloutStore } from '../../../../src/control/rollouts/rollout-store.ts';
import { localPorts } from '../../../../src/control/rpc.ts';
import type { RunRecord } from '../../../../src/control/runs/run-record.ts';
import type { RunRequest } from '../../../../src/control/runs/run-service.ts';
import { openRunStore } from '../../../../src/control/runs/run-store.ts';
import type { VolumeThread } from '../../../../src/control/volume-handle.ts';
import { VolumeHost } from '../../../../src/control/volume-host.ts';
import { WindowHistory } from '../../../../src/control/window-history.ts';
import { done, type Outcome, refuse } from '../../../../src/core/problems.ts';
import type { RunReport, TaskRequest } from '../../../../src/core/run-report.ts';
import type { Purpose, VolumeStatus } from '../../../../src/core/status.ts';
import { assembleVolume } from '../../../../src/engine/assemble.ts';
import type { EngineEnvironment, RunningVolume } from '../../../../src/engine/contract.ts';
import { createVolume } from '../../../../src/engine/create.ts';
import { BufferPool } from '../../../../src/io/buffer-pool.ts';
import type { Clock } from '../../../../src/io/clock.ts';
import { MemoryMedium } from '../../../../src/io/memory-drive.ts';
import { SystemClock } from '../../../../src/io/system-clock.ts';
import { createWasmKernels } from '../../../../src/kernels/wasm-kernels.ts';
import { ToolBox } from './tool-box.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
export const SECTOR = 512;
const MEMBER_BYTES = MIB + 256 * KIB;
const LEG_BYTES = 16 * MIB;

/** Timers of a killed server never go off. */
class LifeClock extends SystemClock implements Clock {
  isOver = false;

  override after(delayMs: number, run: () => void): () => void {
    return super.after(delayMs, () => {
      if (!this.isOver) run();
    });
  }
}

interface Life {
  readonly control: Control;
  readonly clock: LifeClock;
  readonly events: EventLog;
  readonly volumes: Map<string, { readonly volume: RunningVolume; readonly buffers: BufferPool }>;
  readonly state: string;
}

export class Machine {
  readonly media = new Map<string, MemoryMedium>();
  readonly tools: ToolBox;
  readonly trouble: string[] = [];
  /** Path to the name of the disk it is a partition of. */
  readonly disks = new Map<string, string>();
  readonly #folder: string;
  #lives = 0;
  #life: Life | null = null;
  /** What the host wrote: volume and sector to the value last answered. */
  readonly #model = new Map<string, Map<number, number>>();
  #next = 1;
  /** Limits of the engine on top of those of tests. */
  limits: Record<string, number> = {};

  private constructor(folder: string) {
    this.#folder = folder;
    this.tools = new ToolBox(this);
  }

  static async boot(t: TestContext): Promise<Machine> {
    const machine = new Machine(mkdtempSync('/tmp/locum-runs-'));
    t.after(async () => {
      await machine.stop();
      rmSync(machine.#folder, { recursive: true, force: true });
    });
    await machine.start();
    return machine;
  }

  get life(): Life {
    assert.ok(this.#life, 'the server runs');
    return this.#life;
  }

  get control(): Control {
    return this.life.control;
  }

  // --- the server ----------------------------------------------------------------------------------------------------

  /** `early`: what is asked of the server before its volumes have been started. */
  async start(early: (control: Control) => Promise<void> = async () => {}): Promise<void> {
    const state = join(this.#folder, String(this.#lives));
    const clock = new LifeClock();
    mkdirSync(state, { recursive: true });
    const known = await KnownVolumes.load(join(state, 'volumes.json'));
    assert.ok(known.ok);
    const say = (reason: string): void => void this.trouble.push(reason);
    const events = await EventLog.open(join(state, 'events.jsonl'), Date.now, say);
    const volumes: Life['volumes'] = new Map();
    const control = new Control({
      server: () => ({
        version: '0',
        pid: 1,
        startedAt: '',
        stateDirectory: state,
        io: 'node',
        ioReason: '',
        listen: [],
      }),
      known: known.value,
      events,
      history: await WindowHistory.open(join(state, 'windows.jsonl'), say, 10),
      startThread: () => this.#thread(clock, volumes),
      onDisconnected: () => {},
      onVolumeLost: () => {},
      onTrouble: say,
      wallMs: Date.now,
      saveRetryMs: 10,
      timing: { heartbeatMs: 20, snapshotLimitMs: 5_000 },
      rollouts: await openRolloutStore(join(state, 'rollouts'), say),
      runs: await openRunStore(join(state, 'runs'), say),
      tools: this.tools,
      runTiming: { lookMs: 5, retryMs: 10, retryMostMs: 20, lateMs: 30_000 },
      windowGroupsFile: join(state, 'window-groups.json'),
      onFault: (error) => {
        throw error;
      },
    });
    this.#life = { control, clock, events, volumes, state };
    await early(control);
    await control.startKnown();
  }

  #thread(clock: LifeClock, volumes: Life['volumes']): VolumeThread {
    const [ours, theirs] = localPorts();
    const buffers = new BufferPool({ sizeBytes: 8 * MIB });
    const keep = async (started: Promise<Outcome<RunningVolume>>) => {
      const outcome = await started;
      if (outcome.ok) volumes.set(outcome.value.status().name, { volume: outcome.value, buffers });
      return outcome;
    };
    void new VolumeHost(theirs, {
      createVolume: (environment, request) => keep(createVolume(environment, request)),
      assembleVolume: (environment, request) => keep(assembleVolume(environment, request)),
      environment: (emit) => this.#environment(clock, buffers, emit),
      sessions: () => ({ open: () => {}, shutdown: async () => {}, connectionCount: 0 }),
      close: () => true,
      onFault: (error) => {
        if (!clock.isOver) throw error;
      },
    });
    return { port: ours, died: new Promise(() => {}), terminate: async () => {} };
  }

  #environment(
    clock: LifeClock,
    buffers: BufferPool,
    emit: EngineEnvironment['emit'],
  ): EngineEnvironment {
    return {
      ioName: 'memory',
      clock,
      buffers,
      kernels: createWasmKernels(buffers.memory),
      random: (length) => new Uint8Array(randomBytes(length)),
      openDrive: async (path) => {
        const medium = this.media.get(path);
        if (clock.isOver || !medium || medium.isVanished)
          return refuse('drive-path-missing', { path });
        if (medium.isOpen) return refuse('drive-busy', { path });
        return done(medium.open(path, buffers));
      },
      createImage: async (path, sizeBytes) => {
        this.media.set(path, new MemoryMedium({ sizeBytes }));
        return done(undefined);
      },
      exists: async (path) => this.media.has(path),
      removeImages: async () => {},
      foreignContent: async (drive) => this.tools.contents.get(drive.path) ?? null,
      place: (path) => this.tools.placeOf(path),
      emit,
      limits: {
        tickMs: 20,
        readmitFirstMs: 20,
        readmitMaxMs: 100,
        sweepBytesPerSecond: 0,
        sweepStepBytes: 64 * KIB,
        replayZoneBytes: 256 * KIB,
        ...this.limits,
      },
    };
  }

  /** As `kill -9`: nothing of the server acts any more. What its tools do goes on. */
  kill(): void {
    const { control, clock, state } = this.life;
    clock.isOver = true;
    this.#lives += 1;
    copyOf(state, join(this.#folder, String(this.#lives)));
    void control.runs.close();
    for (const medium of this.media.values()) medium.crash();
    this.#life = null;
    this.tools.forgetCallers();
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    if (this.#life === null) return;
    const { control, events, clock, state } = this.#life;
    await control.close();
    await events.flush();
    clock.isOver = true;
    this.#lives += 1;
    copyOf(state, join(this.#folder, String(this.#lives)));
    this.#life = null;
    this.tools.forgetCallers();
  }

  /** Of the server that runs, or is started next. */
  recordFile(id: string): string {
    return join(this.#folder, String(this.#lives), 'runs', `${id}.json`);
  }

  // --- volumes -------------------------------------------------------------------------------------------------------

  async create(
    name: string,
    level: number,
    drives = this.drivesOf(name, level),
  ): Promise<string[]> {
    const logs = [`/dev/${name}-leg0`, `/dev/${name}-leg1`];
    for (const path of drives) this.medium(path);
    for (const path of logs) this.medium(path, LEG_BYTES);
    const created = await this.control.handlers.volumeCreate({
      params: {},
      query: {},
      body: {
        name,
        level,
        drives,
        logs,
        assumeClean: true,
        ...(level === 1 ? {} : { chunkBytes: 4 * KIB }),
      },
    });
    assert.ok(created.ok, JSON.stringify(created));
    this.#model.set(name, new Map());
    return drives;
  }

  drivesOf(name: string, level: number): string[] {
    const count = level === 1 ? 2 : 4;
    return Array.from({ length: count }, (_, slot) => `/dev/${name}-d${slot}`);
  }

  medium(path: string, sizeBytes = MEMBER_BYTES): MemoryMedium {
    const medium = this.media.get(path) ?? new MemoryMedium({ sizeBytes });
    this.media.set(path, medium);
    return medium;
  }

  at(path: string): MemoryMedium {
    const medium = this.media.get(path);
    assert.ok(medium, path);
    return medium;
  }

  async status(volume: string): Promise<VolumeStatus> {
    const reply = await this.control.handlers.volumeStatus({
      params: { volume },
      query: {},
      body: {},
    });
    assert.ok(reply.ok, JSON.stringify(reply));
    return reply.value.volumes[0]!;
  }

  async untilStatus(volume: string, is: (status: VolumeStatus) => boolean): Promise<VolumeStatus> {
    for (let round = 0; round < 12_000; round++) {
      const status = await this.status(volume);
      if (is(status)) return status;
      await delay(5);
    }
    assert.fail(JSON.stringify(await this.status(volume), null, 1));
  }

  kinds(volume: string): string[] {
    return this.life.events.list(0, volume, 1_000).map(({ kind }) => kind);
  }

  // --- the host ------------------------------------------------------------------------------------------------------

  async write(volume: string, sector: number, count = 1): Promise<number> {
    const { volume: device, buffers } = this.life.volumes.get(volume)!;
    const bytes = count * SECTOR;
    const address = await buffers.takeLater(bytes, 'engine');
    const values = Array.from({ length: count }, () => this.#next++);
    const view = buffers.slice(address, bytes);
    for (const [index, value] of values.entries()) {
      new Uint32Array(view.buffer, view.byteOffset + index * SECTOR, SECTOR / 4).fill(value);
    }
    const errno = await device.write((sector * SECTOR) as VolumeOffset, address, bytes, false);
    buffers.give(address);
    const model = this.#model.get(volume)!;
    if (errno === 0) {
      for (const [index, value] of values.entries()) model.set(sector + index, value);
    }
    return errno;
  }

  async writeSome(volume: string, writes: number): Promise<void> {
    const sectors = this.sectors(volume);
    for (let index = 0; index < writes; index++) {
      const count = 1 + Math.floor(Math.random() * 12);
      const errno = await this.write(volume, Math.floor(Math.random() * (sectors - count)), count);
      assert.equal(errno, 0);
    }
  }

  sectors(volume: string): number {
    return this.life.volumes.get(volume)!.volume.sizeBytes / SECTOR;
  }

  /** Every sector holds what was answered last. */
  async verify(volume: string): Promise<void> {
    const { volume: device, buffers } = this.life.volumes.get(volume)!;
    const model = this.#model.get(volume)!;
    const step = 64;
    for (let at = 0; at < this.sectors(volume); at += step) {
      const bytes = Math.min(step, this.sectors(volume) - at) * SECTOR;
      const address = await buffers.takeLater(bytes, 'engine');
      assert.equal(await device.read((at * SECTOR) as VolumeOffset, address, bytes), 0);
      const view = buffers.slice(address, bytes);
      for (let index = 0; index < bytes / SECTOR; index++) {
        const words = new Uint32Array(view.buffer, view.byteOffset + index * SECTOR, SECTOR / 4);
        const wanted = model.get(at + index) ?? 0;
        assert.ok(
          words.every((word) => word === wanted),
          `${volume}: sector ${at + index} holds ${words[0]}, written was ${wanted}`,
        );
      }
      buffers.give(address);
    }
  }

  /** No stripe or mirror disagrees. */
  async scrub(volume: string): Promise<void> {
    const { handlers } = this.control;
    const on = { params: { volume }, query: {} };
    const started = await handlers.scrubStart({ ...on, body: {} });
    assert.ok(started.ok, JSON.stringify(started));
    for (;;) {
      const shown = await handlers.scrubStatus({ ...on, body: {} });
      assert.ok(shown.ok);
      const { state, mismatches } = shown.value.job;
      if (state === 'running') {
        await delay(5);
        continue;
      }
      assert.equal(state, 'done');
      assert.equal(mismatches, 0);
      return;
    }
  }

  // --- runs ----------------------------------------------------------------------------------------------------------

  request(volume: string, drive: string, over: Partial<RunOver> = {}): RunRequest {
    const { purpose = 'firmware', window = {}, rehearsal = false, ...task } = over;
    return {
      volume,
      drive,
      rehearsal,
      requestedBy: 'root@test',
      rolloutId: null,
      task: {
        purpose,
        imagePath: purpose === 'firmware' ? '/srv/fw.bin' : null,
        imageSha256: null,
        version: null,
        model: null,
        command: null,
        commandDirectory: null,
        test: purpose === 'diagnostics' ? 'short' : null,
        newDrivePath: null,
        commandLimitMs: 20_000,
        answerLimitMs: 20_000,
        ...task,
      },
      window: {
        maxMs: 60_000,
        onDoubleAbsence: 'wait',
        waitMs: 30_000,
        allowDegraded: false,
        allowSingleLog: false,
        verify: 'recent',
        ...window,
      },
    };
  }

  async run(volume: string, drive: string, over: Partial<RunOver> = {}): Promise<RunReport> {
    const started = await this.control.runs.start(this.request(volume, drive, over));
    assert.ok(started.ok, JSON.stringify(started));
    return started.value;
  }

  /** A run of the drive in slot 1 of tank; `step` of its task is at work, and waits for the gate. */
  async runUpTo(
    step: Parameters<ToolBox['gate']>[0],
    over: Partial<RunOver> = {},
  ): Promise<{ id: string; gate: ReturnType<ToolBox['gate']> }> {
    const gate = this.tools.gate(step);
    const { id } = await this.run('tank', '1', over);
    const never = new AbortController();
    const ended = this.#endOf(id, never.signal);
    await Promise.race([gate.arrived, ended]);
    never.abort();
    assert.notEqual(this.control.runs.get(id)?.state, 'ended', `it never came to ${step}`);
    return { id, gate };
  }

  /** However long it takes, or until nobody waits for it any more. */
  async #endOf(id: string, never: AbortSignal): Promise<void> {
    while (!never.aborted && this.control.runs.get(id)?.state !== 'ended') await delay(20);
  }

  async untilRun(id: string, is: (run: RunReport) => boolean): Promise<RunReport> {
    for (let round = 0; round < 20_000; round++) {
      const run = this.control.runs.get(id);
      assert.ok(run, 'the run is on record');
      if (is(run)) return run;
      await delay(3);
    }
    assert.fail(JSON.stringify(this.control.runs.get(id), null, 1));
  }

  /** Its end is durable. */
  async untilOnFile(id: string): Promise<void> {
    await this.untilRun(id, ({ steps }) => steps.every(({ output }) => output === ''));
  }

  /** The run has heard that its drive is wanted back; its tool may be at work still. */
  async untilRecalled(id: string): Promise<void> {
    const phaseOf = (): string =>
      (JSON.parse(readFileSync(this.recordFile(id), 'utf8')) as RunRecord).phase;
    await this.untilRun(id, () => phaseOf() === 'recalled');
  }

  ended(id: string): Promise<RunReport> {
    return this.untilRun(id, ({ state }) => state === 'ended');
  }

  async refused(volume: string, drive: string, over: Partial<RunOver> = {}): Promise<string> {
    const started = await this.control.runs.start(this.request(volume, drive, over));
    assert.ok(!started.ok, 'it was not refused');
    return started.problem.code;
  }
}

/** A file that gets its name at this moment is under neither of two names: then it is all copied anew. */
function copyOf(from: string, to: string): void {
  for (let tries = 1; ; tries++) {
    try {
      return cpSync(from, to, { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 100) throw error;
      rmSync(to, { recursive: true, force: true });
    }
  }
}

interface RunOver extends TaskRequest {
  readonly purpose: Purpose;
  readonly window: Partial<RunRequest['window']>;
  readonly rehearsal: boolean;
}
