/**
 * A running volume: what the control plane and NBD hold in their hands. Every method answers with a value; the work is
 * done in the files named after it.
 */

import { EIO, ENOTSUP, type Errno, ESHUTDOWN } from '../base/errno.ts';
import type { Address, StripeIndex, VolumeOffset } from '../base/units.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type {
  JobStatus,
  LogCheck,
  LogReport,
  VerifyMode,
  VolumeStatus,
  WindowPlan,
  WindowReport,
} from '../core/status.ts';
import type { Extent, ZeroOptions } from '../io/block-device.ts';
import type {
  AddLogRequest,
  CloseRequest,
  ReplaceLegRequest,
  RunningVolume,
  WindowRequest,
} from './contract.ts';
import { addDrive, failDrive, removeDrive, replaceDrive, wipeMember } from './drive-commands.ts';
import { addLog, replaceLeg } from './log-commands.ts';
import { wipeLeg } from './log-setup.ts';
import { read } from './read.ts';
import { startScrub } from './resync.ts';
import { Ticker } from './ticker.ts';
import type { VolumeCore } from './volume-core.ts';
import { statusOf } from './volume-status.ts';
import { WindowRunner } from './window-runner.ts';
import { driveOf } from './window-state.ts';
import { flush, write } from './write.ts';
import { zero } from './zero.ts';

const MIB = 1024 * 1024;

export class Volume implements RunningVolume {
  readonly core: VolumeCore;
  readonly windows: WindowRunner;
  readonly #ticker: Ticker;

  constructor(core: VolumeCore) {
    this.core = core;
    this.windows = new WindowRunner(core);
    this.#ticker = new Ticker(core, this.windows);
  }

  start(): void {
    this.#ticker.start();
  }

  // --- as a block device -------------------------------------------------------------------------------------------

  get name(): string {
    return this.core.name;
  }

  get description(): string {
    const { level, members } = this.core.geometry;
    return `${level.title} of ${members} drives`;
  }

  get uuid(): string {
    return this.core.uuid;
  }

  get sizeBytes(): number {
    return this.core.geometry.volumeBytes;
  }

  get preferredBytes(): number {
    return Math.min(this.core.geometry.chunkBytes, MIB);
  }

  read(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno> {
    if (this.core.stopping) return Promise.resolve(ESHUTDOWN);
    return read(this.core, offset, address, lengthBytes);
  }

  write(offset: VolumeOffset, address: Address, lengthBytes: number, fua: boolean): Promise<Errno> {
    if (this.core.stopping) return Promise.resolve(ESHUTDOWN);
    return write(this.core, offset, address, lengthBytes, fua);
  }

  zero(offset: VolumeOffset, lengthBytes: number, options: ZeroOptions): Promise<Errno> {
    if (this.core.stopping) return Promise.resolve(ESHUTDOWN);
    // Fast means without writing zeroes: sure only where they become one small record.
    if (options.fast && this.core.mode !== 'frozen') return Promise.resolve(ENOTSUP);
    return zero(this.core, offset, lengthBytes, {
      trim: false,
      keepAllocated: options.noHole,
      fua: options.fua,
    });
  }

  trim(offset: VolumeOffset, lengthBytes: number, fua: boolean): Promise<Errno> {
    if (this.core.stopping) return Promise.resolve(ESHUTDOWN);
    return zero(this.core, offset, lengthBytes, { trim: true, keepAllocated: false, fua });
  }

  flush(): Promise<Errno> {
    return this.core.stopping ? Promise.resolve(ESHUTDOWN) : flush(this.core);
  }

  cache(): Promise<Errno> {
    return Promise.resolve(this.core.halted ? EIO : 0);
  }

  extents(_offset: VolumeOffset, lengthBytes: number): Promise<readonly Extent[]> {
    // Everything counts as allocated data, which is always a safe answer.
    return Promise.resolve([{ lengthBytes, hole: false, zero: false }]);
  }

  // --- as something to look after ------------------------------------------------------------------------------------

  status(): VolumeStatus {
    return statusOf(this.core);
  }

  paths(): { drives: string[]; logs: string[] } {
    const { members, logPaths, window } = this.core;
    // A drive on its return may be another one, half made from the others: the one that left is still what is looked for.
    const back = members.slots.find(({ state }) => state === 'returning');
    const isNew = back !== undefined && window !== null && window.path !== '';
    const slots = members.slots.map((member) =>
      isNew && member === back ? window.path : member.path,
    );
    const all = [...slots, ...members.spares.map(({ path }) => path), isNew ? back.path : ''];
    const drives = [...new Set(all)].filter((path) => path !== '');
    return { drives, logs: [...logPaths] };
  }

  /** Orderly: host I/O ends, jobs pause, intent bits are cleared, everything is flushed and closed. */
  async stop(): Promise<Outcome<void>> {
    const v = this.core;
    if (v.stopping) return done(undefined);
    v.stopping = true;
    this.#ticker.stop();
    v.changed.raise();
    await v.endJobs();
    await v.replaying;
    await v.gate.close();
    await this.#settle();
    v.members.closing = true;
    for (const member of v.members.present()) {
      await member.drive?.close();
    }
    await v.log?.close();
    // What failed in the last flush, or under the last labels, is still being closed while a host reads from it.
    await v.endJobs();
    return done(undefined);
  }

  async #settle(): Promise<void> {
    const v = this.core;
    if (v.mode === 'halted') return;
    await v.flushMembers();
    if (v.log?.window) await v.log.window.sync();
    if (v.mode === 'direct') {
      await v.log?.stripes.releaseAll();
      await v.intent.clearIdle(true);
      // Degraded: the bits stay, they say what the absent member missed; the data itself is settled.
      if (v.resync === null) v.metadata.clean = true;
    }
    v.metadata.stopped = true;
    await v.metadata.commit();
  }

  async destroy(): Promise<Outcome<void>> {
    const v = this.core;
    if (v.window !== null)
      return refuse('window-exists', { volume: v.name, path: driveOf(v.window) });
    v.stopping = true;
    this.#ticker.stop();
    v.changed.raise();
    await v.endJobs();
    await v.gate.close();
    await v.metadata.idle();
    let wiped = true;
    for (const member of v.members.present()) {
      wiped = (await wipeMember(v, member)) && wiped;
      await member.drive?.close();
    }
    await v.log?.close();
    for (const path of v.logPaths) wiped = (await wipeLeg(v, path)) && wiped;
    return wiped
      ? done(undefined)
      : refuse('io-error', { what: 'a drive while it was being cleared' });
  }

  addDrive(
    path: string,
    spare: boolean,
    force: boolean,
    verify?: VerifyMode,
  ): Promise<Outcome<void>> {
    return this.core.beside(addDrive(this.core, path, spare, force, verify));
  }

  failDrive(drive: string): Promise<Outcome<void>> {
    return failDrive(this.core, drive);
  }

  removeDrive(drive: string): Promise<Outcome<void>> {
    return removeDrive(this.core, drive);
  }

  replaceDrive(drive: string, path: string, force: boolean): Promise<Outcome<void>> {
    return this.core.beside(replaceDrive(this.core, drive, path, force));
  }

  planWindow(request: WindowRequest): Promise<Outcome<WindowPlan>> {
    return Promise.resolve(this.windows.plan(request));
  }

  openWindow(request: WindowRequest): Promise<Outcome<WindowReport>> {
    return this.windows.open(request);
  }

  closeWindow(request: CloseRequest): Promise<Outcome<WindowReport>> {
    return this.core.beside(this.windows.close(request, 'returned'));
  }

  abortWindow(): Promise<Outcome<WindowReport>> {
    const request: CloseRequest = { drivePath: null, verify: 'recent', rebuild: false };
    return this.core.beside(this.windows.close(request, 'aborted'));
  }

  extendWindow(byMs: number): Promise<Outcome<WindowReport>> {
    return Promise.resolve(this.windows.extend(byMs));
  }

  windowReport(): Outcome<WindowReport> {
    if (this.core.window !== null) return done(this.windows.report());
    const last = this.windows.replaying.last;
    return last === null ? refuse('window-none', { volume: this.name }) : done(last);
  }

  startScrub(repair: boolean): Promise<Outcome<JobStatus>> {
    const v = this.core;
    if (v.mode !== 'direct' || v.degraded) {
      const state = statusOf(v).state;
      return Promise.resolve(
        refuse('volume-wrong-state', {
          volume: v.name,
          state,
          wanted: 'without a window, with all members online',
        }),
      );
    }
    if (v.scrubJob?.running === true)
      return Promise.resolve(refuse('job-running', { volume: v.name, kind: 'scrub' }));
    v.parityErrors = 0;
    return Promise.resolve(done(startScrub(v, repair, 0 as StripeIndex, 0).status()));
  }

  async stopScrub(): Promise<Outcome<JobStatus>> {
    const job = this.core.scrubJob;
    if (job === null || !job.running)
      return refuse('job-none', { volume: this.name, kind: 'scrub' });
    await job.stop();
    return done(job.status());
  }

  scrubStatus(): Outcome<JobStatus> {
    const job = this.core.scrubJob;
    return job === null
      ? refuse('job-none', { volume: this.name, kind: 'scrub' })
      : done(job.status());
  }

  logReport(): Outcome<LogReport> {
    const { log } = this.core;
    return log === null ? refuse('log-none', { volume: this.name }) : done(log.report());
  }

  async checkLog(): Promise<Outcome<LogCheck>> {
    const { log } = this.core;
    return log === null ? refuse('log-none', { volume: this.name }) : done(await log.check());
  }

  replaceLeg(request: ReplaceLegRequest): Promise<Outcome<void>> {
    return this.core.beside(replaceLeg(this.core, request));
  }

  addLog(request: AddLogRequest): Promise<Outcome<void>> {
    return this.core.beside(addLog(this.core, request));
  }
}
