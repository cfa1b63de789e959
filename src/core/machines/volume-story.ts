/**
 * STATE / WHY / NEXT: three sentences for a person who was woken by an alarm. First whether data is
 * safe, then what happened, then the one command to type. Nothing here may promise more than the
 * state does.
 */

import { unreachable } from '../../base/assert.ts';
import type { VolumeState, VolumeStatus } from '../status.ts';
import {
  type DriveFacts,
  failedBesides,
  named,
  slotStatesOf,
  type VolumeFacts,
} from './volume-facts.ts';

type Story = VolumeStatus['story'];

export function storyOf(
  facts: VolumeFacts,
  state: VolumeState,
  writeHole: VolumeStatus['writeHole'],
): Story {
  const { name } = facts;
  const again = `locum volume stop ${name} && locum volume assemble ${name}`;
  const watch = `Wait; locum status ${name} --watch shows the progress.`;
  switch (state) {
    case 'optimal':
      return story(
        'All data is protected.',
        'Every member is online and in sync.',
        'Nothing to do.',
      );
    case 'resyncing':
      return story(
        'All data is readable; redundancy is being checked where writes were under way.',
        'The server or the machine was not stopped cleanly.',
        watch,
      );
    case 'degraded':
      return degraded(facts, writeHole);
    case 'rebuilding':
      return story(
        'All data is readable; a drive is being brought up to date.',
        rebuildingWhy(facts),
        watch,
      );
    case 'freezing':
      return story(
        'Writes are held for a moment.',
        `Drive ${away(facts)} is about to leave.`,
        'Wait.',
      );
    case 'frozen':
      return frozen(facts);
    case 'replaying':
      return story(
        'All data is readable; what was written meanwhile moves from the log to the drives.',
        outSentence(facts, `Drive ${away(facts)} is back.`),
        watch,
      );
    case 'thawing':
      return story(
        'All data is readable; the log is being applied without the drive that was away.',
        `Drive ${away(facts)} did not come back in time, or the log ran full.`,
        `Then bring it back: locum drive add ${name} PATH`,
      );
    case 'suspended':
      return suspended(facts);
    case 'halted':
      return story(
        'Host I/O is refused, so that nothing can make it worse.',
        sentence(facts.haltReason),
        `Bring the missing drives and log legs back, then ${again}`,
      );
    default:
      return unreachable(state);
  }
}

const story = (state: string, why: string, next: string): Story => ({ state, why, next });
const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`);
const away = ({ window }: VolumeFacts): string => window?.path ?? '';

/**
 * "slot 2 (/dev/sdc) failed: it is gone" for each member that is out, after what is said anyway.
 */
function outSentence(facts: VolumeFacts, first: string): string {
  const out = failedBesides(facts).map(reasonOf).join('; ');
  return out === '' ? first : `${first} Out: ${out}.`;
}

const reasonOf = (drive: DriveFacts): string =>
  drive.reason === ''
    ? `${named(drive)} is ${drive.state}`
    : `${named(drive)} is ${drive.state}: ${drive.reason}`;

function degraded(facts: VolumeFacts, writeHole: VolumeStatus['writeHole']): Story {
  const out = facts.drives.filter(({ slot, state }) => slot !== null && state !== 'online');
  const states = slotStatesOf(facts);
  const spare = facts.level.tolerates(states.length) - out.length;
  const left = spare > 0 ? `${spare} more may fail` : 'the next failure loses data';
  const hole =
    writeHole === 'open' ? ' Without a log, a crash can damage what the absent drive held.' : '';
  const slot = out[0]?.slot ?? 0;
  return story(
    `All data is readable with less redundancy: ${left}.${hole}`,
    `${capital(out.map(reasonOf).join('; '))}.`,
    `Replace it: locum drive replace ${facts.name} ${slot} --with PATH`,
  );
}

function rebuildingWhy(facts: VolumeFacts): string {
  const rebuilding = facts.drives.filter(({ state }) => state === 'rebuilding').map(named);
  return `${capital(rebuilding.join(', '))} is new, or came back after it had missed writes.`;
}

function frozen(facts: VolumeFacts): Story {
  const { name, window } = facts;
  const drive = away(facts);
  const out = failedBesides(facts);
  const who = out.map(named).join(', ');
  const close = `locum window close ${name}`;
  if (window?.state === 'returning') {
    return story(
      `Nothing is lost; ${drive} is back and being compared with the other drives.`,
      outSentence(facts, 'It is trusted only after that; until then every write goes to the log.'),
      'Wait; replay follows by itself.',
    );
  }
  if (out.length === 0) {
    return story(
      `All data is protected; ${drive} is away and the log stands in for it.`,
      `Window for ${window?.purpose ?? 'service'}: every write goes to the log.`,
      window?.recall === true
        ? `Bring ${drive} back now: ${close}`
        : `When the drive is ready: ${close}`,
    );
  }
  return story(
    `Nothing is lost: ${drive} is away and ${who} is out, every write goes to the log.`,
    `${capital(out.map(reasonOf).join('; '))}. Reads that need both wait; everything else goes on.`,
    `Bring either back; for ${drive}: ${close}`,
  );
}

function suspended(facts: VolumeFacts): Story {
  const failed = facts.log?.state === 'failed';
  const out = [...failedBesides(facts).map(named), ...(facts.window === null ? [] : [away(facts)])];
  const next =
    facts.window === null ? `locum status ${facts.name}` : `locum window close ${facts.name}`;
  return story(
    'Writes are held; nothing is lost.',
    failed
      ? 'No leg of the log can be written.'
      : `The log is full, and the window cannot end without ${out.join(' or ')}.`,
    failed ? `Bring a log leg or the drive back: ${next}` : `Bring one of them back: ${next}`,
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
