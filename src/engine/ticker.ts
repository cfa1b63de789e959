/**
 * Once a second: are the members and the legs of the log there, is the window within its limits, may intent bits be
 * cleared, is a drive that vanished back? So that a failure is noticed without host I/O too, and every state has a
 * timer that ends it.
 *
 * What it sees of a window is told to the window's machine, again at each tick for as long as it holds; what follows is
 * decided there.
 */

import { isDriveGone, OK, whyGone } from '../base/errno.ts';
import { logFillPercent, logMarkOf, logMarks } from '../core/machines/log-fill.ts';
import type { WindowEvent } from '../core/machines/window.ts';
import { readmit } from './drive-commands.ts';
import { identify, openMemberDrive } from './identify.ts';
import { takesLabels } from './label-copies.ts';
import type { Member } from './members.ts';
import { reAddWaiting } from './re-add.ts';
import { retryUnmade } from './rebuild.ts';
import type { Recovery } from './recovery-map.ts';
import { retryResync } from './resync.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';
import type { WindowRunner } from './window-runner.ts';
import { askWindow, driveOf, tellWindow } from './window-state.ts';

const SAVE_ELAPSED_TICKS = 60;

export class Ticker {
  readonly #v: VolumeCore;
  readonly #windows: WindowRunner;
  #cancel: () => void = () => {};
  #running = false;
  #ticks = 0;
  /** Marks of the log's fill: as said to people, and as told to the window. */
  #markSaid = 0;
  #markTold = 0;
  /** When a vanished member may be tried again, and how long to wait after that. */
  readonly #retry = new Map<Member, { atMs: number; delayMs: number }>();
  readonly #probing = new Set<Member>();
  #retrying = false;
  /** Each has a time of its own: one that is tried in vain keeps none of the others from it. */
  readonly #retryUnmadeAtMs = new WeakMap<Recovery, number>();
  #resyncs = false;
  #retryResyncAtMs = 0;
  #retryReplayAtMs = 0;

  constructor(v: VolumeCore, windows: WindowRunner) {
    this.#v = v;
    this.#windows = windows;
  }

  start(): void {
    this.#cancel = this.#v.environment.clock.after(this.#v.limits.tickMs, () => {
      this.start();
      if (!this.#running) this.#v.ownBeside(this.#tick());
    });
  }

  stop(): void {
    this.#cancel();
  }

  async #tick(): Promise<void> {
    this.#running = true;
    this.#ticks++;
    try {
      this.#probeMembers();
      // Not awaited either, for the same reason.
      if (this.#v.log !== null) this.#v.own(this.#v.log.probe());
      this.#retryUnmade();
      // Nor this, which opens drives.
      if (this.#v.waitingBack.size > 0) this.#v.ownBeside(reAddWaiting(this.#v));
      this.#retryResync();
      this.#retryReplay();
      await this.#v.intent.clearIdle();
      if (this.#v.window !== null) await this.#watchWindow();
    } finally {
      this.#running = false;
    }
  }

  /** Not awaited by the tick: a drive that hangs must not keep the others from being looked at. */
  #probeMembers(): void {
    for (const member of this.#v.members.present()) {
      if (this.#probing.has(member)) continue;
      this.#probing.add(member);
      this.#v.own(this.#probe(member).finally(() => this.#probing.delete(member)));
    }
  }

  async #probe(member: Member): Promise<void> {
    const drive = member.drive;
    if (drive === null || member.state === 'returning') return;
    const errno = await drive.probe();
    if (errno === OK || member.drive !== drive) return;
    if (!isDriveGone(errno)) {
      member.errors.read++;
      return;
    }
    this.#v.members.fail(member, whyGone(errno), 'vanished');
  }

  /** A rebuild that had to leave stripes out, which can be made once a host has written them anew, or that has stopped. */
  #retryUnmade(): void {
    const v = this.#v;
    const nowMs = v.environment.clock.nowMs();
    if (this.#retrying || v.mode !== 'direct' || v.window !== null) return;
    const isDue = (one: Recovery): boolean =>
      !one.isRunning &&
      (one.unmade.size > 0 || one.stopped !== '' || one.isWaiting) &&
      nowMs >= (this.#retryUnmadeAtMs.get(one) ?? 0);
    const member = v.members.slots.find(({ recovery }) => recovery !== null && isDue(recovery));
    const recovery = member?.recovery;
    if (!member || !recovery) return;
    this.#retryUnmadeAtMs.set(recovery, nowMs + v.limits.unmadeRetryMs);
    this.#retrying = true;
    v.ownBeside(
      retryUnmade(v, member, recovery).finally(() => {
        this.#retrying = false;
      }),
    );
  }

  /** The same of a resync. */
  #retryResync(): void {
    const v = this.#v;
    const { resync } = v;
    const nowMs = v.environment.clock.nowMs();
    if (this.#resyncs || resync === null || v.mode !== 'direct') return;
    if (v.resyncJob?.running !== false || nowMs < this.#retryResyncAtMs) return;
    this.#retryResyncAtMs = nowMs + v.limits.unmadeRetryMs;
    this.#resyncs = true;
    v.ownBeside(
      retryResync(v, resync).finally(() => {
        this.#resyncs = false;
      }),
    );
  }

  #retryReplay(): void {
    const v = this.#v;
    const nowMs = v.environment.clock.nowMs();
    if (v.replayStopped === '' || nowMs < this.#retryReplayAtMs) return;
    this.#retryReplayAtMs = nowMs + v.limits.unmadeRetryMs;
    this.#windows.replaying.retry();
  }

  async #watchWindow(): Promise<void> {
    const v = this.#v;
    const window = v.window;
    if (window === null || v.mode !== 'frozen') return;
    if (this.#ticks % SAVE_ELAPSED_TICKS === 0) await v.metadata.commit();
    await this.#readmitVanished();
    await this.#watchLog();
    if (v.window === window) await this.#watchLimit(window);
  }

  async #watchLimit(window: WindowFacts): Promise<void> {
    const v = this.#v;
    if (this.#windows.elapsedMs() < window.maxMs) return;
    const effects = await this.#tell('expired', 'the time limit of the window is over');
    if (!effects.includes('recall') || window.expired) return;
    window.expired = true;
    const path = driveOf(window);
    v.emit(
      'window-overdue',
      'critical',
      `The window on ${path} is past its limit and another drive is out: holding on until ${path} is back`,
      { path },
    );
  }

  async #watchLog(): Promise<void> {
    const v = this.#v;
    if (v.log === null) return;
    const { state, usedBytes, capacityBytes, legs } = v.log.status();
    const mark = logMarkOf(usedBytes, capacityBytes);
    this.#sayMark(mark, Math.floor(logFillPercent(usedBytes, capacityBytes)));
    if (state === 'failed') await this.#tell('log-lost', 'no leg of the log can be written');
    else if (legs.length > 1 && legs.some(({ state }) => state !== 'online'))
      tellWindow(v, 'leg-lost');
    // A write that finds no room is held: full is full, whatever is left in percent.
    const effective = v.writesHeld > 0 ? logMarks[2] : mark;
    if (effective > 0)
      await this.#tell(`log-${effective}` as WindowEvent, 'the log is nearly full');
    else if (this.#markTold > 0) tellWindow(v, 'log-relieved');
    this.#markTold = effective;
  }

  #sayMark(mark: number, percent: number): void {
    const v = this.#v;
    for (const one of logMarks) {
      if (mark < one || this.#markSaid >= one) continue;
      this.#markSaid = one;
      const severity = one === logMarks[0] ? 'warning' : 'critical';
      v.emit(`log-${one}`, severity, `The log of ${v.name} is ${percent} % full`, { percent });
    }
    if (mark === 0) this.#markSaid = 0;
  }

  /** A thaw begins behind closed gates, and is decided there; everything else moves the window at once. */
  async #tell(event: WindowEvent, why: string): Promise<readonly string[]> {
    const v = this.#v;
    if (!askWindow(v, event).includes('replay-without')) return tellWindow(v, event);
    await this.#windows.thaw(event, why);
    return [];
  }

  /** Rule 4: any member that was complete at the freeze may come back first. One that an operator failed is left alone. */
  async #readmitVanished(): Promise<void> {
    const v = this.#v;
    const window = v.window;
    if (window === null) return;
    const { nowMs } = { nowMs: v.environment.clock.nowMs() };
    for (const member of v.members.slots) {
      const gone = member.state === 'failed' || member.state === 'missing';
      if (
        !gone ||
        member.path === '' ||
        member.slot === window.slot ||
        member.reasonCode === 'operator'
      )
        continue;
      if (member.eventsAtChange < window.frozenEvents) continue;
      const retry = this.#retry.get(member) ?? { atMs: 0, delayMs: v.limits.readmitFirstMs };
      if (nowMs < retry.atMs) continue;
      const delayMs = Math.min(retry.delayMs * 2, v.limits.readmitMaxMs);
      this.#retry.set(member, { atMs: nowMs + retry.delayMs, delayMs });
      await this.#tryReadmit(member);
    }
  }

  async #tryReadmit(member: Member): Promise<void> {
    const v = this.#v;
    const { window } = v;
    const opened = await openMemberDrive(v, member.path);
    if (!opened.ok) return;
    const drive = opened.value;
    const identity = await identify(v, drive, member);
    // One that is only read would be called failed again at once, again and again.
    const isFit =
      identity.kind === 'same' &&
      (await takesLabels(v.environment.buffers, drive, identity.layout));
    const isOver = v.mode !== 'frozen' || v.window !== window || v.stopping;
    const isGone = member.state === 'failed' || member.state === 'missing';
    if (!isFit || isOver || !isGone) return drive.close();
    member.layout = identity.layout;
    member.superblock = identity.superblock;
    await readmit(v, member, drive, member.path);
  }
}
