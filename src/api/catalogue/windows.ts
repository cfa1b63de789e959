/** What is said of windows, and of what is done to drives in them: tasks, runs, rollouts. Rules: entry.ts. */

import { EBUSY, EINVAL, ENODEV, ENOENT, ENOTSUP, EPERM } from '../../base/errno.ts';
import { type CataloguePart, entry, exitCodes, failed, notFound, refused, usage } from './entry.ts';

export const windowsPart = {
  // --- windows -------------------------------------------------------------------------------------------------------
  'window-exists': entry(
    refused,
    'Volume {volume} has an open window already[ ({path} is away)]; one drive at a time may be away.',
    'Close it first: `locum window close {volume}`.',
  ),
  'window-none': entry(
    notFound,
    'Volume {volume} has no open window.',
    '`locum window history` shows those that have ended.',
  ),
  'window-refused': entry(
    refused,
    'The window[ for drive {drive}] was refused by its checks[: {blocking}].',
    'Nothing was changed. Clear the checks, then try again; `locum window plan` runs them at any time.',
  ),
  'window-wrong-state': entry(
    refused,
    'This is not possible while the window is {state}[; it would have to be {wanted}].',
    '`locum window show` tells what it is waiting for.',
  ),
  'window-verify-mismatch': entry(
    refused,
    '{path} does not agree with the frozen volume[: {stripes} stripes differ]. It was not taken in; nothing is lost, the window is still open.',
    'With the other drives complete, `locum window close {volume} --rebuild` rebuilds it from the frozen volume. ' +
      'Otherwise bring the right drive.',
  ),
  'window-known-mismatch': entry(
    refused,
    '{path} did not agree with the frozen volume when it was compared, and with another drive out it cannot be compared again. ' +
      'It was not taken in; nothing is lost, the window is still open.',
    'Bring the drive that is out back: `locum drive add {volume} PATH`; then `locum window close {volume} --rebuild`. If that ' +
      'one is lost for good, and data that is wrong in part is better than none: `locum window close {volume} --force`.',
  ),
  'window-drive-absent': entry(
    refused,
    'The drive is not there[: nothing usable at {path}].',
    'Plug it in. If it has another path now: `locum window close {volume} --drive PATH`.',
    ENODEV,
  ),
  'window-others-absent': entry(
    refused,
    'Even with {path} back too few drives are there[: {absent} are out].',
    'Nothing is lost while the window is open. Bring another one back first, which is as it was at the freeze: ' +
      '`locum drive add VOLUME PATH`.',
  ),
  'window-rebuild-others-absent': entry(
    refused,
    '{path} cannot be rebuilt now: its contents are made from the other drives, and too few of them are here[; out: {absent}]. ' +
      'Nothing was written to it; nothing is lost, the window is still open.',
    'Bring the drive that is out back: `locum drive add {volume} PATH`; then `locum window close {volume} --rebuild`. If that ' +
      'one is lost for good, only the drive that left completes the volume: `locum window close {volume}`, without `--rebuild`, takes it.',
  ),

  // --- drive tasks ---------------------------------------------------------------------------------------------------
  'tool-missing': entry(
    refused,
    'The tool {tool} is not installed; without it nothing can be asked of {path}.',
    'Install it on the server: `apt-get install {package}`.',
    ENOENT,
  ),
  'not-permitted': entry(
    refused,
    'The server may not send commands to {path}[: {reason}].',
    'Run the server as root: what changes a drive needs the rights of the administrator.',
    EPERM,
  ),
  'drive-no-answer': entry(
    failed,
    '{path} does not answer[: {reason}].',
    'Look for the drive in the kernel log (`dmesg`), check its cabling and power, then try again.',
    ENODEV,
  ),
  'task-impossible': entry(
    refused,
    '{task} cannot be done on {path}[: {reason}].',
    'Give a command of your own that does it, after `--`; LOCUM_DRIVE_PATH and LOCUM_IMAGE name the drive and the image to it.',
    ENOTSUP,
  ),
  'image-none': entry(
    usage,
    'A firmware update needs an image[ for {path}].',
    'Give one with `--image FILE`, or a command of your own after `--`.',
  ),
  'image-unreadable': entry(
    refused,
    'The firmware image {image} cannot be read[: {reason}].',
    'Check the path and its permissions; the server reads it, so it must be on the server.',
    ENOENT,
  ),
  'image-empty': entry(
    refused,
    'The firmware image {image} is empty.',
    'Fetch it again from the maker of the drive.',
    EINVAL,
  ),
  'image-too-large': entry(
    refused,
    'The firmware image {image} has {sizeBytes}[, more than {mostBytes}]: that is no firmware.',
    'Check that it is the image itself, not an archive or the image of a disk.',
    EINVAL,
  ),
  'image-wrong-checksum': entry(
    refused,
    'The firmware image {image} has not the SHA-256 it should have[: it has {found}, {expected} was given].',
    'Fetch the image again, or correct `--sha256`.',
    EINVAL,
  ),
  'drive-wrong-model': entry(
    refused,
    '{path} is not of the model that was asked for[: it is {found}, {expected} was given].',
    'Check that the image is for this drive, then correct `--model` or leave the drive out.',
    EINVAL,
  ),

  // --- rollouts --------------------------------------------------------------------------------------------------------
  'rollout-refused': entry(
    refused,
    'The firmware update was refused, and nothing was touched[: {reason}].',
    'Put right what the checks name; `locum firmware update … --dry-run` shows the whole plan and changes nothing.',
  ),
  'rollout-drives': entry(
    usage,
    'It is not clear which drives of {volumes} are meant[: {reason}].',
    'Name the drives (`locum drive ls` lists them), or take all of them with --all.',
  ),
  'rollout-exists': entry(
    refused,
    'Volume {volume} belongs to the firmware update {rollout} already, which is {state}.',
    '`locum firmware status {rollout}` shows it; `locum firmware resume {rollout}` goes on, ' +
      '`locum firmware stop {rollout}` ends it.',
    EBUSY,
  ),
  'rollout-unknown': entry(
    notFound,
    'There is no firmware update[ {rollout}] on this server[, and none of a volume {rollout}].',
    '`locum firmware update VOLUME --all --image FILE` begins one[; `locum firmware status` shows the latest one instead of {rollout}].',
  ),
  'rollout-wrong-state': entry(
    refused,
    'The firmware update {rollout} is {state}[: {reason}].',
    '`locum firmware status {rollout}` shows it.',
  ),
  'rollout-unrecorded': entry(
    failed,
    'The firmware update {rollout} is {state} now, but that is not on record[: {reason}].',
    'Make room there, or make it writable; it is tried again every few seconds. A server that is started again before that goes on as if it had not been asked.',
  ),

  // --- runs ----------------------------------------------------------------------------------------------------------
  'run-unknown': entry(
    notFound,
    'There is no run {run}; the oldest are forgotten.',
    '`locum window show VOLUME` prints the last one of a volume.',
  ),
  'run-ended': entry(
    refused,
    'Run {run} has ended: there is nothing to call back.',
    '`locum window show VOLUME {run}` prints what came of it.',
  ),
  'run-exists': entry(
    refused,
    'A run is under way on drive {drive} of volume {volume} already, or on another drive of it[ ({run})].',
    '`locum window show {volume}` shows it; one drive of a volume at a time may be away.',
  ),
  'run-at-work': entry(
    refused,
    'A tool is at work on {path}[ ({step})]: the drive cannot be taken back before it has ended.',
    'It is brought back by itself. To leave out what has not begun: `locum window abort {volume}`.',
  ),
  'tool-at-work': entry(
    refused,
    'A tool[ of run {run}], whose record is lost, is still at work on a drive[ ({step})][, process {pid}]: no drive is taken back before it has ended.',
    'Wait until it has ended: `locum status {volume}` says which process it is. Look at the drive, then try again.',
  ),
  'run-limit': entry(
    { httpStatus: 503, exitCode: exitCodes.failed, errno: EBUSY },
    'No more runs can be begun now[: at most {most} at a time][: {reason}].',
    'Wait until one has ended.',
  ),
} as const satisfies CataloguePart;
