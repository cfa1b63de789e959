/**
 * A window from opening to its end, as commands: open, close, abort, go on without the drive, extend. One at a time.
 *
 *   freeze   1–6 as in window-freeze.ts
 *   return   7 open the drive    8 identify it, compare it with the frozen survivors (window-return.ts)
 *            9 on record: replaying; who is absent now is out    10 replay    11 close (window-replay.ts)
 *
 * A thaw is 9–11 without the drive.
 *
 * The states are those of core/machines/window.ts: what happens is told to it as an event (window-state.ts), and its
 * answer is carried out here.
 */

import type { WindowEvent } from '../core/machines/window.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { WindowPlan, WindowReport } from '../core/status.ts';
import type { CloseRequest, WindowRequest } from './contract.ts';
import { findMember } from './find-member.ts';
import { openMemberDrive } from './identify.ts';
import { setMemberState } from './member-state.ts';
import { distrust } from './trust.ts';
import type { VolumeCore } from './volume-core.ts';
import { freeze, refusedByPlan } from './window-freeze.ts';
import { planWindow } from './window-plan.ts';
import { WindowReplay } from './window-replay.ts';
import { reportOf } from './window-report.ts';
import { othersAbsent, takeBack, tooFewWith } from './window-return.ts';
import { driveOf, isRefused, tellWindow } from './window-state.ts';

export class WindowRunner {
  readonly #v: VolumeCore;
  /** One command on the window at a time; the second is told so. */
  #busy = false;
  readonly replaying: WindowReplay;

  constructor(v: VolumeCore) {
    this.#v = v;
    this.replaying = new WindowReplay(v);
  }

  plan(request: WindowRequest): Outcome<WindowPlan> {
    return planWindow(this.#v, request);
  }

  async open(request: WindowRequest): Promise<Outcome<WindowReport>> {
    const refused = refusedByPlan(this.#v, request);
    if (refused !== null) return refused;
    const member = findMember(this.#v, request.drive);
    if (!member.ok) return member;
    return this.#alone(() => freeze(this.#v, member.value, request));
  }

  async close(
    request: CloseRequest,
    outcome: 'returned' | 'aborted',
  ): Promise<Outcome<WindowReport>> {
    return this.#alone(() => this.#return(request, outcome));
  }

  async #return(
    request: CloseRequest,
    outcome: 'returned' | 'aborted',
  ): Promise<Outcome<WindowReport>> {
    const v = this.#v;
    const window = v.window;
    if (window === null) return refuse('window-none', { volume: v.name });
    const event: WindowEvent = outcome === 'aborted' ? 'abort' : 'drive-returned';
    if (isRefused(v, event)) {
      return refuse('window-wrong-state', { volume: v.name, state: window.state, wanted: 'open' });
    }
    const member = v.members.at(window.slot);
    const before = { ...member };
    const path = request.drivePath ?? member.path;
    if (tooFewWith(v, member)) return othersAbsent(v, member, path);
    const opened = await openMemberDrive(v, path); // 7
    if (!opened.ok) {
      return opened.problem.code === 'drive-path-missing'
        ? refuse('window-drive-absent', { volume: v.name, path })
        : opened;
    }
    const drive = opened.value;
    tellWindow(v, event);
    let accepted = await takeBack(v, member, drive, path, request); // 8
    if (accepted.ok) {
      const ended = outcome === 'aborted' ? 'aborted' : accepted.value;
      const begun = await this.replaying.begin(member, 'drive-verified', ended); // 9
      if (!begun)
        accepted = tooFewWith(v, member)
          ? othersAbsent(v, member, path)
          : refuse('io-error', { what: `drive ${path}` });
    }
    if (!accepted.ok) {
      // As it was before: a blank drive had been given an identity of its own.
      const { uuid, deviceNumber, layout, superblock, reason, reasonCode } = before;
      Object.assign(member, { uuid, deviceNumber, layout, superblock, reason, reasonCode });
      member.path = before.path;
      member.drive = null;
      setMemberState(v.members, member, 'rejected');
      await drive.close();
      tellWindow(v, 'drive-rejected');
      if (accepted.problem.code === 'window-verify-mismatch') await distrust(v, member);
      v.emit(
        'drive-refused',
        'warning',
        `Drive ${path} was not taken back: ${accepted.problem.code}`,
        { path },
      );
      return accepted;
    }
    this.replaying.start(); // 10, 11
    return done(this.report());
  }

  /** The drive is not coming back in time and every other member is here: go on without it. */
  async thaw(event: WindowEvent, why: string): Promise<void> {
    await this.#alone(async () => {
      const v = this.#v;
      const window = v.window;
      if (window === null) return refuse('window-none', { volume: v.name });
      const path = driveOf(window);
      if (!(await this.replaying.begin(null, event, 'thawed'))) {
        return refuse('window-wrong-state', {
          volume: v.name,
          state: window.state,
          wanted: 'open',
        });
      }
      v.emit('window-thawing', 'warning', `Going on without drive ${path}: ${why}`, { path, why });
      this.replaying.start();
      return done(this.report());
    });
  }

  extend(byMs: number): Outcome<WindowReport> {
    const window = this.#v.window;
    if (window === null) return refuse('window-none', { volume: this.#v.name });
    if (isRefused(this.#v, 'extend')) {
      return refuse('window-wrong-state', {
        volume: this.#v.name,
        state: window.state,
        wanted: 'open',
      });
    }
    tellWindow(this.#v, 'extend');
    window.maxMs += byMs;
    window.expired = false;
    this.#v.own(this.#v.metadata.commit());
    return done(this.report());
  }

  elapsedMs(): number {
    const window = this.#v.window;
    if (window === null) return 0;
    return window.elapsedBeforeMs + this.#v.environment.clock.nowMs() - window.sinceMs;
  }

  report(): WindowReport {
    return reportOf(this.#v);
  }

  async #alone<T>(act: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    if (this.#busy) {
      const state = this.#v.window?.state ?? 'freezing';
      return refuse('window-wrong-state', { volume: this.#v.name, state, wanted: 'open' });
    }
    this.#busy = true;
    try {
      return await act();
    } finally {
      this.#busy = false;
    }
  }
}
