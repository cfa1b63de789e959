/** What is said of names and arguments. The rules for sentences are in entry.ts. */

import { EEXIST, ENODEV } from '../../base/errno.ts';
import { type CataloguePart, entry, notFound, refused, usage } from './entry.ts';

export const namesPart = {
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
} as const satisfies CataloguePart;
