/** How a drive comes back: known to the others by then, compared where it may have been changed, by its window alone. */

import { type Killer, type Mutant, unit } from './mutant.ts';

const simulated = (file: string, title: string): Killer => ({
  file: `tests/sim/${file}.test.js`,
  title,
});

export const returnBarriers: readonly Mutant[] = [
  {
    name: 'in-use-before-greeted',
    trap: 'B36',
    harm: 'A kill right after the return of a drive that was out for long leaves a volume that no start takes.',
    patches: [
      {
        file: 'src/engine/metadata.js',
        find: '#strangers() {',
        replace: '#strangers() {\n        return [];',
      },
    ],
    killers: [simulated('long-gone', 'RAID 1: a drive that was taken out is added again')],
  },
  {
    name: 'late-return-uncompared',
    trap: 'B37',
    harm: 'What a task did to a drive after the volume had gone on without it is read by hosts.',
    patches: [
      {
        file: 'src/engine/member-state.js',
        find: '=> doubts.has(reasonCode);',
        replace: '=> false;',
      },
    ],
    killers: [
      unit(
        'engine/late-return',
        'RAID 1: its task zeroed a part of it, and it is added by hand: all of it is rebuilt',
      ),
    ],
  },
  {
    name: 'written-is-different',
    trap: 'B38',
    harm: 'A stripe that hosts write while a drive is compared counts as a difference: all of it is rebuilt, with an alarm.',
    patches: [
      {
        file: 'src/engine/late-return.js',
        find: "if (one === 'differs' && isSame(v, stripe))",
        replace: "if (one === 'differs')",
      },
    ],
    killers: [
      unit(
        'engine/late-return',
        'hosts write where the comparison waits for its turn: no difference, that is what it missed',
      ),
    ],
  },
  {
    name: 'doubt-forgotten-in-rebuild',
    trap: 'B39',
    harm: 'A drive that was being compared, or is known to be wrong, comes back by a short resync when its rebuild was cut off.',
    patches: [
      {
        file: 'src/engine/member-state.js',
        find: "if (member.state === 'online' || !isDoubted(member))",
        replace: 'if (true)',
      },
    ],
    killers: [
      unit(
        'engine/late-return',
        'killed when the others know of its rebuild and it does not: added again, it is compared',
      ),
    ],
  },
  {
    name: 'failed-instead-of-away',
    trap: 'B41',
    harm: 'The drive of a window, added by hand, is read as it is after its task; or the end of its window ends the server.',
    patches: [
      {
        file: 'src/engine/failure.js',
        find: "if (v.mode === 'frozen' && member.slot === v.window?.slot)",
        replace: 'if (false)',
      },
    ],
    killers: [
      unit(
        'engine/unfrozen-drive',
        'RAID 1: the drive of a window that took no flush at the start is added by hand: not unseen',
      ),
    ],
  },
  {
    name: 'missing-leg-forgotten',
    trap: 'B44',
    harm: 'A start after a crash goes on without a leg; the next one finds it again, and redoes what only that leg has.',
    patches: [
      {
        file: 'src/engine/assemble-log.js',
        find: 'await log?.excludeMissing();',
        replace: 'void 0;',
      },
    ],
    killers: [
      unit(
        'engine/leg-back-with-images',
        'RAID 5, optimal: a leg that a start after a crash went without comes back with what only it has',
      ),
    ],
  },
  {
    name: 'older-images-redone',
    trap: 'B43',
    harm: 'The legs are lost in the middle of a redo, and places that had the newest are left with what they had before.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'await apply(newest.take(read.images))',
        replace: 'await apply(read.images)',
      },
    ],
    killers: [
      unit(
        'engine-log/stripe-log',
        'a redo that is cut short has put no older image over a newer one: of each place the newest is written',
      ),
    ],
  },
  {
    name: 'images-released-before-labels',
    trap: 'B45',
    harm: 'A start without lost images dies when they are released and no label says so: the next one takes parity for whole.',
    patches: [
      {
        file: 'src/engine/assemble.js',
        find: 'if (!v.halted)\n        await v.metadata.commit(); // 6',
        replace:
          'await releaseFound(v);\n    if (!v.halted)\n        await v.metadata.commit(); // 6',
      },
    ],
    killers: [
      unit(
        'engine/lost-images',
        'power fails in a start of an optimal volume that has lost images: their stripes are made to add up by the next one',
      ),
    ],
  },
];
