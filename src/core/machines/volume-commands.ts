/**
 * The commands that alarms and stories tell people to type, with the volume and the drive filled in.
 * Only what the reader alone can know is left as a word in capitals. They are a contract with the
 * command line (docs/commands.md): a command that is renamed there has to be renamed here.
 */

import { logMarkOf, logMarks } from './log-fill.ts';
import type { DriveFacts, VolumeFacts } from './volume-facts.ts';

export const closeWindow = ({ name }: VolumeFacts): string => `locum window close ${name} --wait`;
export const extendWindow = ({ name }: VolumeFacts): string =>
  `locum window extend ${name} --by 30m`;
export const watch = ({ name }: VolumeFacts): string => `locum status ${name} --watch`;
export const check = ({ name }: VolumeFacts): string => `locum scrub start ${name}`;
export const repair = ({ name }: VolumeFacts): string => `locum scrub start ${name} --repair`;
export const restart = ({ name }: VolumeFacts): string =>
  `locum volume stop ${name} && locum volume assemble ${name}`;

/** The same drive again: whole in a window, by a short resync otherwise. */
export const addBack = ({ name }: VolumeFacts, path: string): string =>
  `locum drive add ${name} ${path}`;

export const replace = ({ name }: VolumeFacts, { slot }: Pick<DriveFacts, 'slot'>): string =>
  `locum drive replace ${name} ${slot} --with NEW_DRIVE`;

/** What to do about a member that is out while no window is open. */
export const mend = (facts: VolumeFacts, drive: DriveFacts): string =>
  drive.path === ''
    ? replace(facts, drive)
    : `${replace(facts, drive)} (or, if the drive itself is good, ${addBack(facts, drive.path)})`;

/** What becomes of a leg that is out: a new one in its place, unless it is itself a new one that counts by itself. */
export const mendLeg = (facts: VolumeFacts, index: number): string => {
  switch (facts.legsWaitFor[index]) {
    case 'copy':
      return `It is a new one, and counts when the other one is copied: ${watch(facts)}`;
    case 'record':
      return (
        'It is a new one, and counts by itself once a drive of the volume is back and takes the note; ' +
        `keep the other leg until then: ${watch(facts)}`
      );
    default:
      return `Give it a new leg: ${newLeg(facts, index)}`;
  }
};

/** A new leg in the place of one that is out, at any time: the other one has everything. */
export const newLeg = ({ name }: VolumeFacts, index: number): string =>
  `locum log replace ${name} ${index} --with NEW_LEG`;

/** A new log where there is none, or no leg is left to copy from; with no window open only. */
export const newLog = ({ name, log }: VolumeFacts): string =>
  `locum log add ${name} ${log?.legs.length === 1 ? 'NEW_LEG' : 'NEW_LEG NEW_LEG'}`;

/** What ends the standstill of a replay. */
export const goOn = (facts: VolumeFacts): string => {
  const { log } = facts;
  if (log?.state === 'failed') {
    return (
      'No leg takes a write either, so what belongs there is refused. Bring the legs back as they were, then: ' +
      restart(facts)
    );
  }
  const full = log !== null && logMarkOf(log.usedBytes, log.capacityBytes) === logMarks[2];
  return full
    ? 'What was only there is answered with an error, and the log has hardly any room left: a write of what the replay ' +
        'has not reached is refused once it is full. Write it anew while that is taken, or make a leg readable there, ' +
        `and the replay goes on by itself: ${watch(facts)}`
    : 'What was only there is answered with an error; write it anew, or restore it, and the replay goes on by itself: ' +
        watch(facts);
};
