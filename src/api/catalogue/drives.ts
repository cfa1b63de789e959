/** What is said of drives, as they are found and as members of a volume. The rules for sentences are in entry.ts. */

import { EINVAL, ENOSPC, EROFS } from '../../base/errno.ts';
import { type CataloguePart, entry, failed, notFound, refused, usage } from './entry.ts';

export const drivesPart = {
  // --- drives as they are found --------------------------------------------------------------------------------------
  'drive-path-missing': entry(
    notFound,
    'There is nothing at {path}.',
    'Check the path; to create image files, give `--image-size` (drives) or `--log-size` (log legs).',
  ),
  'drive-not-a-drive': entry(
    refused,
    '{path} is neither a block device nor a regular file[: it is {found}].',
    'Give a block device, preferably as /dev/disk/by-id/…, or an image file.',
    EINVAL,
  ),
  'drive-not-writable': entry(
    refused,
    'The server may not read and write {path}.',
    'Give the server access to it (ownership, group disk, or run it as root), and check that it is not read-only.',
    EROFS,
  ),
  'drive-busy': entry(
    refused,
    '{path} is in use by another program[: {by}].',
    'Find it with `fuser -v {path}` or `lsblk {path}`, stop it (an md array: `mdadm --stop`), then try again.',
  ),
  'drive-mounted': entry(
    refused,
    '{path} is mounted[ on {mountPoint}] or used as swap.',
    'Unmount it (or swapoff) if you mean to give up what is on it, then try again.',
  ),
  'drive-in-other-volume': entry(
    refused,
    '{path} belongs to volume {volume}[ as {role}].',
    'Use another drive, or remove it there first with `locum drive remove`.',
  ),
  'drive-at-work': entry(
    refused,
    '{path} cannot be taken now: it is being worked on[ ({work})].',
    'Wait until that has ended: `locum status {volume}` says what is under way.',
  ),
  'drive-perhaps-at-work': entry(
    refused,
    '{path} cannot be taken now: the record[ of {work}] is lost, and its tool[ ({step})][, process {pid},] is at work on a drive that nobody knows.',
    'Wait until it has ended: `locum status` says so[; or, if you know which drive it has, and that is another one: remove {file}, and drives are given again at once].',
  ),
  'drive-has-data': entry(
    refused,
    '{path} carries data[: {found}][: {content}], which would be lost.',
    'Use another drive. If what is there may be overwritten, repeat the command with `--force`.',
  ),
  'drive-too-small': entry(
    refused,
    '{path} is too small: it has {sizeBytes}[, {leastBytes} are needed].',
    'Use a drive of at least that size.',
    ENOSPC,
  ),
  'drive-given-twice': entry(
    usage,
    '{path} was given twice[: it is the same drive as {other}].',
    'Give every drive and every log leg once.',
  ),
  'drive-count': entry(
    usage,
    'RAID {level} needs at least {least} drives[ and takes at most {most}]; {given} were given.',
    'Give more drives with --drive, or use another level.',
  ),
  'drive-open-failed': entry(
    failed,
    '{path} could not be opened[: {reason}][ (errno {errno})].',
    'Look for messages about the drive in the kernel log (`dmesg`), check its cabling and power.',
  ),
  'space-missing': entry(
    refused,
    'The file system of {path} cannot hold it[: {neededBytes} are needed][, {freeBytes} are free].',
    'Free some space, choose a smaller size, or put the file elsewhere.',
    ENOSPC,
  ),

  // --- drives of a volume --------------------------------------------------------------------------------------------
  'drive-unknown': entry(
    notFound,
    'No drive of the volume is called {drive}[; it has {known}].',
    'Name it by slot number, path, or the beginning of its uuid; `locum drive ls` shows all three.',
  ),
  'drive-ambiguous': entry(
    usage,
    '{drive} fits more than one drive of the volume[ ({matches})].',
    'Give more of the uuid, or the slot number.',
  ),
  'drive-wrong-state': entry(
    refused,
    'This cannot be done with drive {drive} while it is {state}[; it would have to be {wanted}].',
    '`locum status` shows the drive and the next step.',
  ),
  'drive-last-copy': entry(
    refused,
    'Without drive {drive} the volume would lose data: nothing else holds what is on it.',
    'Wait until the volume is optimal (`locum status --watch`), or open a window: a log then stands in for the drive.',
  ),
  'drive-foreign': entry(
    refused,
    '{path} is another drive than the one that left, or of another array[: it carries {found}][, {expected} is expected].',
    'Bring the right drive. To use this one as a blank replacement, close the window with `--rebuild`, or use `locum drive replace … --force`.',
  ),
  'drive-stale': entry(
    refused,
    '{path} is a member of this volume, but of an older generation[ (event count {events})][: {reason}]; it missed writes.',
    'Put it back with `locum drive add`: what it missed is redone. It is never trusted as it stands.',
  ),
  'drive-changed': entry(
    refused,
    '{path} came back changed[: {what}].',
    'Find out what wrote to it. With the other drives complete, `locum window close --rebuild` rebuilds it from the frozen volume; otherwise bring back the drive that failed.',
  ),
  'drive-smaller': entry(
    refused,
    '{path} is smaller than it was: {sizeBytes}[, {neededBytes} are needed][, {leastBytes} are needed].',
    'Undo the change of capacity (host protected area, block size, over-provisioning), or bring another drive. A start goes without it with `--force`.',
    ENOSPC,
  ),
  'drive-blank': entry(
    refused,
    '{path} is blank[: {why}].',
    'If it is the replacement, close with `--rebuild`[, once {absent} is back: `locum drive add {volume} PATH`]. ' +
      'If it should hold the old contents, it is the wrong drive or was erased.',
  ),
  'no-free-slot': entry(
    refused,
    'There is no free slot[ for {path}]: every slot of the volume has a drive.',
    'Add the drive as a spare with `--spare`, or use `locum drive replace`.',
  ),
} as const satisfies CataloguePart;
