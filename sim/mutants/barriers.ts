/** The ordered barriers of the design, beyond the twenty traps: one skipped or swapped in each mutant. */

import { directed, type Mutant, unit } from './mutant.ts';

export const barriers: readonly Mutant[] = [
  {
    name: 'label-before-data',
    trap: 'B1',
    harm: 'A power cut in the freeze leaves labels that say frozen over data that never reached the drives.',
    patches: [
      {
        file: 'src/engine/window-freeze.js',
        find: 'if ((await v.flushMembers()) !== OK || !steady()) {',
        replace: 'if (!steady()) {',
      },
    ],
    killers: [directed('barriers', 'the power fails at any moment of a freeze')],
  },
  {
    name: 'committed-ahead-of-flush',
    trap: 'B2',
    harm: 'The log swears to records that a power cut took, and refuses itself as damaged.',
    patches: [
      {
        file: 'src/engine/log/sync-group.js',
        find: 'const done = await this.#legs.flush();',
        replace:
          'this.committedThrough = sequence;\n        const done = await this.#legs.flush();',
      },
    ],
    killers: [
      directed(
        'barriers',
        'what a flush has not reached is not called committed by the records behind it',
      ),
    ],
  },
  {
    name: 'taken-back-before-verified',
    trap: 'B3',
    harm: 'A drive with other contents is on record as back before the comparison with the survivors has ended.',
    patches: [
      {
        file: 'src/engine/window-return.js',
        find: 'member.superblock = identity.superblock;\n        return verify(v, member, request);',
        replace:
          "member.superblock = identity.superblock;\n        void verify(v, member, request);\n        return done('returned');",
      },
    ],
    killers: [
      directed(
        'barriers',
        'a drive is compared with the others to the end before it is on record as back',
      ),
    ],
  },
  {
    name: 'labels-before-log-header',
    trap: 'B4',
    harm: 'A crash in the freeze leaves an open window whose log has never heard of it.',
    patches: [
      {
        file: 'src/engine/window-freeze.js',
        find: "if ((await log.beginEpoch(id)) !== OK)\n            return refuse('io-error', { what: 'the log' }); // 3",
        replace: '',
      },
      {
        file: 'src/engine/window-freeze.js',
        find: 'factsOf(v, member, request, id, log.epoch)',
        replace: 'factsOf(v, member, request, id, log.epoch + 1)',
      },
      {
        file: 'src/engine/window-freeze.js',
        find: 'v.metadata.log.epoch = log.epoch;',
        replace: 'v.metadata.log.epoch = log.epoch + 1;',
      },
      {
        file: 'src/engine/window-freeze.js',
        find: 'await v.metadata.commit(member); // 4',
        replace: 'await v.metadata.commit(member);\n            await log.beginEpoch(id);',
      },
    ],
    killers: [directed('barriers', 'the power fails at any moment of a freeze')],
  },
  {
    name: 'answer-before-leg-record',
    trap: 'B5',
    harm: 'After a restart the leg that missed answered records is taken for complete.',
    patches: [
      {
        file: 'src/engine/log/legs.js',
        find: 'await this.settled();\n        return targets.some(',
        replace: 'return targets.some(',
      },
    ],
    killers: [
      unit(
        'engine-log/leg-failure',
        'the failure is recorded on the other leg, and told, before the write it missed is answered',
      ),
    ],
  },
  {
    name: 'journal-unflushed',
    trap: 'B6',
    harm: 'A power cut has the stripe half-written and its after-image not at all.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'const done = (await this.#legs.write(offset, parts)) && (await this.#legs.flush());',
        replace: 'const done = await this.#legs.write(offset, parts);',
      },
    ],
    killers: [
      directed('barriers', 'the power fails at any moment of a write to a degraded volume'),
    ],
  },
  {
    name: 'one-label-copy',
    trap: 'B7',
    harm: 'A label torn by a power cut is the only one there was.',
    patches: [
      {
        file: 'src/core/format/label-codec.js',
        find: '(sequence % 2 === 1 ? 0 : 1)',
        replace: '0 * sequence',
      },
    ],
    killers: [
      directed(
        'barriers',
        'the two copies of the label are written in turn, so that one is always whole',
      ),
    ],
  },
  {
    name: 'release-unrecorded',
    trap: 'B8',
    harm: 'After a crash old after-images are redone over newer data.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'if (this.#legs.header.stripesReleasedThrough < through) {',
        replace: 'if (this.#legs.header.stripesReleasedThrough < through && through < 0) {',
      },
      {
        file: 'src/engine/assemble-log.js',
        find: "if (decision.stripeLog === 'void') {",
        replace: 'if (false) {',
      },
    ],
    killers: [
      directed(
        'barriers',
        'after-images of a degraded volume are forgotten before a write that is not logged',
      ),
    ],
  },
  {
    name: 'log-gone-before-labels',
    trap: 'B9',
    harm: 'A crash while a window closes leaves labels that ask for a log that has been forgotten.',
    patches: [
      {
        file: 'src/engine/window-replay.js',
        find: 'refreshLogRecord(v);\n            await v.metadata.commit();',
        replace:
          'refreshLogRecord(v);\n            await v.log?.endEpoch();\n            await v.metadata.commit();',
      },
    ],
    killers: [
      directed(
        'barriers',
        'the power fails at any moment of a replay and of the end of the window',
      ),
    ],
  },
  {
    name: 'fua-unflushed',
    trap: 'B10',
    harm: 'A write with FUA is gone after a power cut.',
    patches: [
      {
        file: 'src/engine/write.js',
        find: 'if (errno === OK && fua)\n                errno = await flush(v); // 7',
        replace: '',
      },
    ],
    killers: [
      directed('barriers', 'a write with FUA survives the power, direct, degraded and frozen'),
    ],
  },
  {
    name: 'flush-joins-running',
    trap: 'B11',
    harm: 'A flush is answered by one that began before the write it should cover.',
    patches: [
      {
        file: 'src/engine/volume-core.js',
        find: 'this.#flushNext ??= this.#flushing.then(() => {',
        replace:
          'if (this.#flushing !== null) return this.#flushing;\n        this.#flushNext ??= this.#flushing.then(() => {',
      },
    ],
    killers: [
      directed(
        'barriers',
        'a flush covers what was answered before it, also while another one is running',
      ),
    ],
  },
  {
    name: 'sync-joins-running',
    trap: 'B12',
    harm: 'A flush in a window is answered by one that began before the write it should cover.',
    patches: [
      {
        file: 'src/engine/log/sync-group.js',
        find: 'if (this.#covers >= sequence)',
        replace: 'if (this.#covers >= 0)',
      },
    ],
    killers: [
      directed(
        'barriers',
        'a flush covers what was answered before it, also while another one is running',
      ),
    ],
  },
  {
    name: 'no-redo',
    trap: 'B13',
    harm: 'After a crash in a degraded volume half-written stripes stay half-written.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'const errno = await apply(newest.take(read.images));',
        replace: 'const errno = apply.length > 9 ? await apply(newest.take(read.images)) : OK;',
      },
    ],
    killers: [
      directed('barriers', 'the power fails at any moment of a write to a degraded volume'),
    ],
  },
  {
    name: 'write-into-held-zone',
    trap: 'B14',
    harm: 'A write to a zone that is being finished goes to the log after the replay has looked there, and is forgotten with it.',
    patches: [
      {
        file: 'src/engine/write-log.js',
        find: 'while (stripe >= v.cursor && stripe < v.holdBelow) {',
        replace: 'while (stripe < 0) {',
      },
    ],
    killers: [directed('barriers', 'host writes into the zone that the replay is about to finish')],
  },
  {
    name: 'freeze-without-drain',
    trap: 'B15',
    harm: 'A write that was under way at the freeze changes members that are frozen already.',
    patches: [
      {
        file: 'src/engine/gate.js',
        find: 'if (this.#inside > 0)\n            await',
        replace: 'if (this.#inside > 1000)\n            await',
      },
    ],
    killers: [
      directed('barriers', 'writes that are under way when the freeze begins end before it'),
    ],
  },
  {
    name: 'window-bit-missing',
    trap: 'B16',
    harm: 'A kernel that finds the drives in a window assembles the old image and writes to it.',
    patches: [
      {
        file: 'src/engine/metadata.js',
        find: 'if (windowOpen)\n            features += FEATURE_LOCUM_WINDOW;',
        replace: '',
      },
    ],
    killers: [
      directed(
        'barriers',
        'in a window every superblock carries the bit that md does not know; after it none does',
      ),
    ],
  },
  {
    name: 'punch-unlogged',
    trap: 'B17',
    harm: 'Zeroes punched without being in the stripe log are undone by the redo of an older image after a crash.',
    patches: [
      {
        file: 'src/engine/zero.js',
        find: 'return await inPlace(v, images, async () => {',
        replace: 'return await ((_v, _images, act) => act())(v, images, async () => {',
      },
    ],
    killers: [
      directed('barriers', 'a stripe is written, zeroed or trimmed, and the server is killed'),
    ],
  },
  {
    name: 'hung-buffer-reused',
    trap: 'B18',
    harm: 'A write that hangs lands late with what somebody else has put into its buffer since.',
    patches: [
      {
        file: 'src/io/deadline-drive.js',
        find: 'operation.expired = true;\n            this.#pin(operation);',
        replace: 'operation.expired = true;',
      },
      {
        file: 'src/io/deadline-drive.js',
        find: 'this.#unpin(operation);\n            return;',
        replace: 'return;',
      },
    ],
    killers: [
      unit(
        'io/deadline-drive',
        'buffers of expired operations are held back until the late completion',
      ),
    ],
  },
  {
    name: 'journal-kept-when-whole',
    trap: 'B19',
    harm: 'The stripe log is neither emptied before writes that are not logged nor void: a crash redoes old images over them.',
    patches: [
      {
        file: 'src/engine/rebuild.js',
        find: 'if (!v.degraded && v.log)\n            await v.log.stripes.releaseAll();',
        replace: '',
      },
      {
        file: 'src/engine/assemble-log.js',
        find: "if (decision.stripeLog === 'void') {",
        replace: 'if (false) {',
      },
    ],
    killers: [
      directed(
        'barriers',
        'after-images of a degraded volume are forgotten before a write that is not logged',
      ),
    ],
  },
];
