/**
 * The one catalogue of everything that can be refused or fail: code → sentence, next step, HTTP status, exit code,
 * errno. The HTTP edge, the command line, the log and docs/errors.md read it; a test keeps it in step with
 * core/problems.ts (the compiler does: the record is exhaustive) and with the page.
 *
 * Sentences are for an administrator at three in the morning: what happened, why, and in `fix` what to do next.
 *   {name}      a placeholder, filled from the problem's `detail`; `defaultWords` stands in when it is missing
 *               (sizes, whose names end in Bytes, are printed with their unit)
 *   [ … {x} …]  a part that is left out when `x` is missing
 * What `detail` knows and the sentence does not use is appended in parentheses, so that nothing known is lost.
 *
 * Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a safety check, 5 no server, 6 wait timed out.
 */

import {
  EBUSY,
  EEXIST,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOSPC,
  ENOTSUP,
  EPERM,
  EROFS,
  type Errno,
  ESHUTDOWN,
  ETIMEDOUT,
} from '../base/errno.ts';
import type { Problem, ProblemCode } from '../core/problems.ts';
import { formatBytes } from './units.ts';

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  noServer: 5,
  timedOut: 6,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export interface CatalogueEntry {
  readonly message: string;
  readonly fix: string;
  readonly httpStatus: number;
  readonly exitCode: ExitCode;
  readonly errno: Errno;
}

type Kind = Pick<CatalogueEntry, 'httpStatus' | 'exitCode' | 'errno'>;

// What kinds of trouble there are; an entry names one and, where it differs, its own errno.
const usage: Kind = { httpStatus: 400, exitCode: exitCodes.usage, errno: EINVAL };
const notFound: Kind = { httpStatus: 404, exitCode: exitCodes.notFound, errno: ENOENT };
const refused: Kind = { httpStatus: 409, exitCode: exitCodes.refused, errno: EBUSY };
const failed: Kind = { httpStatus: 500, exitCode: exitCodes.failed, errno: EIO };
const noServer: Kind = { httpStatus: 503, exitCode: exitCodes.noServer, errno: ESHUTDOWN };

const entry = (kind: Kind, message: string, fix: string, errno = kind.errno): CatalogueEntry => ({
  ...kind,
  message,
  fix,
  errno,
});

export const catalogue: Readonly<Record<ProblemCode, CatalogueEntry>> = {
  // --- names and arguments -------------------------------------------------------------------------------------------
  'argument-invalid': entry(
    usage,
    "{name}[: '{value}'] is not valid here[: {reason}][; expected {expected}].",
    'Correct the argument; `locum COMMAND --help` shows its form.',
  ),
  'volume-name-invalid': entry(
    usage,
    '{name} cannot be a volume name: a name has 1 to 32 letters, digits, dots, dashes or underscores, ' +
      'and begins with a letter or a digit.',
    'Choose another name.',
  ),
  'volume-unknown': entry(
    notFound,
    'There is no volume named {volume} on this server.',
    '`locum volume ls` lists the volumes; `locum volume assemble` takes one in from its drives.',
  ),
  'volume-exists': entry(
    refused,
    'A volume named {volume} exists already.',
    'Choose another name, or stop that volume with `--forget` first.',
    EEXIST,
  ),
  'volume-not-running': entry(
    refused,
    'Volume {volume} is known but not running[: {reason}].',
    'Bring the drives back if any are missing, then run `locum volume assemble {volume}`.',
    ENODEV,
  ),
  'volume-in-use': entry(
    refused,
    'Volume {volume} is in use[ by {by}][ by {clients} NBD connection(s)].',
    'Disconnect its clients (unmount, then `nbd-client -d` or stop the virtual machine), then try again.',
  ),
  'confirm-mismatch': entry(
    usage,
    'Nothing was destroyed: the name given to --confirm is not {volume}.',
    'To destroy the volume and everything on it: `locum volume destroy {volume} --confirm {volume}`.',
  ),
  'level-unknown': entry(usage, 'RAID level {level} is not known.', 'Use --level 1, 3, 4 or 5.'),
  'chunk-invalid': entry(
    usage,
    'A chunk of {chunkBytes} is not possible[ for RAID {level}]: chunks are powers of two from 4KiB to 1MiB.',
    'Leave --chunk out (64KiB), or give a power of two such as --chunk 128KiB. RAID 3 always uses 4KiB.',
  ),

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
    'Undo the change of capacity (host protected area, block size, over-provisioning), or bring another drive.',
    ENOSPC,
  ),
  'drive-blank': entry(
    refused,
    '{path} is blank[: {why}].',
    'If it is the replacement, close with `--rebuild`. If it should hold the old contents, ' +
      'it is the wrong drive or was erased.',
  ),
  'no-free-slot': entry(
    refused,
    'There is no free slot[ for {path}]: every slot of the volume has a drive.',
    'Add the drive as a spare with `--spare`, or use `locum drive replace`.',
  ),

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
    'Both copies of the label on {path} are damaged[: {reason}].',
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
    'The members have separate histories[ (seen on {path})][: {reason}]; they were used apart from each other.',
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
    'With the other drives complete, `locum window close --rebuild` rebuilds it from the frozen volume. ' +
      'Otherwise bring the right drive.',
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
    'Give a command of your own that does it, after `--`; LOCUM_DRIVE and LOCUM_IMAGE name the drive and the image to it.',
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

  // --- jobs ----------------------------------------------------------------------------------------------------------
  'job-running': entry(
    refused,
    'A {kind} is running on volume {volume}.',
    'Wait for it (`locum status --watch`), or stop it if it is a scrub.',
  ),
  'job-none': entry(
    notFound,
    'No {kind} of volume {volume} is running or remembered.',
    '`locum scrub start` starts one.',
  ),
  'volume-wrong-state': entry(
    refused,
    'This is not possible while volume {volume} is {state}[; it would have to be {wanted}].',
    '`locum status {volume}` shows what it is busy with and the next step.',
  ),

  // --- the server ----------------------------------------------------------------------------------------------------
  'server-unreachable': entry(
    noServer,
    'No server answers at {socket}[ ({reason})].',
    'Start one with `locum serve[ --state {state}]`, or name its state directory with `--state` or LOCUM_STATE.',
  ),
  'server-running': entry(
    refused,
    'A server is running already on {state}[ (pid {pid})].',
    'Use it, stop it, or give this one another `--state` directory.',
  ),
  'server-busy': entry(
    { httpStatus: 503, exitCode: exitCodes.failed, errno: EBUSY },
    'Too many requests[ for volume {volume}] are waiting[ ({waiting})][: {reason}].',
    'Try again in a moment.',
  ),
  'state-unusable': entry(
    failed,
    'The state directory[ {path}] cannot be used[: {reason}].',
    'Make room there, or make it writable, or give another one with `--state`. What is on the drives is not concerned.',
  ),
  'state-not-locked': entry(
    failed,
    'The state directory[ {path}] cannot be locked[: {reason}]. Without that, two servers could have the same drives.',
    'Give one with `--state` that is on a local file system. What is on the drives is not concerned.',
  ),
  'volume-list-damaged': entry(
    failed,
    'The list of volumes[ in {path}] is not readable.',
    'Move that file away, start the server, and assemble the volumes from their drives: `locum volume assemble --drive PATH …`. What is on the drives is not concerned.',
  ),
  'listen-failed': entry(
    failed,
    'The server cannot listen on {address}[: {reason}].',
    'Choose another address with `--listen`, or stop what uses this one.',
  ),
  'volume-stalled': entry(
    { httpStatus: 504, exitCode: exitCodes.failed, errno: ETIMEDOUT },
    'Volume {volume} has not answered for {waitedMs} ms.',
    'Look at `locum status {volume}` and the kernel log: a drive may hang. The request may still be carried out.',
  ),
  'volume-crashed': entry(
    failed,
    'The thread that served volume {volume} has stopped at a fault[: {reason}].',
    'Nothing acknowledged is lost. Restart the server to serve it again, and report the server log.',
  ),
  'request-invalid': entry(
    usage,
    'The request is not understood[: {reason}].',
    'See docs/commands.md for the form of requests.',
  ),
  'request-unknown': entry(
    { ...notFound, exitCode: exitCodes.failed },
    'The server does not know {method} {path}.',
    'The command line and the server may be of different versions: compare `locum --version` on both.',
  ),
  'wait-timeout': entry(
    { httpStatus: 504, exitCode: exitCodes.timedOut, errno: ETIMEDOUT },
    'Waiting was given up[ after {waited}]; what was waited for goes on[: {what}].',
    '`locum status --watch` follows it.',
  ),
  'io-error': entry(
    failed,
    'Reading or writing failed[ on {path}][: {what}][: {reason}][ (errno {errno})].',
    'Look at `locum status` and the kernel log for the drive concerned.',
  ),
  internal: entry(
    failed,
    'Locum failed in a way it should not[: {reason}].',
    'Please report this with the server log.',
  ),
};

/** What a placeholder says when the problem does not fill it. */
const defaultWords: Readonly<Record<string, string>> = {
  path: 'the drive',
  rollout: 'of that name',
  volumes: 'the volumes',
  volume: 'the volume',
  drive: 'the drive',
  leg: 'the leg',
  run: 'of that name',
  name: 'this',
  tool: 'for it',
  package: 'PACKAGE',
  image: 'that was given',
  task: 'This',
  other: 'another drive',
  level: 'this level',
  state: 'in its present state',
  kind: 'job',
  sizeBytes: 'too few',
  chunkBytes: 'that many',
  needed: 'more',
  least: 'more',
  given: 'fewer',
  socket: 'the control socket',
  address: 'that address',
  method: 'this',
  waitedMs: 'some',
};

function fill(template: string, detail: Problem['detail'], used: Set<string>): string {
  const known = (text: string): boolean =>
    [...text.matchAll(/\{(\w+)\}/g)].every(([, key]) => (detail[key!] ?? '') !== '');
  const value = (key: string): string => {
    used.add(key);
    const found = detail[key];
    if (found === undefined || found === '') return defaultWords[key] ?? 'unknown';
    return key.endsWith('Bytes') && typeof found === 'number' ? formatBytes(found) : String(found);
  };
  return template
    .replace(/\[([^\]]*)\]/g, (_, part: string) => (known(part) ? part : ''))
    .replace(/\{(\w+)\}/g, (_, key: string) => value(key));
}

export interface Explained {
  readonly message: string;
  readonly fix: string;
}

/** The sentence and the next step of a problem, with everything its detail knows. */
export function explain(problem: Problem): Explained {
  const { message, fix } = catalogue[problem.code];
  const blocking = (problem.checks ?? [])
    .filter(({ result }) => result === 'block')
    .map(({ id }) => id);
  const detail =
    blocking.length > 0 ? { ...problem.detail, blocking: blocking.join(', ') } : problem.detail;
  const used = new Set<string>();
  let sentence = fill(message, detail, used);
  const next = fill(fix, detail, used);
  const rest = Object.entries(detail).filter(
    ([key, value]) => key !== 'volume' && value !== '' && !used.has(key),
  );
  if (rest.length > 0) {
    const extra = rest
      .map(([key, value]) => (key === 'reason' ? String(value) : `${key}: ${value}`))
      .join(', ');
    sentence = `${sentence.replace(/\.$/, '')} (${extra}).`;
  }
  return { message: sentence, fix: next };
}
