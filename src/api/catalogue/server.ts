/** What is said of jobs, and of the server itself. The rules for sentences are in entry.ts. */

import { EBUSY, ETIMEDOUT } from '../../base/errno.ts';
import {
  type CataloguePart,
  entry,
  exitCodes,
  failed,
  noServer,
  notFound,
  refused,
  usage,
} from './entry.ts';

export const serverPart = {
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
} as const satisfies CataloguePart;
