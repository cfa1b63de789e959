/**
 * The rollouts of this server: begun, looked up, paused, gone on with after a restart. One worker for each that has not
 * ended; a volume belongs to at most one of them (invariant 1), from its start until nothing of it is at work any more.
 */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { baselineOf } from '../../core/machines/rollout-decisions.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type {
  InventoryDrive,
  PlannedDrive,
  RolloutDrive,
  RolloutPlan,
  RolloutReport,
} from '../../core/rollout-report.ts';
import { type Concern, unwrittenConcern } from '../concerns.ts';
import type { LostRecord } from '../kept-records.ts';
import { LostTools } from '../lost-tools.ts';
import { inventoryOf } from './inventory.ts';
import { type Planned, planRollout, refusedPlan } from './rollout-planner.ts';
import {
  ownerOf,
  type RolloutRecord,
  reportOf,
  sparesAtWork,
  volumesOf,
} from './rollout-record.ts';
import type { ResumeRequest, RolloutRequest } from './rollout-request.ts';
import type { RolloutStore } from './rollout-store.ts';
import type { RolloutTools } from './rollout-tools.ts';
import { RolloutWorker } from './rollout-worker.ts';

export class Rollouts {
  readonly #tools: RolloutTools;
  readonly #store: RolloutStore;
  readonly #workers = new Map<string, RolloutWorker>();
  /** Volumes whose rollout is being begun at this moment. */
  readonly #beginning = new Set<string>();
  readonly #lostTools: LostTools;
  readonly #unsubscribe: () => void;

  constructor(tools: RolloutTools, store: RolloutStore) {
    this.#tools = tools;
    this.#store = store;
    // A drive may be asked for before the volumes have been started, and the tools on spares do not wait for them either.
    for (const record of store.all()) {
      for (const [drive, { memberPath }] of sparesAtWork(record)) {
        tools.volumes.holdAsRecorded(ownerOf(record, drive), drive.volumes[0]!, memberPath);
      }
    }
    this.#lostTools = new LostTools(store.lost, 'firmware update', tools);
    tools.volumes.heedOrphan(() => this.#lostTools.unseen());
    this.#unsubscribe = tools.runs.onChange(({ rolloutId }) => {
      if (rolloutId !== null) this.#workers.get(rolloutId)?.wake();
    });
  }

  /** Goes on with what had not ended; to be called when volumes and runs have been started. */
  goOn(): void {
    for (const record of this.#store.all()) {
      const { id, endedAt } = record.report;
      if (endedAt !== null) continue;
      if (this.#store.restored.has(id)) {
        const said = `The record of firmware update ${id} was damaged, and taken from its copy; it goes on.`;
        this.#announce(volumesOf(record.report), 'rollout-record-restored', said);
      }
      this.#work(record, true);
    }
    for (const one of this.#store.lost) {
      const { message, next } = this.#saidOfLost(one);
      if (one.isNews)
        this.#announce(this.#tools.volumes.names(), 'rollout-record-lost', `${message} ${next}`);
    }
  }

  #announce(volumes: readonly string[], kind: string, message: string): void {
    for (const volume of volumes) this.#tools.announce(volume, kind, 'warning', message, {});
  }

  /** Nobody knows any more which volumes it was about, nor whether a spare of theirs is out. */
  #saidOfLost({ id, path }: LostRecord): { message: string; next: string } {
    const tool = this.#lostTools.of(id);
    const message =
      `The record of firmware update ${id} cannot be read (${path}): it does not go on, ` +
      'and a spare that it had released is in no volume.';
    const wait =
      tool === null
        ? ''
        : `Wait until its tool has ended (process ${tool.pid}): no drive can be added before. `;
    const next =
      `${wait}\`locum firmware inventory\` shows what the volumes have; give a missing spare back ` +
      `(\`locum drive add VOLUME PATH --spare\`), then remove ${path}.`;
    return { message, next };
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([...this.#workers.values()].map((worker) => worker.close()));
    await this.#store.close();
  }

  async plan(request: RolloutRequest): Promise<Outcome<RolloutPlan>> {
    const planned = await planRollout(this.#tools, request, this.#store.all());
    return planned.ok ? done(planned.value.plan) : planned;
  }

  /** Plans, refuses with everything untouched, or begins. Ok: it is on record and goes on by itself. */
  async start(request: RolloutRequest): Promise<Outcome<RolloutReport>> {
    const free = this.#checkFree(request.volumes);
    if (!free.ok) return free;
    for (const volume of request.volumes) this.#beginning.add(volume);
    try {
      const planned = await planRollout(this.#tools, request, this.#store.all());
      if (!planned.ok) return planned;
      if (planned.value.problem !== null) return refusedPlan(planned.value.problem);
      const { drives } = planned.value.plan;
      // A drive may belong to volumes that were not named.
      const others = drives
        .flatMap(({ volumes }) => volumes)
        .filter((volume) => !request.volumes.includes(volume));
      const othersFree = this.#checkFree(others);
      if (!othersFree.ok) return othersFree;
      return await this.#begin(request, planned.value);
    } finally {
      for (const volume of request.volumes) this.#beginning.delete(volume);
    }
  }

  /** Newest last. */
  all(): RolloutReport[] {
    const nowMs = this.#tools.wallMs();
    return this.#store.all().map((record) => reportOf(record, nowMs));
  }

  get(id: string): Outcome<RolloutReport> {
    const record = this.#store.get(id);
    if (record === null) return refuse('rollout-unknown', { rollout: id });
    return done(reportOf(record, this.#tools.wallMs()));
  }

  /**
   * A rollout of this volume that has halted by itself, or one of whatever volume that nobody knows any more, until somebody
   * has looked. What is wrong with a drive the volume says itself.
   */
  concerns(volume: string): Concern[] {
    const lost = this.#store.lost.flatMap((one): Concern[] => {
      if (!existsSync(one.path)) return [];
      const { message, next } = this.#saidOfLost(one);
      const alarm = { code: 'update-record-lost', severity: 'warning' as const };
      return [{ alarm: { ...alarm, message: `${message} ${next}` }, next }];
    });
    return [...lost, ...this.#unwritten(volume), ...this.#haltedOf(volume)];
  }

  /** What is done to a drive must be on record. */
  #unwritten(volume: string): Concern[] {
    return this.#store.all().flatMap(({ report }): Concern[] => {
      const why = this.#store.whyUnwritten(report.id);
      if (why === null || !volumesOf(report).includes(volume)) return [];
      return [unwrittenConcern('update-unrecorded', why)];
    });
  }

  #haltedOf(volume: string): Concern[] {
    return this.#store.all().flatMap(({ report }) => {
      const { id, state, reason, next, endedAt } = report;
      if (state !== 'halted' || endedAt !== null || !volumesOf(report).includes(volume)) return [];
      const because = reason === '' ? '' : `: ${reason}`;
      const said = `Firmware update ${id} is halted${because}`.replace(/\.*$/, '.');
      const message = `${said} ${next}`.trim();
      return [{ alarm: { code: 'update-halted', severity: 'warning' as const, message }, next }];
    });
  }

  pause(id: string): Promise<Outcome<RolloutReport>> {
    return this.#command(id, (worker) => worker.pause());
  }

  resume(id: string, request: ResumeRequest): Promise<Outcome<RolloutReport>> {
    return this.#command(id, (worker) => worker.resume(request));
  }

  stop(id: string): Promise<Outcome<RolloutReport>> {
    return this.#command(id, (worker) => worker.stop());
  }

  inventory(volumes: readonly string[] | null): Promise<Outcome<InventoryDrive[]>> {
    return inventoryOf(this.#tools, volumes);
  }

  async #command(
    id: string,
    act: (worker: RolloutWorker) => Promise<Outcome<void>>,
  ): Promise<Outcome<RolloutReport>> {
    const found = this.get(id);
    if (!found.ok) return found;
    const worker = this.#workers.get(id);
    const { state, endedAt } = found.value;
    if (worker === undefined || endedAt !== null) {
      const reason = 'it has ended and cannot be changed any more';
      return refuse('rollout-wrong-state', { rollout: id, state, reason });
    }
    const acted = await act(worker);
    return acted.ok ? this.get(id) : acted;
  }

  /** Invariant 1. */
  #checkFree(volumes: readonly string[]): Outcome<void> {
    for (const volume of volumes) {
      const holder = this.#store
        .all()
        .find(({ report }) => report.endedAt === null && volumesOf(report).includes(volume));
      if (holder) {
        const { id, state } = holder.report;
        return refuse('rollout-exists', { volume, rollout: id, state });
      }
      if (this.#beginning.has(volume)) {
        return refuse('rollout-exists', { volume, rollout: '', state: 'being begun' });
      }
    }
    return done(undefined);
  }

  async #begin(request: RolloutRequest, { plan, task }: Planned): Promise<Outcome<RolloutReport>> {
    const drives = plan.drives.map(plannedToDrive);
    const record: RolloutRecord = {
      version: 1,
      report: {
        id: `fw-${randomBytes(4).toString('hex')}`,
        state: 'running',
        reason: '',
        next: '',
        image: plan.image,
        version: task.version,
        model: task.model,
        command: task.command,
        canary: request.canary,
        soakMs: request.soakMs,
        stopOnError: request.stopOnError,
        allowDegraded: request.window.allowDegraded,
        requestedBy: request.requestedBy,
        startedAt: new Date(this.#tools.wallMs()).toISOString(),
        endedAt: null,
        leftMs: null,
        drives,
      },
      task,
      window: request.window,
      baselines: {},
      before: {},
      spares: {},
      tries: {},
    };
    for (const volume of volumesOf(record.report)) {
      const status = await this.#tools.volumes.status(volume);
      if (!status.ok) return status;
      record.baselines[volume] = baselineOf(status.value);
    }
    const unwritten = await this.#store.add(record);
    if (unwritten !== null) {
      const path = this.#tools.stateDirectory();
      return refuse('state-unusable', { path, reason: unwritten });
    }
    this.#tools.announce(
      request.volumes[0]!,
      'rollout-started',
      'info',
      `Firmware update ${record.report.id} of ${drives.length} drives begins.`,
      { rollout: record.report.id, image: plan.image.path },
    );
    this.#work(record, false);
    return done(reportOf(record, this.#tools.wallMs()));
  }

  #work(record: RolloutRecord, restarted: boolean): void {
    for (const [id, { record: one }] of this.#workers) {
      if (one.report.endedAt !== null) this.#workers.delete(id);
    }
    const worker = new RolloutWorker(this.#tools, this.#store, record, restarted);
    this.#workers.set(record.report.id, worker);
    worker.wake();
  }
}

function plannedToDrive(planned: PlannedDrive): RolloutDrive {
  const { volumes, slot, path, uuid, model, serial, firmware, action, note } = planned;
  const skipped = action === 'skip';
  return {
    volumes,
    slot,
    path,
    uuid,
    model,
    serial,
    firmwareBefore: firmware,
    firmwareAfter: skipped ? firmware : '',
    state: skipped ? 'skipped' : 'pending',
    step: '',
    runId: null,
    startedAt: null,
    soakUntil: null,
    endedAt: null,
    note,
  };
}
