/** Barriers that a power cut shows only by chance, or that another one mostly covers: noticed by the order of operations. */

import { directed, type Mutant, unit } from './mutant.ts';

export const orderBarriers: readonly Mutant[] = [
  {
    name: 'cursor-before-flush',
    trap: 'B20',
    harm: 'After a power cut the replay goes on above stripes that never reached the members.',
    patches: [
      {
        file: 'src/engine/replayer.js',
        find: 'if ((await v.flushMembers()) !== OK)\n                return halted(v); // 4',
        replace: '',
      },
    ],
    killers: [
      directed('order', 'the cursor of a replay is on record only after the zone is flushed'),
    ],
  },
  {
    name: 'rebuild-cursor-before-flush',
    trap: 'B21',
    harm: 'After a power cut the new member counts where its data never reached it.',
    patches: [
      {
        file: 'src/engine/rebuild.js',
        find: 'if (!(await flushRebuilt(v, member)))\n                return;\n            recovery.saved',
        replace: 'recovery.saved',
      },
    ],
    killers: [
      directed(
        'order',
        'the cursor of a rebuild is on record only after what it has passed is flushed',
      ),
    ],
  },
  {
    name: 'intent-unflushed',
    trap: 'B22',
    harm: 'After a power cut a half-written region is not known to be one.',
    patches: [
      {
        file: 'src/engine/intent.js',
        find: 'if (flush && pages.size > 0)',
        replace: 'if (flush && pages.size > 1000)',
      },
    ],
    killers: [
      directed(
        'order',
        'the intent bit of a region is on stable storage before its first data, whoever set it',
      ),
    ],
  },
  {
    name: 'intent-believed-early',
    trap: 'B23',
    harm: 'A second write to a region does not wait for the bit that the first is still setting.',
    patches: [
      {
        file: 'src/engine/intent.js',
        find: 'this.#pendingRegions.push(region);',
        replace: 'this.#pendingRegions.push(region);\n            this.#durable[region] = 1;',
      },
    ],
    killers: [
      directed(
        'order',
        'the intent bit of a region is on stable storage before its first data, whoever set it',
      ),
    ],
  },
  {
    name: 'leg-header-at-once',
    trap: 'B24',
    harm: 'A power cut tears all copies of the header of a leg.',
    patches: [
      {
        file: 'src/engine/log/legs.js',
        find: 'const flushed = await drive.flush();\n        if (flushed !== OK)\n            return flushed;\n    }\n    return OK;',
        replace: '}\n    return await drive.flush();',
      },
    ],
    killers: [
      directed(
        'order',
        'the copies of the header of a leg are written two by two, a flush in between',
      ),
    ],
  },
  {
    name: 'absence-before-stripes',
    trap: 'B25',
    harm: 'A crash leaves a stripe changed without a member that no label calls absent.',
    patches: [
      {
        file: 'src/engine/stripe-write.js',
        find: 'for (let record = v.members.settled(); record !== null; record = v.members.settled())\n            await record;',
        replace: '',
      },
    ],
    killers: [
      directed(
        'order',
        'a stripe is changed without a member only after the absence of that member is on record',
      ),
    ],
  },
  {
    name: 'leaving-one-not-last',
    trap: 'B26',
    harm: 'A crash in the freeze leaves the drive that leaves as the only one that knows of the window.',
    patches: [
      {
        file: 'src/engine/window-freeze.js',
        find: 'await v.metadata.commit(member); // 4',
        replace: 'await v.metadata.commit(); // 4',
      },
    ],
    killers: [
      directed(
        'order',
        'the drive that leaves gets the label of a freeze after all others have it',
      ),
    ],
  },
  {
    name: 'checkpoint-in-replay',
    trap: 'B27',
    harm: 'A checkpoint in the replay forgets records that no label says are on the members.',
    patches: [
      {
        file: 'src/engine/window-replay.js',
        find: 'await v.log?.pauseCheckpoints();',
        replace: '',
      },
    ],
    killers: [directed('order', 'no checkpoint of the log is written while it is replayed')],
  },
  {
    name: 'legs-not-told-of-replay',
    trap: 'B28',
    harm: 'The members that a replay has changed are lost, and one as at the freeze is started without what they had.',
    patches: [
      {
        file: 'src/engine/replayer.js',
        find: 'await v.log?.beginReplay(); // 0',
        replace: 'void 0;',
      },
    ],
    killers: [
      unit(
        'engine/end-of-the-image',
        'thawing, killed, and the copy that goes on is lost: no start from the drive of the window',
      ),
    ],
  },
  {
    name: 'legs-told-before-labels',
    trap: 'B29',
    harm: 'A member is lost in the very labels that begin a replay, and the others are refused although they have everything.',
    patches: [
      {
        file: 'src/engine/window-replay.js',
        find: "v.mode = 'replaying';",
        replace: "v.mode = 'replaying';\n            await v.log?.beginReplay();",
      },
    ],
    killers: [
      unit(
        'engine/end-of-the-image',
        'the window ran out, and nothing of the replay has begun: the drive of the window is as good as before',
      ),
    ],
  },
  {
    name: 'images-redone-unflushed',
    trap: 'B30',
    harm: 'A power cut in a redo takes the image that a kill left in a cache, and leaves its stripe half-written.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'if (this.#pending > 0)\n            await this.#legs.flush();',
        replace: '',
      },
    ],
    killers: [
      unit(
        'engine-log/stripe-log',
        'killed before the flush of an image, and without power in the redo of it: it is redone again',
      ),
    ],
  },
  {
    name: 'resync-passes-over-rebuilding',
    trap: 'B31',
    harm: 'A write that a kill cut short is on one copy of a mirror, and the one whose rebuild had passed it stays as it was.',
    patches: [
      {
        file: 'src/engine/agree.js',
        find: 'const unusable = v.members.unusable(first);',
        replace: 'return v.members.absentMask;',
      },
    ],
    killers: [
      unit(
        'engine/resync-beside-rebuild',
        'a mirror, slot 1 being rebuilt, is killed in a write that only new has: the copies are made alike',
      ),
    ],
  },
  {
    name: 'halted-and-whole',
    trap: 'B32',
    harm: 'A write without an image halts the volume, and the label written meanwhile says that the stripe log makes it good.',
    patches: [
      {
        file: 'src/engine/volume-core.js',
        find: "if (this.halted && this.metadata.stripeLogWritten === 'void')",
        replace: 'if (false)',
      },
    ],
    killers: [
      unit(
        'engine/halted',
        'RAID 5: a drive is taken out while a write without images fails on another: no label calls the stripe log good',
      ),
    ],
  },
  {
    name: 'copies-in-doubt-shown',
    trap: 'B33',
    harm: 'A read shows one copy of a mirror that a crash left different, and when that one is lost the next read shows another.',
    patches: [
      {
        file: 'src/engine/read.js',
        find: 'const copiesInDoubt = (v, stripe) => v.resync !== null',
        replace: 'const copiesInDoubt = (v, stripe) => false',
      },
    ],
    killers: [
      unit(
        'engine/copies-in-doubt',
        'a mirror of 2, its resync slow: what a read has shown is there when the first copy is lost',
      ),
    ],
  },
  {
    name: 'clear-bits-in-doubt',
    trap: 'B34',
    harm: 'The intent bit of a region is cleared although the resync has yet to make it; the next start believes its parity.',
    patches: [
      {
        file: 'src/engine/intent.js',
        find: '&& unmade[region] === 0',
        replace: '',
      },
    ],
    killers: [
      directed(
        'order',
        'the intent bit of a region is cleared only when a power cut leaves it in sync, also while a resync is open',
      ),
      unit(
        'engine/resync-around',
        'a resync that waits for a host keeps its own place in doubt over starts, and nothing that was written meanwhile',
      ),
    ],
  },
  {
    name: 'clear-bits-unflushed',
    trap: 'B35',
    harm: 'After a power cut parity that a resync has made is old again, and its region is not marked.',
    patches: [
      {
        file: 'src/engine/intent.js',
        find: '(await this.#v.flushMembers()) !== OK || !this.#mayClear()',
        replace: '!this.#mayClear()',
      },
    ],
    killers: [
      directed(
        'order',
        'the intent bit of a region is cleared only when a power cut leaves it in sync, also while a resync is open',
      ),
    ],
  },
  {
    name: 'unsettled-shown',
    trap: 'B40',
    harm: 'A write that the last leg was lost in is answered with an error, a read shows what was before, and a start brings it back.',
    patches: [
      {
        file: 'src/engine/read.js',
        find: 'isUnsettled(v, offset, lengthBytes) ? UNSETTLED : await once()',
        replace: 'await once()',
      },
    ],
    killers: [
      unit(
        'engine/unsettled-writes',
        'a write: both legs hang, it is answered with an error, and found at the next start: no read had shown it gone',
      ),
    ],
  },
  {
    name: 'forced-parity-believed',
    trap: 'B42',
    harm: 'Started by force, what a crash left half-written below the cursor of a rebuild is made good by nobody.',
    patches: [
      {
        file: 'src/engine/assemble-log.js',
        find: 'v.resync = doubtBelow(v)',
        replace: 'v.resync = null',
      },
    ],
    killers: [
      unit(
        'engine/forced-rebuild',
        'killed in a write below the cursor of a rebuild, started by force, and it runs on: another drive may be lost later',
      ),
    ],
  },
];
