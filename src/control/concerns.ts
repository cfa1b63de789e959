/**
 * What a run or a rollout wants of somebody, as an alarm in the status of each volume that it concerns, or what it does so
 * that nobody has to. The volume knows nothing of either: it is asked first, and this is added to what it said.
 *
 * A concern is there for as long as its owner says so; nothing is kept here.
 */

import { capital } from '../core/machines/volume-facts.ts';
import type { Alarm, VolumeStatus } from '../core/status.ts';

export interface Concern {
  /** Null: nothing is wrong. */
  readonly alarm: Alarm | null;
  /** What to do about it. Empty: nothing that the volume's own story does not say. */
  readonly next: string;
  /** Stands for `locum window close` in what the volume advises: by hand that is refused now. */
  readonly insteadOfClose?: string;
}

/** Something is not on file as it is now: `why` says what, where and why not. */
export function unwrittenConcern(code: string, why: string): Concern {
  const next = 'Make room there, or make it writable; it is tried again every few seconds.';
  return { alarm: { code, severity: 'warning', message: `${capital(why)}. ${next}` }, next };
}

/** By the name of a volume. */
export type ConcernSource = (volume: string) => readonly Concern[];

/** A volume that has an alarm of its own says what to do first, unless a run sees to it: that one is about its data. */
export function withConcerns(status: VolumeStatus, concerns: readonly Concern[]): VolumeStatus {
  if (concerns.length === 0) return status;
  const isWell = status.alarms.every(({ severity }) => severity === 'info');
  // What is under way by itself comes before what the volume, which does not know of it, advises to do by hand.
  const goesOn = concerns.find(({ alarm }) => alarm === null)?.next;
  const said = isWell
    ? concerns[0]!.next
    : goesOn
      ? goesOn + byHand(status.story.next)
      : waitsInstead(status, concerns);
  const next = status.state === 'halted' ? '' : (said ?? '');
  const instead = concerns.find(({ insteadOfClose }) => insteadOfClose)?.insteadOfClose;
  const own =
    instead === undefined ? status.alarms : status.alarms.map((one) => notClosed(one, instead));
  return {
    ...status,
    alarms: [...own, ...concerns.flatMap(({ alarm }) => alarm ?? [])],
    story: next === '' ? status.story : { ...status.story, next },
  };
}

/** Only the drive of the window is out: why its run waits says more than that its window is to be closed. */
function waitsInstead(
  { drives, story }: VolumeStatus,
  concerns: readonly Concern[],
): string | undefined {
  const isOut = drives.some(({ state }) => state === 'failed' || state === 'missing');
  if (isOut || !story.next.includes('locum window close')) return undefined;
  return concerns.find(({ alarm }) => alarm?.code === 'run-waiting')?.next;
}

/** What is left to do by hand while a run goes on: it closes its windows itself, and may refuse that somebody else does. */
function byHand(next: string): string {
  if (!next.includes('locum window close')) return ` Else: ${next}`;
  const others = next.match(/locum drive add \S+ [^\s,;)]+/g) ?? [];
  return others.length === 0 ? '' : ` Or bring the other drive back: ${others.join(', or ')}`;
}

const notClosed = (alarm: Alarm, instead: string): Alarm => ({
  ...alarm,
  message: alarm.message.replace(/`?locum window close \S+( --wait)?`?/g, instead),
});
