/**
 * The state of a volume is not kept anywhere: it is derived from facts, so it cannot disagree with
 * them. The rules are a table, tried from the top; the first that holds gives the word. Worse comes
 * first: a volume that is frozen *and* degraded says frozen, because that decides what its I/O
 * does; its story and its alarms tell the rest.
 */

import { assert } from '../../base/assert.ts';
import { canLose } from '../redundancy.ts';
import type { Alarm, VolumeState, VolumeStatus } from '../status.ts';
import { alarmsOf } from './volume-alarms.ts';
import { isDegraded, slotStatesOf, type VolumeFacts } from './volume-facts.ts';
import { storyOf } from './volume-story.ts';

export interface VolumeRule {
  readonly state: VolumeState;
  /** For docs/states/volume.md. */
  readonly holds: string;
  readonly when: (facts: VolumeFacts) => boolean;
}

export const volumeRules: readonly VolumeRule[] = [
  {
    state: 'halted',
    holds: 'more members are gone than the level tolerates, or acknowledged data is out of reach',
    when: ({ haltReason }) => haltReason !== '',
  },
  {
    state: 'suspended',
    holds: 'host writes are held because the log is full or no leg of it takes a write',
    when: (facts) => facts.writesHeld > 0 || (needsLog(facts) && facts.log?.state === 'failed'),
  },
  {
    state: 'freezing',
    holds: 'a window is being opened',
    when: ({ window }) => window?.state === 'freezing',
  },
  {
    state: 'thawing',
    holds: 'the log is being applied without the drive that was away',
    when: ({ window }) => window?.state === 'thawing',
  },
  {
    state: 'replaying',
    holds: 'the log is being applied to the members',
    when: ({ replaying }) => replaying,
  },
  {
    state: 'frozen',
    holds: 'a window is open: members do not change, writes go to the log',
    when: ({ frozen }) => frozen,
  },
  {
    state: 'rebuilding',
    holds: 'a member is being recreated or brought up to date',
    when: ({ drives, rebuildStopped }) =>
      drives.some(({ slot, state }) => state === 'rebuilding' && slot !== rebuildStopped?.slot),
  },
  { state: 'degraded', holds: 'a member is not online', when: isDegraded },
  {
    state: 'resyncing',
    holds: 'regions that an unclean stop left in doubt are being redone',
    when: ({ resyncing }) => resyncing,
  },
  { state: 'optimal', holds: 'none of the above', when: () => true },
];

/** A replay that has ended does not, though its window is only just off the record. */
const needsLog = ({ frozen, replaying, window }: VolumeFacts): boolean =>
  frozen || (replaying && window !== null);

export function volumeStateOf(facts: VolumeFacts): VolumeState {
  const rule = volumeRules.find(({ when }) => when(facts));
  assert(rule !== undefined, 'volume: no rule holds');
  return rule.state;
}

/** Can a crash, at this moment, damage what a member holds that is absent, or is lost before the resync? */
export function writeHoleOf(facts: VolumeFacts): VolumeStatus['writeHole'] {
  const exposed = facts.level.parityChunks > 0 && !facts.frozen;
  return exposed && !facts.logsStripes ? 'open' : 'closed';
}

export interface VolumeOpinion {
  readonly state: VolumeState;
  readonly redundancy: { readonly canLose: number };
  readonly writeHole: VolumeStatus['writeHole'];
  readonly alarms: Alarm[];
  readonly story: VolumeStatus['story'];
}

export function deriveVolume(facts: VolumeFacts): VolumeOpinion {
  const state = volumeStateOf(facts);
  const states = slotStatesOf(facts);
  const writeHole = writeHoleOf(facts);
  const spare =
    facts.haltReason === '' ? canLose(facts.level, states.length, states, facts.frozen) : 0;
  return {
    state,
    redundancy: { canLose: spare },
    writeHole,
    alarms: alarmsOf(facts, writeHole),
    story: storyOf(facts, state, writeHole),
  };
}

/** For docs/states/volume.md: the rules in the order in which they are tried. */
export function renderVolumeRules(): string {
  const rows = volumeRules.map(({ state, holds }, i) => `${i + 1}. **${state}**: ${holds}`);
  return `${rows.join('\n')}\n`;
}
