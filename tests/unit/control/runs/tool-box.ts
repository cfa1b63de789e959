/** Drives with firmware, and the tools that flash, test and reset them: all in memory, and as obedient as the test wants. */

import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunTools } from '../../../../src/control/runs/run-tools.ts';
import type { DriveFacts } from '../../../../src/core/drive-facts.ts';
import { done, type Outcome, refuse } from '../../../../src/core/problems.ts';
import type { TaskRequest } from '../../../../src/core/run-report.ts';
import type { Place } from '../../../../src/io/place.ts';
import type {
  CommandResult,
  DriveTask,
  StepControl,
  TaskDrive,
} from '../../../../src/tasks/task.ts';
import type { Machine } from './machine.ts';

export interface ToolDrive {
  firmware: string;
  staged: string;
  serial: string;
  capacityBytes: number;
  /** What the image makes of it. */
  next: string;
  /** The drive does not answer. */
  isGone: boolean;
  isUnreadable: boolean;
}

type StepName = 'stage' | 'activate' | 'reset' | 'diagnose';

export class ToolBox implements RunTools {
  readonly drives = new Map<string, ToolDrive>();
  /** What is on drives that are neither blank nor ours. */
  readonly contents = new Map<string, string>();
  /** The uuid of the member that is found at a path. */
  readonly membersAt = new Map<string, string>();
  used: Outcome<void> = done(undefined);
  /** Opened by somebody else. */
  readonly busy = new Set<string>();
  /** Every command that was begun: `stage /dev/x`. */
  readonly log: string[] = [];
  stageActivates = false;
  /** Why no read test can be begun. */
  noReadTest = '';
  /** Refuses `check`; set between plan and stage for an image that vanishes. */
  checkRefusal: string | null = null;
  imageSha256 = 'ab';
  /** How often a drive did not answer, and how often all drives were asked who they are. */
  silences = 0;
  searches = 0;
  /** Waits here at the beginning of a command; a test lets it go on. */
  gates = new Map<StepName | 'probe' | 'verify', Gate>();
  results = new Map<StepName, Partial<CommandResult>>();
  /** Of each command that was begun. */
  readonly limitsMs: number[] = [];
  readonly environments: Record<string, string>[] = [];
  /** Processes that outlive their server, by pid. */
  readonly #processes = new Map<number, Promise<CommandResult>>();
  /** As the file with its number that a tool leaves beside its output. */
  readonly #pids = new Map<string, number>();
  readonly #running = new Set<number>();
  /** Tools leave their exit status for the next server. */
  knowsHowItEnded = true;
  readonly #machine: Machine;
  #pid = 100;
  #checks = 0;
  #checkGate: Gate | null = null;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  drive(path: string): ToolDrive {
    const known = this.drives.get(path);
    if (known) return known;
    const drive: ToolDrive = {
      firmware: 'A1',
      staged: '',
      serial: `S-${path}`,
      capacityBytes: 1_000_000,
      next: 'B2',
      isGone: false,
      isUnreadable: false,
    };
    this.drives.set(path, drive);
    return drive;
  }

  gate(step: StepName | 'probe' | 'verify'): Gate {
    const gate = new Gate();
    this.gates.set(step, gate);
    return gate;
  }

  /** Arrived at by the second check: the one with the windows open. */
  gateCheckAfterPlan(): Gate {
    this.#checkGate = new Gate();
    return this.#checkGate;
  }

  /** The server that waited for these is gone; the commands themselves go on. */
  forgetCallers(): void {}

  placeOf = async (path: string): Promise<Place> => {
    const disk = this.#machine.disks.get(path) ?? null;
    const isThere = this.#machine.media.has(path) && !this.#machine.at(path).isVanished;
    const isDisk = [...this.#machine.disks.values()].includes(path.replace('/dev/', ''));
    if (isDisk)
      return { identity: path, disk: path.replace('/dev/', ''), file: null, fileDisk: null };
    return { identity: isThere ? path : `path:${path}`, disk, file: null, fileDisk: null };
  };

  wholeDrive: RunTools['wholeDrive'] = async (path) => {
    const { disks } = this.#machine;
    const disk = disks.get(path) ?? [...disks.values()].find((name) => `/dev/${name}` === path);
    if (disk === undefined) {
      const isThere = this.#machine.media.has(path) && !this.#machine.at(path).isVanished;
      if (!isThere) return refuse('drive-path-missing', { path });
      return done({ key: path, path, transport: 'image', parts: [path], sitsOn: [] });
    }
    const parts = [...disks].flatMap(([part, name]) => (name === disk ? [part] : []));
    return done({ key: disk, path: `/dev/${disk}`, transport: 'image', parts, sitsOn: [] });
  };

  taskOf: RunTools['taskOf'] = () => this.#task();

  findDrive: RunTools['findDrive'] = async ({ serial }) => {
    this.searches += 1;
    for (const [path, drive] of this.drives) {
      if (drive.serial !== serial || drive.isGone) continue;
      const whole = await this.wholeDrive(path);
      if (whole.ok) return whole.value;
    }
    return null;
  };

  waitForCommand: RunTools['waitForCommand'] = async ({ process }, { outputPath }) => {
    const pid = process?.pid ?? this.#pids.get(basename(outputPath)) ?? 0;
    const result = await this.#processes.get(pid);
    return this.knowsHowItEnded ? (result ?? null) : null;
  };

  findCommand: RunTools['findCommand'] = (outputPath) => {
    const pid = this.#pids.get(basename(outputPath)) ?? 0;
    return this.#running.has(pid) ? { pid, startTicks: 1 } : null;
  };

  isRunning: RunTools['isRunning'] = ({ pid }) => this.#running.has(pid);

  /** No tool is at work. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await delay(2);
  }

  imageOf: RunTools['imageOf'] = async (path) => ({
    path,
    sizeBytes: 4096,
    sha256: this.imageSha256,
  });

  /** Of drives that are to replace others; as large as need be where nothing is said. */
  readonly sizes = new Map<string, number>();

  newDrive: RunTools['newDrive'] = async (path) =>
    done({
      content: this.contents.get(path) ?? null,
      sizeBytes: this.sizes.get(path) ?? Number.MAX_SAFE_INTEGER,
    });

  memberAt: RunTools['memberAt'] = async (path) =>
    this.busy.has(path) ? refuse('drive-busy', { path }) : done(this.membersAt.get(path) ?? null);

  /** What was said to be ours when somebody asked last who else uses the drive. */
  lastOurs: readonly string[] | null = [];

  checkUnused: RunTools['checkUnused'] = (_, ours) => {
    this.lastOurs = ours;
    return this.used;
  };

  #task(): DriveTask {
    return {
      transport: 'image',
      stageActivates: this.stageActivates,
      probe: (drive) => this.#probe(drive),
      check: async (_, __, { imagePath, imageSha256 }) => {
        this.#checks += 1;
        if (this.#checks > 1) await this.#checkGate?.pass();
        if (imageSha256 !== null && imageSha256 !== this.imageSha256) {
          const sums = { found: this.imageSha256, expected: imageSha256 };
          return refuse('image-wrong-checksum', { image: imagePath ?? '', ...sums });
        }
        return this.checkRefusal === null
          ? done(undefined)
          : refuse('argument-invalid', { name: 'image', reason: this.checkRefusal });
      },
      stage: (drive, request, control) =>
        this.#command('stage', drive, request, control, (it) => {
          if (this.stageActivates) it.firmware = it.next;
          else it.staged = it.next;
        }),
      activate: (drive, request, control) =>
        this.#command('activate', drive, request, control, (it) => {
          it.firmware = it.staged;
        }),
      reset: (drive, request, control) => this.#command('reset', drive, request, control, () => {}),
      diagnose: (drive, request, control) =>
        this.#command('diagnose', drive, request, control, () => {}),
      verify: async (drive) => {
        await this.gates.get('verify')?.pass();
        if (this.noReadTest !== '')
          return {
            ...well('verify'),
            result: 'not-started',
            exitStatus: null,
            reason: this.noReadTest,
          };
        return this.drive(drive.path).isUnreadable
          ? {
              ...well('verify'),
              result: 'failed',
              exitStatus: 1,
              reason: 'sector 7 cannot be read.',
            }
          : well('verify');
      },
    };
  }

  async #probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    await this.gates.get('probe')?.pass();
    const drive = this.drive(path);
    if (drive.isGone) this.silences += 1;
    if (drive.isGone) return refuse('drive-path-missing', { path });
    return done({
      path,
      transport: 'image',
      model: 'Model 7',
      serial: drive.serial,
      firmware: drive.firmware,
      capacityBytes: drive.capacityBytes,
      logicalBlockBytes: 512,
      physicalBlockBytes: 512,
      health: 'ok',
      healthNote: '',
    });
  }

  /** Goes on by itself, whoever waits for it. */
  #command(
    step: StepName,
    drive: TaskDrive,
    request: TaskRequest,
    control: StepControl,
    effect: (drive: ToolDrive) => void,
  ): Promise<CommandResult> {
    this.log.push(`${step} ${drive.path}`);
    this.limitsMs.push(control.limitMs);
    this.environments.push({ ...drive.environment });
    const given = this.results.get(step) ?? {};
    const work = (async (): Promise<CommandResult> => {
      const gate = this.gates.get(step);
      const isStopped = await (gate?.pass(control.signal) ?? false);
      if (isStopped)
        return { ...well(step), result: 'stopped', exitStatus: null, reason: 'stopped' };
      if ((given.result ?? 'done') === 'done') effect(this.drive(drive.path));
      return { ...well(request.command ?? step), ...given };
    })();
    this.#pid += 1;
    this.#processes.set(this.#pid, work);
    this.#pids.set(basename(control.outputPath), this.#pid);
    const pid = this.#pid;
    this.#running.add(pid);
    void work.finally(() => this.#running.delete(pid));
    writeFileSync(`${control.outputPath}.pid`, `${pid}\n`);
    control.onStarted({ pid: this.#pid, startTicks: 1 });
    return work;
  }
}

const well = (command: string): CommandResult => ({
  command,
  result: 'done',
  exitStatus: 0,
  output: `${command}: ok\n`,
  reason: '',
});

/** Somebody arrives and waits until the test opens. */
export class Gate {
  #arrive: () => void = () => {};
  #open: () => void = () => {};
  readonly arrived: Promise<void>;
  readonly #opened: Promise<void>;

  constructor() {
    this.arrived = new Promise((resolve) => {
      this.#arrive = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** True when it was stopped instead. */
  async pass(signal?: AbortSignal): Promise<boolean> {
    this.#arrive();
    const stopped = new Promise<void>((resolve) => {
      if (signal?.aborted) resolve();
      signal?.addEventListener('abort', () => resolve());
    });
    await Promise.race([this.#opened, stopped]);
    return signal?.aborted === true;
  }

  open(): void {
    this.#open();
  }
}
