/**
 * A window from opening to its end: freeze, away, return, verify, replay, close; or thaw.
 *
 *  freeze   1 hold new writes, let those inside finish          4 label and superblock on all members, the leaving one last
 *           2 flush every member                                5 close the leaving drive
 *           3 log header of the new epoch on all legs           6 let writes in: to the log
 *
 * The newest label decides what a restart finds: none written yet, no window; one written, the window is open and its log
 * is at the new epoch, empty or not. That is why the log header comes before the first label and not after.
 *
 *  return   7 open and identify the drive: same member, same freeze token, same size
 *           8 compare it with the frozen survivors
 *           9 on record: replaying; who is absent now is out    10 replay (replayer.ts)    11 close
 *
 * A thaw is 9–11 without the drive. It never happens while a second member is absent (rules 2 and 3 of the design).
 */

import { OK } from '../base/errno.ts';
import type { StripeIndex } from '../base/units.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { WindowPlan, WindowReport } from '../core/status.ts';
import type { Drive } from '../io/drive.ts';
import type { CloseRequest, WindowRequest } from './contract.ts';
import { findMember } from './find-member.ts';
import { identify, openMemberDrive } from './identify.ts';
import { rebuildFrozen, startRebuildOfSpare, startScrub, startVerify } from './jobs.ts';
import type { Member } from './members.ts';
import { replay } from './replayer.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';
import { planWindow } from './window-plan.ts';
import { reportOf } from './window-report.ts';

export class WindowRunner {
  readonly #v: VolumeCore;
  /** One command on the window at a time; the second is told so. */
  #busy = false;
  last: WindowReport | null = null;

  constructor(v: VolumeCore) {
    this.#v = v;
  }

  plan(request: WindowRequest): Outcome<WindowPlan> {
    return planWindow(this.#v, request);
  }

  async open(request: WindowRequest): Promise<Outcome<WindowReport>> {
    const planned = this.plan(request);
    if (!planned.ok) return planned;
    if (!planned.value.allowed) {
      return refuse(
        'window-refused',
        { volume: this.#v.name, drive: request.drive },
        planned.value.checks,
      );
    }
    const member = findMember(this.#v, request.drive);
    if (!member.ok) return member;
    return this.#alone(() => this.#freeze(member.value, request));
  }

  async #freeze(member: Member, request: WindowRequest): Promise<Outcome<WindowReport>> {
    const v = this.#v;
    const log = v.log;
    if (log === null) return refuse('log-none', { volume: v.name });
    await v.scrubJob?.stop();
    const startMs = v.environment.clock.nowMs();
    await v.gate.close(); // 1
    try {
      const degradedBefore = v.absentCount;
      const flushed = await v.flushMembers(); // 2
      if (flushed !== OK || v.absentCount !== degradedBefore || member.state !== 'online') {
        return refuse('window-refused', { volume: v.name, drive: request.drive }, [
          {
            id: 'WP020',
            title: 'Every member takes a flush',
            result: 'block',
            reason: 'a drive failed while the volume was being frozen',
            fix: 'look at `locum status`, then plan again',
          },
        ]);
      }
      await log.stripes.releaseAll();
      const id = uuidFromBytes(v.environment.random(16));
      if ((await log.beginEpoch(id)) !== OK) return refuse('io-error', { what: 'the log' }); // 3
      const window = this.#facts(member, request, id, log.epoch);
      v.window = window;
      v.metadata.clean = true;
      v.metadata.newGeneration();
      if (v.metadata.log) v.metadata.log.epoch = log.epoch;
      member.state = 'away';
      member.reason = `away for ${request.purpose}`;
      member.reasonCode = 'window';
      member.changedWallMs = window.openedWallMs;
      v.members.refresh();
      await v.metadata.idle();
      window.frozenEvents = v.metadata.events + 1;
      member.eventsAtChange = window.frozenEvents;
      window.state = 'open';
      await v.metadata.commit(member); // 4
      await v.members.settled();
      if (v.absentCount !== degradedBefore + 1) return await this.#unfreeze(member, request);
      v.members.frozen = true;
      v.metadata.labelsOnly = true;
      v.mode = 'frozen';
      const drive = member.drive;
      member.drive = null;
      if (drive !== null) await drive.close(); // 5
    } finally {
      v.gate.open(); // 6
      v.changed.raise();
    }
    const pauseMs = v.environment.clock.nowMs() - startMs;
    v.emit(
      'window-opened',
      'info',
      `Drive ${member.path} of ${v.name} is away for ${request.purpose}`,
      {
        window: v.window?.id ?? '',
        slot: member.slot,
        path: member.path,
        pauseMs: Math.round(pauseMs),
      },
    );
    return done(this.report());
  }

  /** A member failed while the labels were written: back to a direct volume, degraded by that failure alone. */
  async #unfreeze(member: Member, request: WindowRequest): Promise<Outcome<WindowReport>> {
    const v = this.#v;
    v.window = null;
    if (member.drive !== null) {
      member.state = 'online';
      member.reason = '';
      member.reasonCode = 'none';
    }
    v.members.refresh();
    await v.log?.endEpoch();
    await v.metadata.commit();
    return refuse('window-refused', { volume: v.name, drive: request.drive }, [
      {
        id: 'WP021',
        title: 'Every member takes the freeze',
        result: 'block',
        reason: 'a drive failed while the volume was being frozen',
        fix: 'look at `locum status`, then plan again',
      },
    ]);
  }

  #facts(member: Member, request: WindowRequest, id: string, logEpoch: number): WindowFacts {
    const { clock, random } = this.#v.environment;
    return {
      id,
      token: uuidFromBytes(random(16)),
      purpose: request.purpose,
      state: 'freezing',
      slot: member.slot,
      memberUuid: member.uuid,
      path: member.path,
      openedWallMs: clock.wallMs(),
      elapsedBeforeMs: 0,
      sinceMs: clock.nowMs(),
      maxMs: request.maxMs,
      onDoubleAbsence: request.onDoubleAbsence,
      waitMs: request.waitMs,
      logEpoch,
      frozenEvents: 0,
      outcome: 'none',
      verify: null,
      secondFailures: [],
      recall: false,
      replayedBytes: 0,
      replayTotalBytes: 0,
      heldReads: 0,
      expired: false,
    };
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
    if (window.state !== 'open') {
      return refuse('window-wrong-state', { volume: v.name, state: window.state, wanted: 'open' });
    }
    const member = v.members.at(window.slot);
    const path = request.drivePath ?? member.path;
    const opened = await openMemberDrive(v, path); // 7
    if (!opened.ok) {
      return opened.problem.code === 'drive-path-missing'
        ? refuse('window-drive-absent', { volume: v.name, path })
        : opened;
    }
    const drive = opened.value;
    window.state = 'returning';
    const accepted = await this.#accept(member, drive, path, request); // 8
    if (!accepted.ok) {
      member.drive = null;
      member.state = 'away';
      v.members.refresh();
      await drive.close();
      window.state = 'open';
      v.emit(
        'drive-refused',
        'warning',
        `Drive ${path} was not taken back: ${accepted.problem.code}`,
        { path },
      );
      return accepted;
    }
    window.outcome = outcome === 'aborted' ? 'aborted' : accepted.value;
    await this.#beginReplay(member); // 9
    v.own(this.#replayAndClose()); // 10, 11
    return done(this.report());
  }

  /** What came back, and whether it can be trusted. */
  async #accept(
    member: Member,
    drive: Drive,
    path: string,
    request: CloseRequest,
  ): Promise<Outcome<'returned' | 'rebuilt'>> {
    const v = this.#v;
    const identity = await identify(v, drive, member);
    const othersComplete = v.absentCount <= 1;
    member.state = 'returning';
    if (identity.kind === 'same' && !request.rebuild) {
      member.drive = drive;
      member.path = path;
      member.layout = identity.layout;
      member.superblock = identity.superblock;
      v.members.refresh();
      return this.#verify(member, request);
    }
    const problem = identity.kind === 'same' ? null : identity.problem;
    const blank = identity.kind === 'blank';
    if (problem !== null && !blank && !request.rebuild) return { ok: false, problem };
    if (problem !== null && problem.code === 'drive-smaller') return { ok: false, problem };
    if (!othersComplete) {
      return refuse('drive-blank', {
        path,
        why: 'another drive has failed: only the drive that left can complete the volume',
      });
    }
    const prepared = await v.metadata.adopt(member, drive, path);
    if (!prepared.ok) return prepared;
    v.members.refresh();
    v.emit(
      'rebuild-started',
      'info',
      `Drive ${path} is blank: rebuilding it from the frozen drives`,
      { path },
    );
    const job = rebuildFrozen(v, member);
    if ((await job.finished) !== 'done') return refuse('io-error', { what: job.status().reason });
    if ((await drive.flush()) !== OK) return refuse('io-error', { what: `drive ${path}` });
    return done('rebuilt');
  }

  async #verify(member: Member, request: CloseRequest): Promise<Outcome<'returned'>> {
    const v = this.#v;
    const window = v.window;
    if (window === null) return refuse('window-none', { volume: v.name });
    const others = v.absentCount - 1;
    const comparable = v.geometry.level.mirrored ? others < v.geometry.members - 1 : others === 0;
    if (!comparable) {
      v.emit(
        'verify-impossible',
        'warning',
        `Drive ${member.path} is back; with another drive failed its contents cannot be compared`,
        { path: member.path },
      );
      window.verify = { mode: request.verify, checkedBytes: 0, differingStripes: 0 };
      return done('returned');
    }
    const job = startVerify(v, member, request.verify);
    const state = await job.finished;
    v.verifyJob = null;
    const differing = job.mismatches;
    if (state !== 'done') return refuse('io-error', { what: job.status().reason });
    window.verify = {
      mode: request.verify,
      checkedBytes: job.workedBytes,
      differingStripes: differing,
    };
    if (differing > 0) {
      return refuse('window-verify-mismatch', {
        path: member.path,
        stripes: differing,
        volume: v.name,
      });
    }
    return done('returned');
  }

  /** The drive is not coming back in time and every other member is here: go on without it. */
  async thaw(why: string): Promise<void> {
    await this.#alone(async () => {
      const v = this.#v;
      const window = v.window;
      if (window === null || window.state !== 'open' || v.absentCount > 1)
        return refuse('window-none', { volume: v.name });
      const member = v.members.at(window.slot);
      v.emit('window-thawing', 'warning', `Going on without drive ${member.path}: ${why}`, {
        path: member.path,
        why,
      });
      window.outcome = 'thawed';
      await this.#beginReplay(null);
      v.own(this.#replayAndClose());
      return done(this.report());
    });
  }

  /** 9: nobody is inside; then the labels and superblocks say replaying, before the first in-place write. */
  async #beginReplay(member: Member | null): Promise<void> {
    const v = this.#v;
    const window = v.window;
    if (window === null) return;
    await v.gate.close();
    await v.overlayReads.close();
    try {
      v.replayStartedMs = v.environment.clock.nowMs();
      await v.log?.pauseCheckpoints();
      if (member !== null) {
        member.state = 'online';
        member.reason = '';
        member.reasonCode = 'none';
        window.state = 'replaying';
      } else {
        const absent = v.members.at(window.slot);
        absent.state = 'failed';
        absent.reason = 'did not come back in time';
        absent.reasonCode = 'expired';
        absent.eventsAtChange = window.frozenEvents;
        window.state = 'thawing';
      }
      v.members.refresh();
      v.members.frozen = false;
      v.metadata.labelsOnly = false;
      v.cursor = 0 as StripeIndex;
      v.holdBelow = 0 as StripeIndex;
      window.replayTotalBytes = (v.log?.overlay.liveSectors ?? 0) * 512;
      window.recall = false;
      v.mode = 'replaying';
      v.metadata.newGeneration();
      await v.metadata.commit();
      await v.members.settled();
    } finally {
      v.overlayReads.open();
      v.gate.open();
      v.changed.raise();
    }
    v.emit('replay-started', 'info', `Replaying the log of ${v.name}`, { window: window.id });
  }

  /** Also called at start, when a server finds a window in replay. */
  async resumeReplay(): Promise<void> {
    await this.#replayAndClose();
  }

  async #replayAndClose(): Promise<void> {
    const v = this.#v;
    const result = await replay(v);
    if (result.kind === 'stopped') {
      if (!v.stopping)
        v.emit('replay-stopped', 'critical', `Replay of ${v.name} stopped: ${result.reason}`);
      return;
    }
    const window = v.window;
    if (window === null) return;
    await v.gate.close(); // 11
    await v.overlayReads.close();
    try {
      await v.flushMembers();
      window.state = window.outcome === 'aborted' ? 'aborted' : 'closed';
      this.last = {
        ...this.report(),
        closedAt: new Date(v.environment.clock.wallMs()).toISOString(),
      };
      v.window = null;
      v.metadata.newGeneration();
      await v.metadata.commit();
      await v.members.settled();
      await v.log?.endEpoch();
      if (v.metadata.log && v.log) v.metadata.log.epoch = v.log.epoch;
      if (!v.degraded) await v.log?.stripes.releaseAll();
      if (!v.halted) v.mode = 'direct';
    } finally {
      v.overlayReads.open();
      v.gate.open();
      v.changed.raise();
    }
    const report = this.last;
    v.emit('window-closed', 'info', `Window on ${window.path} is closed: ${window.outcome}`, {
      window: window.id,
      outcome: window.outcome,
      report: JSON.stringify(report),
    });
    await startRebuildOfSpare(v);
    const scrub = v.metadata.scrub;
    if (scrub?.active === true) {
      startScrub(v, scrub.repair, scrub.cursorStripe as StripeIndex, scrub.mismatches);
    }
  }

  extend(byMs: number): Outcome<WindowReport> {
    const window = this.#v.window;
    if (window === null) return refuse('window-none', { volume: this.#v.name });
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
