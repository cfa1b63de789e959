/**
 * STATE / WHY / NEXT: three sentences for a person who was woken by an alarm. First whether data is
 * safe, then what happened, then the one command to type. Nothing here may promise more than the
 * state does.
 */

import { unreachable } from '../../base/assert.ts';
import type { VolumeState, VolumeStatus } from '../status.ts';
import * as commands from './volume-commands.ts';
import {
  capital,
  described,
  failedBesides,
  named,
  returnable,
  sentence,
  slotStatesOf,
  type VolumeFacts,
} from './volume-facts.ts';

type Story = VolumeStatus['story'];

export function storyOf(
  facts: VolumeFacts,
  state: VolumeState,
  writeHole: VolumeStatus['writeHole'],
): Story {
  const watch = `Wait; this shows the progress: ${commands.watch(facts)}`;
  if (facts.replayStopped !== '' && state !== 'halted') {
    return story(
      'What is not in the log alone is served; moving it to the drives has stopped.',
      sentence(capital(facts.replayStopped)),
      commands.goOn(facts),
    );
  }
  switch (state) {
    case 'optimal':
      return optimal(facts);
    case 'resyncing':
      if (facts.resyncStopped !== '') {
        return story(
          'What can be read is served; redundancy is not restored where writes were under way.',
          sentence(
            `The server or the machine was not stopped cleanly, and the resync has stopped: ${facts.resyncStopped}`,
          ),
          `It is tried again by itself; write anew, or restore, what cannot be read: ${commands.watch(facts)}`,
        );
      }
      if (facts.resyncLeft !== null) {
        return story(
          'Some blocks cannot be read, and are answered with an error.',
          'The server or the machine was not stopped cleanly, and where it was writing there are bad sectors.',
          `Restore those blocks, or write them anew, and the resync ends by itself: ${commands.watch(facts)}`,
        );
      }
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
        `When this is done, bring it back: ${bringBack(facts)}`,
      );
    case 'suspended':
      return suspended(facts);
    case 'halted':
      return story(
        'Host I/O is refused, so that nothing can make it worse.',
        sentence(facts.haltReason),
        `Bring the missing drives and log legs back, then: ${commands.restart(facts)}`,
      );
    default:
      return unreachable(state);
  }
}

const story = (state: string, why: string, next: string): Story => ({ state, why, next });
/** Behind the word "drive". A volume that is frozen has a window; between two records it may be gone for a moment. */
const away = ({ window }: VolumeFacts): string => window?.path ?? 'of the window';

/** Nobody may know where it was. */
function bringBack(facts: VolumeFacts): string {
  const unknown = facts.drives.find(({ path }) => path === '');
  return unknown === undefined
    ? commands.addBack(facts, away(facts))
    : commands.replace(facts, unknown);
}

/** Each member that is out, after what is said anyway. */
function outSentence(facts: VolumeFacts, first: string): string {
  const out = failedBesides(facts).map(described).join('; ');
  return out === '' ? first : sentence(`${first} Out: ${out}`);
}

/** Every member is online and in sync; what may be wrong all the same, the worst first. */
function optimal(facts: VolumeFacts): Story {
  const { log, scrub } = facts;
  const members = 'Every member is online and in sync';
  if (facts.dataInDoubt !== null) {
    const why = {
      lost: 'a drive was lost after an unclean stop, before the resync',
      forced: 'it was started by force after an unclean stop, without a drive and without a log',
      older: 'it was started by force without a drive that may have had what is newer',
    };
    return story(
      'Part of the data may be wrong.',
      `${members}, but ${why[facts.dataInDoubt.cause]}.`,
      'Check or restore what was written last before the stop; then start the volume anew: ' +
        commands.restart(facts),
    );
  }
  if (scrub.unreadableBytes > 0) {
    return story(
      'Some blocks cannot be read, and are answered with an error.',
      `${members}, but two drives have bad sectors in one place.`,
      `Restore those blocks, or write them anew; then check again: ${commands.check(facts)}`,
    );
  }
  if (scrub.mismatches > 0 && !scrub.repairing) {
    return story(
      'All data is readable; redundancy does not agree with it everywhere.',
      `${members}, but the scrub found stripes that do not add up.`,
      `Rewrite the redundancy: ${commands.repair(facts)}`,
    );
  }
  if (facts.parityErrors > 0) {
    return story(
      'All data is readable; some of it does not add up.',
      `${members}, but a drive has returned wrong data.`,
      `Check all of it: ${commands.check(facts)}`,
    );
  }
  const lost = log?.legs.findIndex(({ state }) => state !== 'online') ?? -1;
  if (log !== null && lost >= 0) {
    const none = log.legs.every(({ state }) => state !== 'online');
    return story(
      none
        ? 'All data is protected by the drives; no window can be opened.'
        : 'All data is protected; the log has one copy fewer.',
      `${members}, but ${none ? 'no leg of the log takes a write' : 'a leg of the log is out'}.`,
      none ? `Give it new legs: ${commands.newLog(facts)}` : commands.mendLeg(facts, lost),
    );
  }
  return story('All data is protected.', `${members}.`, 'Nothing to do.');
}

function degraded(facts: VolumeFacts, writeHole: VolumeStatus['writeHole']): Story {
  const out = facts.drives.filter(({ slot, state }) => slot !== null && state !== 'online');
  const states = slotStatesOf(facts);
  const spare = facts.level.tolerates(states.length) - out.length;
  const left = spare > 0 ? `${spare} more may fail` : 'the next failure loses data';
  const hole =
    writeHole === 'open' ? ' Without a log, a crash can damage what the absent drive held.' : '';
  const first = failedBesides(facts)[0];
  const stopped = facts.rebuildStopped;
  const next =
    stopped === null
      ? commands.watch(facts)
      : `The rebuild is tried again by itself; if that is in vain: ${commands.replace(facts, stopped)}`;
  return story(
    `All data is readable with less redundancy: ${left}.${hole}`,
    sentence(capital(out.map(described).join('; '))),
    first === undefined ? next : `Replace it: ${commands.mend(facts, first)}`,
  );
}

function rebuildingWhy(facts: VolumeFacts): string {
  const rebuilding = facts.drives.filter(({ state }) => state === 'rebuilding').map(named);
  return `${capital(rebuilding.join(', '))} is new, or came back after it had missed writes.`;
}

function frozen(facts: VolumeFacts): Story {
  const { window } = facts;
  const drive = window?.path ?? 'the drive of the window';
  const out = failedBesides(facts);
  const who = out.map(named).join(', ');
  const close = commands.closeWindow(facts);
  if (window?.state === 'returning') {
    return story(
      `Nothing is lost; ${drive} is back and being compared with the other drives, or made from them.`,
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
  const good = returnable(facts);
  const others = good.map(({ path }) => commands.addBack(facts, path)).join(', or ');
  const states = slotStatesOf(facts);
  const absent = states.filter((state) => state !== 'online').length;
  // A mirror of three, with one drive away and one out.
  const isComplete = absent <= facts.level.tolerates(states.length);
  const alone = isComplete ? '' : ', only it completes the volume';
  const cost = isComplete
    ? 'Everything goes on.'
    : 'Reads that need both wait; everything else goes on.';
  return story(
    `Nothing is lost: ${drive} is away and ${who} is out, every write goes to the log.`,
    `${sentence(capital(out.map(described).join('; ')))} ${cost}`,
    good.length === 0
      ? `Bring ${drive} back${alone}: ${close}`
      : `Bring either back. ${drive}: ${close}; the other: ${others}`,
  );
}

function suspended(facts: VolumeFacts): Story {
  const { window } = facts;
  const failed = facts.log?.state === 'failed';
  const out = failedBesides(facts).map(named);
  const others = returnable(facts).map(({ path }) => `, or ${commands.addBack(facts, path)}`);
  const next =
    window === null ? commands.watch(facts) : `${commands.closeWindow(facts)}${others.join('')}`;
  const full =
    window === null
      ? 'The log is full.'
      : `The log is full, and the window cannot end without ${[...out, window.path].join(' or ')}.`;
  return story(
    failed
      ? 'Writes are held; do not touch the log legs.'
      : 'Writes are held; nothing acknowledged is lost.',
    failed
      ? 'No leg of the log takes a write, and what was written since the drive left may be only there.'
      : full,
    `${window === null ? 'See what is missing' : 'Bring a drive back'}: ${next}`,
  );
}
