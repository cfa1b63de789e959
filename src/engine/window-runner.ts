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
 *
 * The states are those of core/machines/window.ts: what happens is told to it as an event (window-state.ts), and its
 * answer is carried out here. Until every label is written the window is `freezing`, and a member or a leg that fails
 * then ends it: there was no window.
 */

import { assert } from '../base/assert.ts';
import { OK } from '../base/errno.ts';
import type { StripeIndex } from '../base/units.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import type { WindowOutcome } from '../core/format/label.ts';
import { mayThaw, type WindowEvent } from '../core/machines/window.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { WindowPlan, WindowReport } from '../core/status.ts';
import type { Drive } from '../io/drive.ts';
import type { CloseRequest, WindowRequest } from './contract.ts';
import { findMember } from './find-member.ts';
import { identify, openMemberDrive } from './identify.ts';
import type { LogStore } from './log/log-store.ts';
import { refreshLogRecord } from './log-setup.ts';
import { setMemberState } from './member-state.ts';
import { bit, bitCount, type Member } from './members.ts';
import { rebuildFrozen, startRebuildOfSpare } from './rebuild.ts';
import { replay } from './replayer.ts';
import { startScrub } from './resync.ts';
import { distrust, leaveBehind } from './trust.ts';
import { startVerify } from './verify.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';
import { planWindow } from './window-plan.ts';
import { reportOf } from './window-report.ts';
import { askWindow, contextOf, driveOf, isRefused, tellWindow } from './window-state.ts';

export class WindowRunner {
  readonly #v: VolumeCore;
  /** One command on the window at a time; the second is told so. */
  #busy = false;
  #replays = false;
  last: WindowReport | null = null;

  constructor(v: VolumeCore) {
    this.#v = v;
  }

  plan(request: WindowRequest): Outcome<WindowPlan> {
    return planWindow(this.#v, request);
  }

  async open(request: WindowRequest): Promise<Outcome<WindowReport>> {
    const refused = this.#refused(request);
    if (refused !== null) return refused;
    const member = findMember(this.#v, request.drive);
    if (!member.ok) return member;
    return this.#alone(() => this.#freeze(member.value, request));
  }

  #refused(request: WindowRequest): Outcome<never> | null {
    const planned = this.plan(request);
    if (!planned.ok) return planned;
    if (planned.value.allowed) return null;
    const { checks } = planned.value;
    return refuse('window-refused', { volume: this.#v.name, drive: request.drive }, checks);
  }

  async #freeze(member: Member, request: WindowRequest): Promise<Outcome<WindowReport>> {
    const v = this.#v;
    const log = v.log;
    if (log === null) return refuse('log-none', { volume: v.name });
    await v.scrubJob?.stop();
    const startMs = v.environment.clock.nowMs();
    await v.gate.close(); // 1
    try {
      // Since the plan a drive may have failed, another have come, a rebuild have begun; and until the window is on record.
      const late = this.#refused(request);
      if (late !== null) return late;
      const degradedBefore = v.absentCount;
      const steady = (): boolean =>
        this.#refused(request) === null &&
        v.absentCount === degradedBefore &&
        v.members.slots[member.slot] === member;
      if ((await v.flushMembers()) !== OK || !steady()) {
        // 2
        return notFrozen(v, request, 'WP020', 'Every member takes a flush');
      }
      const legsBefore = onlineLegs(log);
      await log.stripes.releaseAll();
      const id = uuidFromBytes(v.environment.random(16));
      if ((await log.beginEpoch(id)) !== OK) return refuse('io-error', { what: 'the log' }); // 3
      if (!steady() || onlineLegs(log) < legsBefore) {
        await log.endEpoch();
        return notFrozen(v, request, 'WP021', 'Every member and leg takes the freeze');
      }
      v.metadata.newGeneration();
      const window = this.#facts(member, request, id, log.epoch);
      v.window = window;
      v.metadata.clean = true;
      if (v.metadata.log) v.metadata.log.epoch = log.epoch;
      member.reason = `away for ${request.purpose}`;
      member.reasonCode = 'window';
      member.changedWallMs = window.openedWallMs;
      setMemberState(v.members, member, 'window-opened');
      await v.metadata.idle();
      window.frozenEvents = v.metadata.events + 1;
      member.eventsAtChange = window.frozenEvents;
      await v.metadata.commit(member); // 4
      await v.members.settled();
      if (window.state !== 'freezing') return await this.#unfreeze(member, request);
      tellWindow(v, 'frozen');
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

  /** A member or a leg failed while the labels were written: back to a direct volume, degraded by that failure alone. */
  async #unfreeze(member: Member, request: WindowRequest): Promise<Outcome<WindowReport>> {
    const v = this.#v;
    v.window = null;
    setMemberState(v.members, member, 'freeze-failed');
    // Halted, the labels stay: they say open, the log is empty, and every member is of that image.
    if (!v.halted) {
      v.metadata.newGeneration();
      await v.metadata.commit();
      await v.members.settled();
      await v.log?.endEpoch();
      v.ownBeside(startRebuildOfSpare(v));
    }
    return notFrozen(v, request, 'WP021', 'Every member and leg takes the freeze');
  }

  #facts(member: Member, request: WindowRequest, id: string, logEpoch: number): WindowFacts {
    const { clock } = this.#v.environment;
    return {
      id,
      // So the labels know, for as long as the window lasts, what generation its drive was left at.
      token: this.#v.metadata.generation,
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
      blockBytes: member.drive?.blockBytes ?? null,
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
    const event: WindowEvent = outcome === 'aborted' ? 'abort' : 'drive-returned';
    if (isRefused(v, event)) {
      return refuse('window-wrong-state', { volume: v.name, state: window.state, wanted: 'open' });
    }
    const member = v.members.at(window.slot);
    const before = { ...member };
    const path = request.drivePath ?? member.path;
    if (this.#tooFewWith(member)) return this.#othersAbsent(member, path);
    const opened = await openMemberDrive(v, path); // 7
    if (!opened.ok) {
      return opened.problem.code === 'drive-path-missing'
        ? refuse('window-drive-absent', { volume: v.name, path })
        : opened;
    }
    const drive = opened.value;
    tellWindow(v, event);
    let accepted = await this.#accept(member, drive, path, request); // 8
    if (accepted.ok) {
      const ended = outcome === 'aborted' ? 'aborted' : accepted.value;
      const begun = await this.#beginReplay(member, 'drive-verified', ended); // 9
      if (!begun)
        accepted = this.#tooFewWith(member)
          ? this.#othersAbsent(member, path)
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
    this.#startReplay(); // 10, 11
    return done(this.report());
  }

  /**
   * A replay makes the members that are not there stale, so it must not begin before there are enough to hold everything:
   * in the open window all of them are of the frozen image, and any may still come back (rule 4).
   */
  #tooFewWith(member: Member): boolean {
    const v = this.#v;
    return bitCount(v.members.absentMask & ~bit(member.slot)) > v.tolerated;
  }

  #othersAbsent(member: Member, path: string): ReturnType<typeof refuse> {
    const out = this.#v.members.slots.filter(
      ({ slot, state }) => slot !== member.slot && state !== 'online',
    );
    const absent = out.map(({ slot, path }) => `slot ${slot} (${path || 'no drive'})`).join(', ');
    return refuse('window-others-absent', { path, absent });
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
    const othersComplete = v.absentCount <= v.tolerated;
    setMemberState(v.members, member, 'returned');
    if (identity.kind === 'same' && !request.rebuild) {
      member.drive = drive;
      member.path = path;
      member.layout = identity.layout;
      member.superblock = identity.superblock;
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
    if (v.stopping) return refuse('volume-wrong-state', { volume: v.name, state: 'stopping' });
    const prepared = v.metadata.adopt(member, drive, path);
    if (!prepared.ok) return prepared;
    v.members.refresh();
    // Of a replacement nothing else was expected.
    v.emit(
      'rebuild-started',
      request.rebuild || v.window?.purpose === 'replacement' ? 'info' : 'warning',
      `Drive ${path} ${blank ? 'is blank' : 'is taken as blank'}: rebuilding it from the frozen drives`,
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
    // The stop has ended the jobs that were there, and waits for none that begins now.
    if (v.stopping) return refuse('volume-wrong-state', { volume: v.name, state: 'stopping' });
    const others = v.absentCount - 1;
    const comparable = v.geometry.level.mirrored ? others < v.geometry.members - 1 : others === 0;
    if (!comparable) {
      // What is known to be wrong on it is not taken because nobody can look any more.
      if (member.reasonCode === 'verify-mismatch' && request.force !== true)
        return refuse('window-known-mismatch', { path: member.path, volume: v.name });
      v.emit(
        'verify-impossible',
        'warning',
        `Drive ${member.path} is back; with another drive failed its contents cannot be compared`,
        { path: member.path },
      );
      window.verify = { mode: request.verify, checkedBytes: 0, differingStripes: 0 };
      return done('returned');
    }
    const absentBefore = v.members.absentMask;
    const job = startVerify(v, member, request.verify);
    const state = await job.finished;
    v.verifyJob = null;
    if (member.state !== 'returning') return refuse('io-error', { what: `drive ${member.path}` });
    // Another drive came or went: what it was compared with has changed, and what is left counts.
    if (v.members.absentMask !== absentBefore) return this.#verify(member, request);
    const { mismatches: stripes } = job;
    if (state !== 'done') return refuse('io-error', { what: job.status().reason });
    window.verify = {
      mode: request.verify,
      checkedBytes: job.workedBytes - job.skippedBytes,
      differingStripes: stripes,
    };
    return stripes > 0
      ? refuse('window-verify-mismatch', { path: member.path, stripes, volume: v.name })
      : done('returned');
  }

  /** The drive is not coming back in time and every other member is here: go on without it. */
  async thaw(event: WindowEvent, why: string): Promise<void> {
    await this.#alone(async () => {
      const v = this.#v;
      const window = v.window;
      if (window === null) return refuse('window-none', { volume: v.name });
      const path = driveOf(window);
      if (!(await this.#beginReplay(null, event, 'thawed'))) {
        return refuse('window-wrong-state', {
          volume: v.name,
          state: window.state,
          wanted: 'open',
        });
      }
      v.emit('window-thawing', 'warning', `Going on without drive ${path}: ${why}`, { path, why });
      this.#startReplay();
      return done(this.report());
    });
  }

  /**
   * 9: nobody is inside; then the labels and superblocks say replaying, before the first in-place write. While host I/O was
   * drained a member may have failed, so it is decided only then whether `event` begins a replay. False: it does not.
   */
  async #beginReplay(
    member: Member | null,
    event: WindowEvent,
    outcome: WindowOutcome,
  ): Promise<boolean> {
    const v = this.#v;
    const window = v.window;
    if (window === null) return false;
    await v.gate.close();
    await v.overlayReads.close();
    try {
      v.replayStartedMs = v.environment.clock.nowMs();
      await v.log?.pauseCheckpoints();
      if (member === null) await this.#touchMembers();
      const begins = askWindow(v, event).includes(member === null ? 'replay-without' : 'replay');
      const isReady =
        member === null || (member.state === 'returning' && !this.#tooFewWith(member));
      if (!begins || !isReady) {
        v.log?.resumeCheckpoints();
        return false;
      }
      if (member !== null) {
        setMemberState(v.members, member, 'verified');
      } else {
        assert(
          mayThaw(window.state, contextOf(v, window)),
          'rules 2 and 3: no thaw with a second member absent',
        );
        const absent = v.members.at(window.slot);
        leaveBehind(absent, window.frozenEvents);
        setMemberState(v.members, absent, 'thawed');
      }
      tellWindow(v, event);
      window.outcome = outcome;
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
    return true;
  }

  /**
   * A frozen volume is only read, and much of that from caches: a member that takes no writes any more may have gone
   * unnoticed. Once the thaw is on record the drive that is away cannot make up for it, so it is found out before.
   */
  async #touchMembers(): Promise<void> {
    await this.#v.metadata.commit();
    await this.#v.members.settled();
  }

  /** Also called at start, when a server finds a window in replay. */
  resumeReplay(): void {
    this.#startReplay();
  }

  /** What is in the way of a replay may go away: a host writes anew what the log cannot be read for. */
  retryReplay(): void {
    const v = this.#v;
    if (v.replayStopped === '' || v.mode !== 'replaying' || v.stopping || this.#replays) return;
    this.#startReplay();
  }

  /** `stop` waits for it, so that no drive is closed under a stripe that is being written. */
  #startReplay(): void {
    const v = this.#v;
    this.#replays = true;
    v.replaying = this.#replayAndClose().finally(() => {
      this.#replays = false;
    });
    v.own(v.replaying);
  }

  async #replayAndClose(): Promise<void> {
    const v = this.#v;
    const result = await replay(v);
    if (result.kind === 'stopped') {
      const isNews = !v.stopping && v.replayStopped === '';
      if (!v.stopping) v.replayStopped = result.reason;
      v.changed.raise();
      if (isNews)
        v.emit('replay-stopped', 'critical', `Replay of ${v.name} stopped: ${result.reason}`);
      return;
    }
    v.replayStopped = '';
    const window = v.window;
    if (window === null) return;
    await v.gate.close(); // 11
    await v.overlayReads.close();
    try {
      await v.flushMembers();
      tellWindow(v, window.outcome === 'aborted' ? 'replayed-aborted' : 'replayed');
      this.last = {
        ...this.report(),
        closedAt: new Date(v.environment.clock.wallMs()).toISOString(),
      };
      v.window = null;
      v.metadata.newGeneration();
      // A leg that failed last is out as well from here on: what follows is not in it.
      refreshLogRecord(v);
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
    v.emit('window-closed', 'info', `Window on ${driveOf(window)} is closed: ${window.outcome}`, {
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

function notFrozen(
  v: VolumeCore,
  request: WindowRequest,
  id: string,
  title: string,
): Outcome<WindowReport> {
  return refuse('window-refused', { volume: v.name, drive: request.drive }, [
    {
      id,
      title,
      result: 'block',
      reason: 'a drive or a log leg failed while the volume was being frozen',
      fix: `look at \`locum status ${v.name}\`, then plan again`,
    },
  ]);
}

const onlineLegs = (log: LogStore): number =>
  log.status().legs.filter(({ state }) => state === 'online').length;
