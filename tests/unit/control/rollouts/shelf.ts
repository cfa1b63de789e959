/**
 * Volumes, drives, runs and tasks for the tests of rollouts, without a file or a process: a drive is an object that says
 * what firmware it has, a run is ended by the test or by itself, and what was asked of whom is written down in order.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LostTool } from '../../../../src/control/lost-tools.ts';
import type { RolloutRequest } from '../../../../src/control/rollouts/rollout-request.ts';
import { openRolloutStore } from '../../../../src/control/rollouts/rollout-store.ts';
import type {
  RolloutTools,
  RolloutVolumes,
} from '../../../../src/control/rollouts/rollout-tools.ts';
import { Rollouts } from '../../../../src/control/rollouts/rollouts.ts';
import type { RunRequest, RunService } from '../../../../src/control/runs/run-service.ts';
import type { DriveFacts } from '../../../../src/core/drive-facts.ts';
import { done, type Outcome, type Problem, refuse } from '../../../../src/core/problems.ts';
import type { RolloutDrive, RolloutReport } from '../../../../src/core/rollout-report.ts';
import type { RunOutcome, RunReport, TaskRequest } from '../../../../src/core/run-report.ts';
import type { Check, DriveStatus, VolumeStatus } from '../../../../src/core/status.ts';
import { plainRequest } from '../../../../src/core/task-request.ts';
import type { CommandResult, DriveTask, TaskDrive } from '../../../../src/tasks/task.ts';

export const NEW = 'B2';

export interface FakeDrive extends DriveFacts {
  answers: boolean;
  /** What a flash makes of it. */
  becomes: string;
}

/** How a run of a drive ends; a function is asked when it begins. */
export interface RunPlan {
  readonly outcome: RunOutcome;
  /** The run stays where it is until the test ends it. */
  readonly waits?: boolean;
  readonly meanwhile?: () => void;
}

export class Shelf implements RolloutVolumes, RunService {
  readonly volumes = new Map<string, VolumeStatus>();
  readonly drives = new Map<string, FakeDrive>();
  readonly plans = new Map<string, RunPlan>();
  readonly refusals = new Map<string, Problem>();
  readonly windowChecks: Check[] = [];
  readonly spareChecks: Check[] = [];
  readonly story: string[] = [];
  readonly events: string[] = [];
  readonly reports: RunReport[] = [];
  readonly listeners = new Set<(report: RunReport) => void>();
  /** Partitions: member path → whole drive. */
  readonly wholes = new Map<string, string>();
  nowMs = 1_000_000;
  flashResult: CommandResult['result'] = 'done';
  stageActivates = false;
  missingTool = '';
  imageSha = 'aa';
  /** How often all drives were asked who they are. */
  searches = 0;
  /** A tool of a server before this one. */
  orphan: { readonly pid: number; readonly startTicks: number } | null = null;
  /** Why the drive of a released spare may not be touched. */
  inUse: string | null = null;
  /** The uuid of the spare that a released drive carries. */
  readonly carried = new Map<string, string>();
  readonly holds = new Map<string, string>();
  /** Called in the middle of a flash of a spare. */
  whileFlashing: () => Promise<void> = async () => {};
  /** Called right when something is begun: what must be on record by then? */
  onBegin: (what: string) => void = () => {};

  addVolume(name: string, paths: readonly string[], spares: readonly string[] = []): void {
    const drives: DriveStatus[] = [
      ...paths.map((path, slot) => member(path, slot)),
      ...spares.map((path) => ({ ...member(path, 0), slot: null, state: 'spare' as const })),
    ];
    this.volumes.set(name, volumeOf(name, drives));
    for (const path of [...paths, ...spares]) {
      const whole = this.wholes.get(path) ?? path;
      if (!this.drives.has(whole)) this.drives.set(whole, factsOf(whole));
    }
  }

  drive(path: string): FakeDrive {
    return this.drives.get(path)!;
  }

  member(volume: string, slot: number): DriveStatus {
    return this.volumes.get(volume)!.drives.find((drive) => drive.slot === slot)!;
  }

  fail(volume: string, slot: number): void {
    const drive = this.member(volume, slot);
    drive.state = 'failed';
    drive.reason = 'pulled';
    this.volumes.get(volume)!.state = 'degraded';
  }

  // --- RolloutVolumes ------------------------------------------------------------------------------------------------

  names(): string[] {
    return [...this.volumes.keys()];
  }

  async status(volume: string): Promise<Outcome<VolumeStatus>> {
    const status = this.volumes.get(volume);
    return status ? done(structuredClone(status)) : refuse('volume-unknown', { volume });
  }

  async find(volume: string, path: string) {
    const { key, wholePath } = await this.wholeOf(path);
    const members = [...this.volumes.values()].flatMap(({ name, drives }) =>
      drives
        .filter((one) => one.slot !== null && (this.wholes.get(one.path) ?? one.path) === wholePath)
        .map(() => ({ volume: name })),
    );
    const first = members.filter((one) => one.volume === volume);
    const others = members.filter((one) => one.volume !== volume);
    return done({ key, wholePath, members: [...first, ...others] });
  }

  async wholeOf(path: string) {
    const wholePath = this.wholes.get(path) ?? path;
    return { key: wholePath, wholePath };
  }

  async planWindow(): Promise<Outcome<Check[]>> {
    return done(this.windowChecks);
  }

  async checksOfSpare(): Promise<Check[]> {
    return this.spareChecks;
  }

  async whyInUse(): Promise<string | null> {
    return this.inUse;
  }

  async memberAt(path: string): Promise<Outcome<string | null>> {
    return done(this.carried.get(path) ?? null);
  }

  async hold(owner: string, _: string, path: string): Promise<void> {
    this.holds.set(owner, path);
  }

  holdAsRecorded(owner: string, _: string, path: string): void {
    this.holds.set(owner, path);
  }

  letGo(owner: string): void {
    this.holds.delete(owner);
  }

  /** The tool that may be at work on any drive. */
  orphanAtWork: () => LostTool | null = () => null;

  heedOrphan(unseen: () => LostTool | null): void {
    this.orphanAtWork = unseen;
  }

  async removeSpare(volume: string, path: string): Promise<Outcome<void>> {
    this.story.push(`release ${path}`);
    const status = this.volumes.get(volume)!;
    this.carried.set(path, status.drives.find((drive) => drive.path === path)!.uuid);
    status.drives = status.drives.filter((drive) => drive.path !== path);
    this.onBegin(`release ${path}`);
    return done(undefined);
  }

  async addSpare(
    volume: string,
    path: string,
    force: boolean,
    owner: string,
  ): Promise<Outcome<void>> {
    if (this.holds.get(owner) !== path) return refuse('drive-at-work', { path, volume });
    if (!force) {
      const content = `a member of the volume or md array "${volume}"`;
      return refuse('drive-has-data', { path, content });
    }
    this.story.push(`add ${path}`);
    const spare = {
      ...member(path, 0),
      slot: null,
      state: 'spare' as const,
      uuid: `${path} again`,
    };
    this.volumes.get(volume)!.drives.push(spare);
    return done(undefined);
  }

  // --- RunService ----------------------------------------------------------------------------------------------------

  async start(request: RunRequest): Promise<Outcome<RunReport>> {
    const { volume, drive: path } = request;
    const refusal = this.refusals.get(path);
    if (refusal) return { ok: false, problem: refusal };
    const status = this.volumes.get(volume)!;
    const at = status.drives.find((one) => one.path === path)!;
    const whole = this.wholes.get(path) ?? path;
    this.story.push(`run ${whole}`);
    this.onBegin(`run ${whole}`);
    const id = request.id ?? `run-${this.reports.length + 1}`;
    const report = runReport(id, volume, at, request.rolloutId);
    report.startedAt = new Date(this.nowMs).toISOString();
    report.before = this.factsOf(whole);
    report.image = { path: '/fw', sizeBytes: 1, sha256: request.task.imageSha256 ?? '' };
    this.reports.push(report);
    const plan = this.plans.get(path) ?? { outcome: 'done' };
    plan.meanwhile?.();
    if (!plan.waits) this.end(report, plan.outcome);
    return done(structuredClone(report));
  }

  /** The run of the drive that is at work ends so. */
  endRun(path: string, outcome: RunOutcome, now = path): void {
    const report = this.reports.findLast((one) => one.drive.path === path && one.outcome === null);
    report!.drive.path = now;
    this.end(report!, outcome);
  }

  end(report: RunReport, outcome: RunOutcome): void {
    const whole = this.wholes.get(report.drive.path) ?? report.drive.path;
    const drive = this.drive(whole);
    if (outcome === 'done') drive.firmware = drive.becomes;
    report.outcome = outcome;
    report.state = 'ended';
    report.sentence = outcome === 'done' ? '' : `the run was ${outcome}`;
    report.next = outcome === 'done' ? '' : 'Look at it.';
    report.after = this.factsOf(whole);
    for (const listener of this.listeners) listener(structuredClone(report));
  }

  get(id: string): RunReport | null {
    return structuredClone(this.reports.find((report) => report.id === id) ?? null);
  }

  all(): RunReport[] {
    return structuredClone(this.reports);
  }

  ofVolume(volume: string): RunReport | null {
    const atWork = this.reports.find(
      ({ volumes, outcome }) => outcome === null && volumes.includes(volume),
    );
    return structuredClone(atWork ?? null);
  }

  recall(): Outcome<RunReport> {
    return refuse('internal', {});
  }

  onChange(listener: (report: RunReport) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  // --- tasks ---------------------------------------------------------------------------------------------------------

  factsOf(path: string): DriveFacts {
    const { answers: _, becomes: __, ...facts } = this.drive(path);
    return { ...facts };
  }

  task(): DriveTask {
    const result = (what: CommandResult['result']): CommandResult => ({
      command: 'fake',
      result: what,
      exitStatus: what === 'done' ? 0 : 1,
      output: '',
      reason: what === 'done' ? '' : 'the tool failed',
    });
    const flash = async (name: string, { path }: TaskDrive, last: boolean) => {
      this.story.push(`${name} ${path}`);
      this.onBegin(`${name} ${path}`);
      await this.whileFlashing();
      const drive = this.drive(path);
      if (last && this.flashResult === 'done') drive.firmware = drive.becomes;
      return result(this.flashResult);
    };
    return {
      transport: 'image',
      probe: async ({ path }) =>
        this.drive(path).answers
          ? done(this.factsOf(path))
          : refuse('drive-open-failed', { path, reason: 'it does not answer' }),
      check: async (_drive, _facts, request: TaskRequest) =>
        this.missingTool === '' && request.imageSha256 === this.imageSha
          ? done(undefined)
          : refuse('argument-invalid', {
              name: 'image',
              reason: this.missingTool || 'it has changed',
            }),
      stage: (drive) => flash('stage', drive, this.stageActivates),
      stageActivates: this.stageActivates,
      activate: (drive) => flash('activate', drive, true),
      reset: async () => result('done'),
      diagnose: async () => result('done'),
      verify: async () => result('done'),
    };
  }

  tools(): RolloutTools {
    return {
      volumes: this,
      runs: this,
      taskFor: async () => done({ task: this.task(), transport: 'image' as const }),
      stateDirectory: () => '/state',
      findCommand: () => this.orphan,
      isRunning: ({ pid }) => this.orphan?.pid === pid,
      taskOf: () => this.task(),
      findDrive: async ({ serial }) => {
        this.searches += 1;
        const here = [...this.drives.values()].find(
          (drive) => drive.serial === serial && drive.answers,
        );
        if (here === undefined) return null;
        const { path, transport } = here;
        return { key: path, path, transport, parts: [path], sitsOn: [] };
      },
      imageOf: async (path) => done({ path, sizeBytes: 1, sha256: this.imageSha }),
      waitForCommand: async () => null,
      announce: (volume, kind, severity, message) =>
        this.events.push(`${volume} ${kind} ${severity} ${message}`),
      onTrouble: (reason) => this.events.push(`trouble ${reason}`),
      wallMs: () => this.nowMs,
      lookMs: 2,
    };
  }
}

export const factsOf = (path: string): FakeDrive => ({
  path,
  transport: 'image',
  model: 'ACME',
  serial: `S-${path}`,
  firmware: 'A1',
  capacityBytes: 1,
  logicalBlockBytes: 512,
  physicalBlockBytes: 512,
  health: 'ok',
  healthNote: '',
  answers: true,
  becomes: NEW,
});

const member = (path: string, slot: number): DriveStatus => ({
  slot,
  path,
  uuid: `uuid-${path}`,
  state: path === '' ? 'missing' : 'online',
  errors: { read: 0, write: 0 },
  reason: '',
});

const volumeOf = (name: string, drives: DriveStatus[]): VolumeStatus => ({
  name,
  uuid: '',
  level: 5,
  state: drives.some(({ state }) => state === 'missing') ? 'degraded' : 'optimal',
  sizeBytes: 0,
  chunkBytes: 0,
  io: 'memory',
  redundancy: { canLose: 1 },
  writeHole: 'closed',
  drives,
  log: null,
  window: null,
  jobs: [],
  alarms: [],
  story: { state: '', why: '', next: '' },
});

const runReport = (
  id: string,
  volume: string,
  { slot, path, uuid }: DriveStatus,
  rolloutId: string | null,
): RunReport => ({
  id,
  volumes: [volume],
  drive: { slot, path, uuid },
  purpose: 'firmware',
  rehearsal: false,
  requestedBy: '',
  image: null,
  state: 'running',
  step: 'stage',
  begun: true,
  outcome: null,
  sentence: '',
  next: '',
  startedAt: '',
  endedAt: null,
  before: null,
  after: null,
  steps: [],
  checks: [],
  windowIds: [],
  loggedBytes: 0,
  replayedBytes: 0,
  rolloutId,
});

export const request = (
  volumes: readonly string[],
  change: Omit<Partial<RolloutRequest>, 'task'> & { task?: Partial<TaskRequest> } = {},
): RolloutRequest => ({
  volumes,
  drives: [],
  canary: 1,
  soakMs: 0,
  stopOnError: true,
  requestedBy: 'root@host',
  ...change,
  window: {
    maxMs: 1_800_000,
    onDoubleAbsence: 'wait',
    waitMs: 60_000,
    allowDegraded: false,
    allowSingleLog: false,
    verify: 'recent',
    ...change.window,
  },
  task: {
    ...plainRequest,
    imagePath: '/fw',
    commandLimitMs: 1000,
    answerLimitMs: 20,
    ...change.task,
  } as RolloutRequest['task'],
});

/** A shelf with its rollouts; `restart` makes another server of what the first one left in its folder. */
export async function scene(t: TestContext, shelf = new Shelf()) {
  const folder = mkdtempSync('/tmp/locum-rollout-');
  const trouble = (reason: string): void => void shelf.events.push(`trouble ${reason}`);
  const open = async (): Promise<Rollouts> =>
    new Rollouts(shelf.tools(), await openRolloutStore(join(folder, 'rollouts'), trouble, 10));
  const all = { current: await open() };
  t.after(async () => {
    await all.current.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const start = async (asked: RolloutRequest): Promise<RolloutReport> => {
    const started = await all.current.start(asked);
    if (!started.ok)
      throw new Error(`${started.problem.code} ${JSON.stringify(started.problem.detail)}`);
    return started.value;
  };
  /** Waits for a state of the rollout. */
  const until = async (
    id: string,
    is: (report: RolloutReport) => boolean,
    what: string,
  ): Promise<RolloutReport> => {
    for (let tries = 0; tries < 25_000; tries += 1) {
      const report = all.current.get(id);
      if (report.ok && is(report.value)) return report.value;
      await delay(2);
    }
    const last = all.current.get(id);
    throw new Error(`never ${what}: ${JSON.stringify(last, null, 1)}`);
  };
  return {
    shelf,
    folder,
    start,
    until,
    /** A rollout of v1, whose drive `a` has been flashed, and soaks for a minute. */
    soaking: async (): Promise<string> => {
      const { id } = await start(request(['v1'], { soakMs: 60_000 }));
      await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'soaking');
      return id;
    },
    rollouts: () => all.current,
    /** Killed: nothing more is written or begun by the old one. */
    restart: async (early: () => void = () => {}, meanwhile: () => void = () => {}) => {
      await all.current.close();
      shelf.listeners.clear();
      meanwhile();
      all.current = await open();
      early();
      all.current.goOn();
    },
  };
}

export const ended = ({ endedAt }: RolloutReport): boolean => endedAt !== null;
export const halted = ({ state }: RolloutReport): boolean => state === 'halted';
export const states = ({ drives }: RolloutReport): string[] =>
  drives.map(({ path, state }) => `${path} ${state}`);
export const driveOf = (report: RolloutReport, path: string): RolloutDrive =>
  report.drives.find((drive) => drive.path === path)!;
