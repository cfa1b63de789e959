/** T1 to T8, T12, T14, T17: what may go wrong with the members of a volume and with what is on record about them. */

import { directed, type Mutant, unit } from './mutant.ts';

export const memberTraps: readonly Mutant[] = [
  {
    name: 'replay-without-after-image',
    trap: 'T1',
    harm: 'A kill in the middle of a replay with a second drive gone turns data of that drive into garbage.',
    patches: [
      {
        file: 'src/engine/volume-core.js',
        find: 'return this.limits.logDirect > 0 || degraded || replaying;',
        replace: 'return !replaying && (this.limits.logDirect > 0 || degraded);',
      },
    ],
    killers: [directed('stripes', 'T1: a kill in a replay onto a stripe that has a member absent')],
  },
  {
    name: 'modify-untrusted-parity',
    trap: 'T2',
    harm: 'Parity that a crash left wrong stays wrong, and the next drive to fail takes data with it.',
    patches: [
      {
        file: 'src/core/stripe-plan.js',
        find: 'const rmw = parityTrusted && circumstances.rmwAllowed &&',
        replace: 'const rmw = circumstances.rmwAllowed &&',
      },
    ],
    killers: [
      directed('stripes', 'T2: a small write to a stripe whose parity a crash left in doubt'),
    ],
  },
  {
    name: 'repair-while-frozen',
    trap: 'T3',
    harm: 'A frozen member is written to: the drive that is away no longer matches it, and may be refused.',
    patches: [
      {
        file: 'src/engine/read.js',
        find: "if (v.mode === 'frozen')\n        return;\n    if (!v.locks.tryLock(stripe))",
        replace: 'if (!v.locks.tryLock(stripe))',
      },
      {
        file: 'src/engine/member-errors.js',
        find: 'if (v.members.frozen || member.drive === null)',
        replace: 'if (member.drive === null)',
      },
      {
        file: 'src/engine/member-errors.js',
        find: 'v.members.writeData(member.slot, offset, address, lengthBytes)',
        replace: 'v.members.writeData(member.slot, offset, address, lengthBytes, true)',
      },
    ],
    killers: [
      directed(
        'members',
        'T3: an unreadable sector of a frozen member is served and left as it is',
      ),
    ],
  },
  {
    name: 'clear-bits-while-absent',
    trap: 'T4',
    harm: 'A drive that was out for a moment comes back without the writes it missed, and is believed.',
    patches: [
      {
        file: 'src/engine/intent.js',
        find: "=== 'direct' && !this.#v.degraded",
        replace: "=== 'direct'",
      },
      {
        file: 'src/engine/intent.js',
        find: 'this.eventsCleared = this.#v.metadata.events;',
        replace: '',
      },
    ],
    killers: [
      directed('members', 'T4: no bit of the intent bitmap is cleared while a member is absent'),
    ],
  },
  {
    name: 'events-stand-still',
    trap: 'T5',
    harm: 'A drive that was taken out has the same event count as those that went on, and counts as current.',
    patches: [
      {
        file: 'src/engine/metadata.js',
        find: 'if (!this.labelsOnly)\n            this.events++;',
        replace: 'if (!this.labelsOnly && !this.#v.degraded)\n            this.events++;',
      },
    ],
    killers: [directed('members', 'T5: events only rise, and no number is used twice')],
  },
  {
    name: 'release-before-flush',
    trap: 'T6',
    harm: 'The drive is pulled with writes in its cache; it comes back older than the freeze says.',
    patches: [
      {
        file: 'src/engine/window-freeze.js',
        find: 'if ((await v.flushMembers()) !== OK || !steady()) {',
        replace: 'if (!steady()) {',
      },
      {
        file: 'src/engine/metadata.js',
        find: 'if (errno === OK)\n                errno = await drive.flush();\n            this.noteCopy(drive',
        replace:
          "if (errno === OK && member.state !== 'away')\n                errno = await drive.flush();\n            this.noteCopy(drive",
      },
    ],
    killers: [directed('members', 'T6: a drive is let go with nothing left in its cache')],
  },
  {
    name: 'answer-before-kick',
    trap: 'T7',
    harm: 'After a crash the drive that missed an answered write is taken for current, and the write is gone.',
    patches: [
      {
        file: 'src/engine/write-members.js',
        find: 'if (settled !== null)\n            await settled; // 6',
        replace: '',
      },
    ],
    killers: [
      directed(
        'members',
        'T7: a member that missed a write is on record as out at the moment of the answer',
      ),
    ],
  },
  {
    name: 'believe-late-completion',
    trap: 'T8',
    harm: 'A drive that hung is used again when it answers at last, without the writes it missed meanwhile.',
    patches: [
      {
        file: 'src/io/deadline-drive.js',
        find: 'if (operation.expired) {\n            this.#unpin(operation);',
        replace:
          'if (operation.expired) {\n            this.#unpin(operation);\n            this.#fenced = errno !== 0;\n            if (errno === 0) this.#refusal = 0;',
      },
    ],
    killers: [directed('members', 'T8: the late answer of a hung write changes nothing')],
  },
  {
    name: 'retry-flush',
    trap: 'T12',
    harm: 'A second fdatasync says OK for pages that the kernel has thrown away: answered data is gone.',
    patches: [
      {
        file: 'src/engine/members.js',
        find: 'flushes.push(drive.flush().then((errno) => {',
        replace:
          'flushes.push(drive.flush().then((first) => (first === 0 ? 0 : drive.flush())).then((errno) => {',
      },
    ],
    killers: [
      unit(
        'engine/drives',
        'a flush that fails is final: the drive is out, the flush is answered by the others',
      ),
    ],
  },
  {
    name: 'half-the-labels',
    trap: 'T14',
    harm: 'A change of state is on record on half of the members; lose those, and it never happened.',
    patches: [
      {
        file: 'src/engine/metadata.js',
        find: 'await Promise.all(others.map(put));',
        replace: 'await Promise.all(others.slice(0, Math.ceil(others.length / 2)).map(put));',
      },
    ],
    killers: [directed('members', 'T14: every member carries every change of state')],
  },
  {
    name: 'start-older-half',
    trap: 'T17',
    harm: 'The half of a mirror that missed the last writes starts by itself and serves old data.',
    patches: [
      {
        file: 'src/core/assembly.js',
        find: 'if (unrecorded.length > 0 && !moving) {',
        replace: 'if (unrecorded.length > 0 && !moving && !level.mirrored) {',
      },
    ],
    killers: [unit('core/assembly', 'the older half of a mirror does not start by itself')],
  },
];
