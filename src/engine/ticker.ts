/**
 * Once a second: are the members there, is the window within its limits, may intent bits be cleared, is a drive that
 * vanished back? So that a failure is noticed without host I/O too, and every state has a timer that ends it.
 */

import { OK } from '../base/errno.ts';
import { readmit } from './drive-commands.ts';
import { identify, openMemberDrive } from './identify.ts';
import { isDriveGone } from './member-errors.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';
import { fillPercentOf } from './volume-status.ts';
import type { WindowRunner } from './window-runner.ts';

const SAVE_ELAPSED_TICKS = 60;

export class Ticker {
  readonly #v: VolumeCore;
  readonly #windows: WindowRunner;
  #cancel: () => void = () => {};
  #running = false;
  #ticks = 0;
  #fillSaid = 0;
  /** When a vanished member may be tried again, and how long to wait after that. */
  readonly #retry = new Map<Member, { atMs: number; delayMs: number }>();
  readonly #probing = new Set<Member>();

  constructor(v: VolumeCore, windows: WindowRunner) {
    this.#v = v;
    this.#windows = windows;
  }

  start(): void {
    this.#cancel = this.#v.environment.clock.after(this.#v.limits.tickMs, () => {
      this.start();
      if (!this.#running) this.#v.own(this.#tick());
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
    this.#v.members.fail(member, `it is gone (errno ${errno})`, 'vanished');
  }

  async #watchWindow(): Promise<void> {
    const v = this.#v;
    const window = v.window;
    if (window === null || v.mode !== 'frozen') return;
    if (this.#ticks % SAVE_ELAPSED_TICKS === 0) await v.metadata.commit();
    await this.#readmitVanished();
    const second = v.absentCount > 1;
    await this.#watchFill(second);
    if (v.window?.state !== 'open') return;
    if (this.#windows.elapsedMs() < window.maxMs) return;
    if (!second) {
      await this.#windows.thaw('the time limit of the window is over');
    } else if (!window.expired) {
      window.expired = true;
      v.emit(
        'window-overdue',
        'critical',
        `The window on ${window.path} is past its limit and another drive has failed: holding on`,
        { path: window.path },
      );
    }
  }

  async #watchFill(second: boolean): Promise<void> {
    const v = this.#v;
    const window = v.window;
    if (v.log === null || window === null) return;
    const status = v.log.status();
    const fill = fillPercentOf(status);
    const lost = status.legs.some((leg) => leg.state !== 'online') && status.legs.length > 1;
    if (fill >= v.limits.logRecallPercent || lost) window.recall = true;
    for (const mark of [
      v.limits.logWarnPercent,
      v.limits.logRecallPercent,
      v.limits.logThawPercent,
    ]) {
      if (fill < mark || this.#fillSaid >= mark) continue;
      this.#fillSaid = mark;
      v.emit(
        `log-${mark}`,
        mark === v.limits.logWarnPercent ? 'warning' : 'critical',
        `The log of ${v.name} is ${Math.floor(fill)} % full`,
        { percent: Math.floor(fill) },
      );
    }
    if (fill < v.limits.logWarnPercent) this.#fillSaid = 0;
    const must =
      fill >= v.limits.logThawPercent || v.log.window?.failed === true || v.writesHeld > 0;
    if (must && !second && window.state === 'open') {
      await this.#windows.thaw(
        v.log.window?.failed === true
          ? 'no leg of the log can be written'
          : 'the log is nearly full',
      );
    }
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
    const opened = await openMemberDrive(v, member.path);
    if (!opened.ok) return;
    const identity = await identify(v, opened.value, member);
    if (identity.kind !== 'same' || v.mode !== 'frozen' || member.drive !== null) {
      await opened.value.close();
      return;
    }
    member.layout = identity.layout;
    member.superblock = identity.superblock;
    readmit(v, member, opened.value, member.path);
    await v.metadata.commit();
  }
}
