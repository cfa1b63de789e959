/**
 * The end of a window: it is on record that the log is replayed, it is replayed (replayer.ts), the window is closed. With
 * the drive that came back, or without it (a thaw): a thaw never begins while a second member is absent (rules 2 and 3 of
 * the design).
 */

import { assert } from '../base/assert.ts';
import type { StripeIndex } from '../base/units.ts';
import type { WindowOutcome } from '../core/format/label.ts';
import { mayThaw, type WindowEvent } from '../core/machines/window.ts';
import type { WindowReport } from '../core/status.ts';
import { refreshLogRecord } from './log-setup.ts';
import { setMemberState } from './member-state.ts';
import type { Member } from './members.ts';
import { startRebuildOfSpare } from './rebuild.ts';
import { replay } from './replayer.ts';
import { startScrub } from './resync.ts';
import { leaveBehind } from './trust.ts';
import type { VolumeCore } from './volume-core.ts';
import { reportOf } from './window-report.ts';
import { tooFewWith } from './window-return.ts';
import { askWindow, contextOf, driveOf, tellWindow } from './window-state.ts';

export class WindowReplay {
  readonly #v: VolumeCore;
  #isRunning = false;
  /** Of the window that was closed last. */
  last: WindowReport | null = null;

  constructor(v: VolumeCore) {
    this.#v = v;
  }

  /**
   * 9: nobody is inside; then the labels and superblocks say replaying, before the first in-place write. While host I/O was
   * drained a member may have failed, so it is decided only then whether `event` begins a replay. False: it does not.
   */
  async begin(member: Member | null, event: WindowEvent, outcome: WindowOutcome): Promise<boolean> {
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
      const isReady = member === null || (member.state === 'returning' && !tooFewWith(v, member));
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

  /** What is in the way of a replay may go away: a host writes anew what the log cannot be read for. */
  retry(): void {
    const v = this.#v;
    if (v.replayStopped === '' || v.mode !== 'replaying' || v.stopping || this.#isRunning) return;
    this.start();
  }

  /**
   * Behind `begin`, or at the start of a server that finds a window in replay. `stop` waits for it, so that no drive is
   * closed under a stripe that is being written.
   */
  start(): void {
    const v = this.#v;
    this.#isRunning = true;
    v.replaying = this.#replayAndClose().finally(() => {
      this.#isRunning = false;
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
        ...reportOf(v),
        closedAt: new Date(v.environment.clock.wallMs()).toISOString(),
      };
      v.window = null;
      v.windowEnding = window;
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
      v.windowEnding = null;
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
}
