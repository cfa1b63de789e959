/**
 * Checkpoints, condition by condition: header and body blocks of another epoch, checkpoint or place never fit in, and
 * a body that makes no sense is refused before it becomes an overlay.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BLOCK_BYTES } from '../../../../src/base/units.ts';
import {
  blocksTouched,
  bodyBlockIsValid,
  bodySeed,
  CheckpointBodyEncoder,
  type CheckpointHeader,
  type CheckpointIdentity,
  checkpointLayout,
  decodeBodyBlock,
  decodeCheckpoint,
  ENTRY_SECTORS_MAX,
  encodeCheckpoint,
} from '../../../../src/core/format/checkpoint.ts';
import { randomNumbers } from '../overlay/random-numbers.ts';
import { changed, everyBitFlipped, nonceOf, sealed, uuidOf } from './log-blocks.ts';

const identity: CheckpointIdentity = {
  logUuid: uuidOf('a'),
  volumeUuid: uuidOf('b'),
  epoch: 7,
  nonce: nonceOf(1),
};
const header: CheckpointHeader = {
  number: 2 ** 33,
  sequence: 500,
  headerCrc: 0xfedcba98,
  endBlocks: 70,
  run: 0xffee_ddcc_bbaa_9988n,
  committedThrough: 498,
  records: 900,
  entries: 40,
  bodyBlocks: 3,
};
const slotBytes = 4 * BLOCK_BYTES;

function blockOf(): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES).fill(0xa5);
  encodeCheckpoint(identity, header, block);
  return block;
}

const [DATA, ZERO, TRIM] = [1, 2, 3];
const at = checkpointLayout.fields;

describe('the header of a checkpoint', () => {
  test('survives the trip', () => {
    assert.deepEqual(decodeCheckpoint(identity, blockOf(), slotBytes), header);
  });

  test('any single bit that is wrong is noticed', () => {
    const block = blockOf();
    for (const bit of everyBitFlipped(block)) {
      assert.equal(decodeCheckpoint(identity, block, slotBytes), null, `bit ${bit}`);
    }
  });

  const wrong: Record<string, Uint8Array> = {
    'another magic': changed(blockOf(), { ...at.magic, lengthBytes: 1 }, 0x58),
    'another version': changed(blockOf(), at.version, 2),
    'reserved bytes in use': changed(blockOf(), at.reserved2, 1),
    'a body larger than its slot': changed(blockOf(), at.bodyBlocks, 4),
  };
  for (const [name, block] of Object.entries(wrong)) {
    test(`with a right checksum and ${name} is refused`, () => {
      assert.equal(decodeCheckpoint(identity, sealed(block), slotBytes), null);
    });
  }

  const others: Partial<CheckpointIdentity>[] = [
    { logUuid: uuidOf('c') },
    { volumeUuid: uuidOf('c') },
    { epoch: 6 },
    { nonce: nonceOf(2) },
  ];
  for (const other of others) {
    test(`of another ${Object.keys(other).join()} is refused`, () => {
      assert.equal(decodeCheckpoint({ ...identity, ...other }, blockOf(), slotBytes), null);
    });
  }
});

interface Entry {
  start: number;
  sectors: number;
  kind: number;
  location: number;
}

/** As many of the entries as fit, and how many did. The block lies in the middle of the buffer. */
function body(entries: readonly Entry[]): { bytes: Uint8Array; view: DataView; added: number } {
  const bytes = new Uint8Array(3 * BLOCK_BYTES).fill(0xa5);
  const view = new DataView(bytes.buffer);
  const encoder = new CheckpointBodyEncoder(bytes, view, (block) => (block * 2654435761) >>> 0);
  encoder.begin(BLOCK_BYTES);
  let added = 0;
  for (const { start, sectors, kind, location } of entries) {
    if (!encoder.add(start, sectors, kind, location)) break;
    added++;
  }
  encoder.finish(bodySeed(identity, 5, 2));
  return { bytes, view, added };
}

function read(view: DataView): { count: number; entries: Entry[]; crcs: [number, number][] } {
  const entries: Entry[] = [];
  const crcs: [number, number][] = [];
  const count = decodeBodyBlock(
    view,
    BLOCK_BYTES,
    (start, sectors, kind, location) => entries.push({ start, sectors, kind, location }),
    (block, crc) => crcs.push([block, crc]),
  );
  return { count, entries, crcs };
}

describe('a block of the body', () => {
  test('of chance entries gives back as many as it took, with the checksum of each block they touch', () => {
    const seed = Number(process.env['LOCUM_SEED'] ?? 21);
    console.log(`LOCUM_SEED=${seed}`);
    const below = randomNumbers(seed);
    for (let round = 0; round < 200; round++) {
      let next = below(2 ** 30) * 2 ** below(18);
      const entries: Entry[] = Array.from({ length: 400 }, () => {
        const start = next + below(50);
        const sectors = 1 + below(below(4) === 0 ? ENTRY_SECTORS_MAX : 40);
        next = start + sectors;
        return { start, sectors, kind: 1 + below(3), location: below(2 ** 31) };
      });
      const { bytes, view, added } = body(entries);
      assert.ok(added > 0 && added < entries.length, 'the block was filled');
      assert.ok(bodyBlockIsValid(bytes, view, BLOCK_BYTES, bodySeed(identity, 5, 2)));
      const got = read(view);
      assert.equal(got.count, added);
      assert.deepEqual(got.entries, entries.slice(0, added));
      const expected = entries.slice(0, added).flatMap(({ kind, location, sectors }) => {
        if (kind !== DATA) return [];
        const first = Math.floor(location / 8);
        const last = Math.floor((location + sectors - 1) / 8);
        return Array.from({ length: last - first + 1 }, (_, index) => first + index);
      });
      assert.deepEqual(
        got.crcs,
        expected.map((block) => [block, (block * 2654435761) >>> 0]),
      );
      assert.ok(
        bytes.subarray(0, BLOCK_BYTES).every((byte) => byte === 0xa5),
        'nothing before it',
      );
      assert.ok(
        bytes.subarray(2 * BLOCK_BYTES).every((byte) => byte === 0xa5),
        'nothing behind it',
      );
    }
  });

  test('fits only the checkpoint, the place and the window it was made for', () => {
    const { bytes, view } = body([{ start: 1, sectors: 1, kind: ZERO as number, location: 1 }]);
    const fits = (seed: number): boolean => bodyBlockIsValid(bytes, view, BLOCK_BYTES, seed);
    assert.ok(fits(bodySeed(identity, 5, 2)));
    assert.ok(!fits(bodySeed(identity, 6, 2)));
    assert.ok(!fits(bodySeed(identity, 5, 3)));
    assert.ok(!fits(bodySeed({ ...identity, epoch: 8 }, 5, 2)));
    assert.ok(!fits(bodySeed({ ...identity, nonce: nonceOf(2) }, 5, 2)));
  });

  test('any single bit that is wrong is noticed', () => {
    const { bytes, view } = body([{ start: 1, sectors: 20, kind: DATA as number, location: 4 }]);
    const seed = bodySeed(identity, 5, 2);
    const block = bytes.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES);
    for (const bit of everyBitFlipped(block)) {
      assert.ok(!bodyBlockIsValid(bytes, view, BLOCK_BYTES, seed), `bit ${bit}`);
    }
  });

  const spoilt: Record<string, (view: DataView) => void> = {
    'more entries than fit': (view) => view.setUint32(BLOCK_BYTES, 1000, true),
    'an entry without a kind': (view) => view.setUint16(BLOCK_BYTES + 4 + 6, 0, true),
    'an entry of an unknown kind': (view) => view.setUint16(BLOCK_BYTES + 4 + 6, 4, true),
    'an empty entry': (view) => view.setUint32(BLOCK_BYTES + 4 + 8, 0, true),
    'an entry with more checksums than fit': (view) =>
      view.setUint32(BLOCK_BYTES + 4 + 8, 8 * 1100, true),
  };
  for (const [name, spoil] of Object.entries(spoilt)) {
    test(`with ${name} makes no sense`, () => {
      const { view } = body([{ start: 1, sectors: 20, kind: DATA as number, location: 4 }]);
      assert.equal(read(view).count, 1);
      spoil(view);
      assert.equal(read(view).count, -1);
    });
  }

  test('that is full to the last entry has no other one behind it', () => {
    const entries = Array.from({ length: 300 }, (_, index) => ({
      start: 2 * index,
      sectors: 1,
      kind: ZERO as number,
      location: 0,
    }));
    const { view, added } = body(entries);
    assert.equal(added, 255);
    assert.equal(read(view).count, 255);
    view.setUint32(BLOCK_BYTES, 256, true);
    assert.equal(read(view).count, -1);
  });

  test('zeroes and trims carry no checksums, however long', () => {
    const entries = [
      { start: 1, sectors: 2 ** 31, kind: ZERO as number, location: 9 },
      { start: 2 ** 32, sectors: 2 ** 31, kind: TRIM as number, location: 9 },
    ];
    assert.deepEqual(read(body(entries).view), { count: 2, entries, crcs: [] });
  });

  test('sectors touch the blocks they begin and end in', () => {
    assert.equal(blocksTouched(0, 1), 1);
    assert.equal(blocksTouched(7, 1), 1);
    assert.equal(blocksTouched(7, 2), 2);
    assert.equal(blocksTouched(8, 8), 1);
    assert.equal(blocksTouched(9, 8), 2);
  });
});
