/** What is said when a volume is put together from what lies on its drives, and of its log. Rules: entry.ts. */

import { EEXIST, EIO, ENODEV, ENOSPC } from '../../base/errno.ts';
import { type CataloguePart, entry, notFound, refused, usage } from './entry.ts';

export const startPart = {
  // --- assembling ----------------------------------------------------------------------------------------------------
  'member-not-found': entry(
    notFound,
    'None of the given drives carries a superblock[: {paths}].',
    'Check the paths; `mdadm --examine PATH` shows what a drive carries.',
  ),
  'superblock-corrupt': entry(
    refused,
    'The superblock on {path} is damaged[: {reason}].',
    'Assemble without this drive and add it again afterwards; its contents are rebuilt.',
    EIO,
  ),
  'label-corrupt': entry(
    refused,
    'The label on {path} is damaged or cannot be read[: {reason}].',
    'Assemble without this drive and add it again afterwards. If a window was open, the other members know about it.',
    EIO,
  ),
  'md-unsupported': entry(
    refused,
    '{path} is a member of an md array that Locum cannot serve[: {reason}].',
    'Locum takes md 1.2 members of RAID 1, 4 (and 3) and 5 left-symmetric, without reshape, journal or bad blocks.',
  ),
  'md-no-room-for-label': entry(
    refused,
    '{path} has no room for the label between the md metadata and the data[: {reason}].',
    'The array cannot be adopted as it stands; copy its contents into a volume created by Locum.',
    ENOSPC,
  ),
  'members-missing': entry(
    refused,
    'Volume {volume} cannot start: {given} of {needed} members are here[; missing: {missing}].',
    'Bring the missing drives. If they are gone for good and the rest is enough, ' +
      '`locum volume assemble {volume} --force` starts it degraded.',
    ENODEV,
  ),
  'members-disagree': entry(
    refused,
    'The drives do not belong to one volume[: {reason}].',
    'Give only the drives of one volume; `mdadm --examine` shows the array uuid of each.',
  ),
  'member-cloned': entry(
    refused,
    '{path} and {other} claim to be the same member: one is a copy of the other.',
    'Remove the copy. Nobody but you can tell which one it is.',
  ),
  'history-split': entry(
    refused,
    'The members have separate histories[ (seen on {path})][: {reason}]; they were used apart from each other' +
      '[: on one side {half}, not on it {apart}].',
    'Decide which drives hold the history you want, assemble only those, and add the others as blank drives.',
  ),
  'dirty-and-degraded': entry(
    refused,
    'Volume {volume} was not stopped cleanly and a member is missing: without a log, stripes that were being ' +
      'written may be inconsistent.',
    'Bring the missing drive or the log. `--force` starts it all the same; check the data afterwards.',
  ),
  'owned-elsewhere': entry(
    refused,
    'The drives are in use by another Locum server[: {owner}].',
    'Stop the volume there. If that server is dead, wait 20 seconds and try again.',
  ),

  // --- the log -------------------------------------------------------------------------------------------------------
  'leg-count': entry(
    usage,
    'A log has one or two legs; {given} were given.',
    'Give `--log PATH` once or twice; two on different disks are recommended.',
  ),
  'leg-on-member-drive': entry(
    refused,
    'The log leg {path} lies on the same disk as the member {drive}; they would fail together.',
    'Put the leg on another disk.',
  ),
  'leg-too-small': entry(
    refused,
    'The log leg {path} is too small: it has {sizeBytes}[, {neededBytes} are needed].',
    'Make it larger: it must hold everything written during a window.',
    ENOSPC,
  ),
  'leg-in-use': entry(
    refused,
    '{path} is a log leg already[ of volume {volume}][: {content}].',
    'Use another drive or file.',
  ),
  'leg-unknown': entry(
    notFound,
    'No leg of the log is called {leg}[; it has {known}].',
    'Name it by its number or its path: `locum log show {volume}` shows both.',
  ),
  'leg-online': entry(
    refused,
    '{leg} is online; only a log leg that is out is replaced.',
    '`locum log show {volume}` shows the legs and their state.',
  ),
  'leg-unrecorded': entry(
    refused,
    '{path} has everything and is in use as a log leg of volume {volume}, but no drive of the volume has taken the ' +
      'note of it: a start now would not know it.',
    'Bring a drive of the volume back (`locum status {volume}` shows how): then it counts by itself. Keep the ' +
      'other leg until then.',
    EIO,
  ),
  'leg-cloned': entry(
    refused,
    '{path} and {other} claim to be the same leg of the log: one is a copy of the other.',
    'Remove the copy. Nobody but you can tell which one it is.',
  ),
  'log-missing': entry(
    refused,
    'Volume {volume} cannot start: the log of its open window is missing[ ({missing})][ ({reason})]. It holds every write acknowledged since the freeze; the members alone are an old image.',
    'Bring the log leg back and run `locum volume assemble {volume}` with --log PATH. One leg is enough.',
    ENODEV,
  ),
  'log-foreign': entry(
    refused,
    '{path} is not a log leg of this volume[: it belongs to {found}][: {reason}].',
    'Give the right leg; the members know its uuid (`locum log show` on a running volume).',
  ),
  'log-stale': entry(
    refused,
    'The log that was given is out of date[ ({path})][: {reason}]. It lacks writes that were acknowledged.',
    'Bring a leg that has all records[: {missing}]. What was given would lose acknowledged writes.',
  ),
  'log-ahead': entry(
    refused,
    'Volume {volume} cannot start: its log is newer than every drive that was given[: {reason}]. They lack writes that were ' +
      'acknowledged, and the log alone may not have all of those.',
    'Bring the drives that were in use last: `locum volume assemble {volume}` with each as --drive PATH, and the same log. ' +
      'If what was given are copies, or was put back from an image, bring the drives themselves.',
  ),
  'log-damaged': entry(
    refused,
    'The log of volume {volume} is damaged before its end[ at record {sequence}][: {reason}]. ' +
      'Acknowledged writes would be lost.',
    'Bring the other leg if there is one: a record that one leg lost is read from the other.',
    EIO,
  ),
  'log-none': entry(
    refused,
    'Volume {volume} has no log, so that nothing can stand in for a drive.',
    'Create volumes with `--log`; give existing ones a log with `locum log add {volume} PATH PATH`.',
  ),
  'log-lost': entry(
    refused,
    'No other leg of the log of volume {volume} is online: there is nothing to copy from.',
    'With a window open, bring the drive back: `locum window close {volume} --wait`. Without one, ' +
      'give the volume a new log: `locum log add {volume} PATH PATH`.',
    EIO,
  ),
  'log-exists': entry(
    refused,
    'Volume {volume} has a log already.',
    'To replace a leg that is out: `locum log replace {volume} LEG --with PATH`.',
    EEXIST,
  ),
} as const satisfies CataloguePart;
