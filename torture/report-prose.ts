/** The parts of RELIABILITY.md that do not change from run to run: the promises, how to read it, where the method ends. */

import { table } from './report-tables.ts';

/** The parts that the promises below name. */
export const partsNamed: readonly string[] = [
  'simulator',
  'kill',
  'power',
  'prefixes',
  'exhaustive',
  'drives',
];

export const promises: readonly string[] = [
  '',
  '## What is promised, and how it is checked',
  '',
  ...table(
    ['', 'promise', 'checked by'],
    [
      [
        'P1',
        'A read returns what the last completed write stored, or an error, or waits.',
        'Every sector of 512 bytes names the write that it came from. Each read, under load and after every restart, is held against a record that is kept outside the server.',
      ],
      [
        'P2',
        'An acknowledged write survives `kill -9`; with FUA or before an acknowledged flush also a power cut.',
        'kill: the built server is killed under load. prefixes: it is started on every prefix of the writes that its drives received in a short life, and again with un-flushed ones dropped; power: on some prefixes of many lives. exhaustive: both, at every drive operation of short lives of the engine in the simulator.',
      ],
      [
        'P3',
        'One fault in any state loses nothing; in a window any one other member, or one leg of the log, may be lost as well.',
        'simulator, kill, drives: failures in every state, within that budget. The simulator also removes each member in turn and reads everything back.',
      ],
      [
        'P4',
        'Two faults with no surviving copy: exactly the affected blocks answer EIO.',
        'simulator: a second phase goes beyond the budget; what is read is right or refused.',
      ],
      [
        'P5',
        'No start by itself from stale, foreign, cloned or split members, nor without the log of an open window.',
        'kill: the log of an open window, or all of it but a leg that is behind, is withheld from a start, and stale members are put back before one. Directed tests and the simulator offer the other kinds.',
      ],
      [
        'P6',
        'Every unhealthy condition is visible in status within a second of its detection.',
        'simulator: at quiet points the status and its alarms are held against the drives themselves, on the virtual clock.',
      ],
      [
        'P7',
        'With no window open a volume is a plain Linux md array.',
        'kill: after its lives, each volume is assembled by the md driver of a Linux kernel, which counts mismatches and reads everything; the digest must be the one that the server read.',
      ],
    ],
  ),
];

export const reading: readonly string[] = [
  'Each cell counts how often a fault of the class struck while the volume was in the state; `·` is never. Not every cell',
  'can be filled: a log leg of an idle log cannot lose a record, and a halted volume does not write. A state with "2nd" has',
  'another member lost while one is away. `other` is any state that a part names in its own words, such as a stopped volume.',
];

export const limitsOfTheMethod: readonly string[] = [
  '- Drives here are image files and drives in memory. Volatile caches are modelled, not real; no real drive lost power.',
  '- Blocks have no checksums on the members. A drive that silently returns wrong data outside a window is found by a scrub,',
  '  as a mismatch, and not at the read; RAID 3 checks parity on reads.',
  '- The instant of a kill or of a system call in the built server is not repeatable from a seed; the simulator is.',
  '- One host architecture, one kernel, one version of Node: those of the table above.',
];

export const howToRun: readonly string[] = [
  '',
  '## Again',
  '',
  '```',
  'npm run torture -- --hours 2                      everything, two slices at a time',
  'npm run torture -- --hours 1 --only kill power    these parts only',
  'npm run torture -- --resume                       goes on after an interruption',
  '```',
  '',
  '`npm test` runs an everyday share of all of this. How the parts work: [testing](docs/testing.md).',
];
