/**
 * Parts of a label, as the volume is in memory when it is made (metadata.ts): who is a member and in which state, the window
 * that is open, rebuilds and how far they are on stable storage.
 */

import type { LabelMember, LabelRecovery, LabelWindow } from '../core/format/label.ts';
import type { VolumeCore } from './volume-core.ts';

export function labelMembers(v: VolumeCore): LabelMember[] {
  return [...v.members.slots, ...v.members.spares]
    .filter((member) => member.uuid !== '')
    .map((member) => ({
      uuid: member.uuid,
      slot: member.slot < 0 ? null : member.slot,
      state: member.state,
      reason: member.reasonCode,
      eventsAtChange: member.eventsAtChange,
      changedWallMs: member.changedWallMs,
    }));
}

export function labelWindow(v: VolumeCore): LabelWindow | null {
  const window = v.window;
  if (window === null || window.state === 'closed' || window.state === 'aborted') return null;
  return {
    id: window.id,
    token: window.token,
    purpose: window.purpose,
    // The log's new epoch is durable before the first label of a freeze, so every label says open.
    state: window.state === 'freezing' ? 'open' : window.state,
    slot: window.slot,
    memberUuid: window.memberUuid,
    openedWallMs: window.openedWallMs,
    elapsedMs: Math.round(window.elapsedBeforeMs + v.environment.clock.nowMs() - window.sinceMs),
    maxMs: window.maxMs,
    onDoubleAbsence: window.onDoubleAbsence,
    waitMs: window.waitMs,
    logEpoch: window.logEpoch,
    frozenEvents: window.frozenEvents,
    cursorStripe: v.cursor,
    appliedThrough: 0,
    verified: window.verify !== null,
    outcome: window.outcome,
  };
}

export function labelRecovery(v: VolumeCore): LabelRecovery[] {
  const entries: LabelRecovery[] = [];
  for (const { slot, recovery } of v.members.slots) {
    if (recovery) entries.push({ slot, kind: recovery.kind, cursorStripe: recovery.saved });
  }
  return entries;
}
