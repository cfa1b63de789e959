/** T9 to T11, T13, T15, T16, T18 to T20: what may go wrong with the log, with the way of a request, and with its buffers. */

import { directed, type Mutant, unit } from './mutant.ts';

export const dataTraps: readonly Mutant[] = [
  {
    name: 'log-without-epoch',
    trap: 'T9',
    harm: 'Records of an earlier window come back to life at the end of this one and overwrite newer data.',
    patches: [
      {
        file: 'src/engine/log/log-areas.js',
        find: 'identityBytes({ ...header, area: AREA_RECORDS })',
        replace:
          'identityBytes({ ...header, area: AREA_RECORDS, epoch: 0, nonce: new Uint8Array(8) })',
      },
    ],
    killers: [
      unit(
        'engine-log/window-log',
        'a log begins idle and goes through epochs; records of an older one never count',
      ),
      unit(
        'engine-log/damage',
        'garbage, zeroes, an older epoch and a foreign log behind the end are not records',
      ),
    ],
  },
  {
    name: 'cut-at-first-bad-record',
    trap: 'T10',
    harm: 'One damaged record silently takes every answered write behind it along.',
    patches: [
      {
        file: 'src/engine/log/recover-records.js',
        find: 'if (this.#committed <= sequence)\n            return null;',
        replace: 'return null;',
      },
    ],
    killers: [
      unit(
        'engine-log/damage',
        'a segment that was flushed and has no header on any leg is damage, never the end of the log',
      ),
    ],
  },
  {
    name: 'flush-one-connection',
    trap: 'T11',
    harm: 'A FLUSH on one connection does not cover what another one wrote: a database loses its commit.',
    patches: [
      {
        file: 'src/nbd/executor.js',
        find: 'const fua = (request.flags & protocol.COMMAND_FLAG_FUA) !== 0 && addresses.length === 1;',
        replace:
          'this.written = true;\n        const fua = (request.flags & protocol.COMMAND_FLAG_FUA) !== 0 && addresses.length === 1;',
      },
      {
        file: 'src/nbd/executor.js',
        find: 'case protocol.COMMAND_FLUSH:',
        replace:
          'case protocol.COMMAND_FLUSH:\n                if (!this.written) return this.answer(request, 0);',
      },
    ],
    killers: [directed('requests', 'T11: a flush on one connection covers the writes of another')],
  },
  {
    name: 'skip-flush-before-release',
    trap: 'T13',
    harm: 'The after-image of a stripe is overwritten while the stripe itself is only in a cache: the power cut has both.',
    patches: [
      {
        file: 'src/engine/log/stripe-log.js',
        find: 'const errno = await this.flushMembers();',
        replace: 'const errno = OK;',
      },
    ],
    killers: [
      unit(
        'engine-log/stripe-log',
        'halves take turns: a half is used again only after its images are applied and the members flushed',
      ),
    ],
  },
  {
    name: 'padding-from-the-pool',
    trap: 'T15',
    harm: 'What another client wrote a moment ago ends up in the padding of a record.',
    patches: [
      {
        file: 'src/engine/log/payload-parts.js',
        find: 'parts.push({ address: zeroes, lengthBytes: padBytes });',
        replace: 'parts.push({ address: address + lengthBytes, lengthBytes: padBytes });',
      },
      {
        file: 'src/engine/log/payload-parts.js',
        find: 'crc = crc32(bytes.subarray(zeroes, zeroes + padBytes), crc);',
        replace: 'crc = crc32(bytes.subarray(end, end + padBytes), crc);',
      },
    ],
    killers: [
      unit(
        'engine-log/window-log',
        'the padding of a short record is zeroes, never what the buffer held before',
      ),
    ],
  },
  {
    name: 'reuse-buffer-in-flight',
    trap: 'T16',
    harm: 'The next request is received into a buffer that a drive is still writing from: torn data, answered as good.',
    patches: [
      {
        file: 'src/nbd/executor.js',
        find: 'if (request.donePieces < request.begunPieces)\n            return;',
        replace: '',
      },
    ],
    killers: [
      directed('requests', 'T16: a long write keeps its buffers until its last piece is written'),
    ],
  },
  {
    name: 'stale-read-in-replay',
    trap: 'T18',
    harm: 'While the log is replayed reads return what was there before the window.',
    patches: [
      {
        file: 'src/engine/read.js',
        find: "if (v.mode === 'direct')\n        return readBase",
        replace: "if (v.mode === 'direct' || v.mode === 'replaying')\n        return readBase",
      },
    ],
    killers: [
      directed('stripes', 'T18: reads while the log is replayed, before and behind the cursor'),
    ],
  },
  {
    name: 'zeroes-pass-the-log',
    trap: 'T19',
    harm: 'A range that was zeroed during a replay gets back what the log still had for it.',
    patches: [
      {
        file: 'src/engine/zero.js',
        find: "const errno = v.mode === 'direct'",
        replace: "const errno = v.mode === 'direct' || v.mode === 'replaying'",
      },
    ],
    killers: [directed('stripes', 'T19: zeroes over what the log has not replayed yet')],
  },
  {
    name: 'merge-with-unreadable-base',
    trap: 'T20',
    harm: 'A few bytes are merged with sectors that could not be read, and the garbage is stored as data.',
    patches: [
      {
        file: 'src/engine/write.js',
        find: 'if (got !== OK)\n                return got;',
        replace: '',
      },
    ],
    killers: [
      directed(
        'requests',
        'T20: bytes within a sector that cannot be read; a whole sector needs no base',
      ),
    ],
  },
];
