/** The descriptors against the formulas of md's layouts, and what a user may ask for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_MEMBERS, NONE } from '../../../../src/core/levels/descriptor.ts';
import { levelByNumber, levelOfMd, levels } from '../../../../src/core/levels/index.ts';

const KIB = 1024;

function level(number: number): NonNullable<ReturnType<typeof levelByNumber>> {
  const found = levelByNumber(number);
  assert.ok(found);
  return found;
}

test('levels are found by number', () => {
  assert.deepEqual(
    levels.map(({ number }) => number),
    [1, 3, 4, 5],
  );
  for (const number of [-1, 0, 2, 6, 10, Number.NaN, 5.5])
    assert.equal(levelByNumber(number), null);
});

test('levels are found by what md says', () => {
  assert.equal(levelOfMd(1, 0, 0)?.number, 1);
  assert.equal(levelOfMd(4, 0, 4 * KIB)?.number, 3);
  assert.equal(levelOfMd(4, 0, 4 * KIB, 4)?.number, 4);
  assert.equal(levelOfMd(4, 0, 64 * KIB)?.number, 4);
  assert.equal(levelOfMd(4, 0, 64 * KIB, 3), null);
  assert.equal(levelOfMd(5, 2, 512 * KIB)?.number, 5);
  assert.equal(levelOfMd(5, 0, 64 * KIB), null, 'left-asymmetric');
  assert.equal(levelOfMd(5, 2, 2 * KIB), null, 'chunk too small');
  assert.equal(levelOfMd(5, 2, 2048 * KIB), null, 'chunk too large');
  assert.equal(levelOfMd(5, 2, 0), null);
  assert.equal(levelOfMd(1, 0, 64 * KIB), null);
  assert.equal(levelOfMd(6, 2, 64 * KIB), null);
});

test('every level is found again by its own md numbers', () => {
  for (const one of levels) {
    const found = levelOfMd(
      one.mdLevel,
      one.mdLayout,
      one.mdChunkBytes(one.defaultChunkBytes),
      one.number,
    );
    assert.equal(found, one);
    assert.ok(one.chunkBytesAllowed(one.defaultChunkBytes));
  }
});

test('chunk sizes that a user may ask for', () => {
  for (const number of [4, 5]) {
    for (let chunkBytes = 4 * KIB; chunkBytes <= 1024 * KIB; chunkBytes *= 2) {
      assert.ok(level(number).chunkBytesAllowed(chunkBytes));
    }
    for (const chunkBytes of [0, 512, 2 * KIB, 5 * KIB, 12 * KIB, 2048 * KIB, -4096, Number.NaN]) {
      assert.equal(level(number).chunkBytesAllowed(chunkBytes), false, String(chunkBytes));
    }
  }
  assert.ok(level(3).chunkBytesAllowed(4 * KIB));
  assert.equal(level(3).chunkBytesAllowed(8 * KIB), false);
});

test('what each level tolerates and how much of it is data', () => {
  for (let members = 3; members <= MAX_MEMBERS; members += 1) {
    assert.equal(level(1).tolerates(members), members - 1);
    assert.equal(level(1).dataChunks(members), 1);
    for (const number of [3, 4, 5]) {
      assert.equal(level(number).tolerates(members), 1);
      assert.equal(level(number).dataChunks(members), members - 1);
    }
  }
});

test('the slots of a stripe are a permutation, and the reverse agrees', () => {
  for (const one of levels.filter(({ mirrored }) => !mirrored)) {
    for (let members = one.minMembers; members <= MAX_MEMBERS; members += 1) {
      for (const stripe of [
        0,
        1,
        2,
        members - 1,
        members,
        7 * members + 3,
        2 ** 31 + 5,
        2 ** 40 + 1,
      ]) {
        const slots = [one.paritySlot(stripe, members) as number];
        for (let index = 0; index < one.dataChunks(members); index += 1) {
          const slot = one.dataSlot(stripe, index, members);
          assert.equal(one.indexOfSlot(stripe, slot, members), index);
          slots.push(slot);
        }
        assert.equal(one.indexOfSlot(stripe, slots[0] as number, members), NONE);
        slots.sort((a, b) => a - b);
        assert.deepEqual(
          slots,
          Array.from({ length: members }, (_, slot) => slot),
        );
      }
    }
  }
});

test('RAID 4 and 3 keep parity on the last member, data chunk i on member i', () => {
  for (const number of [3, 4]) {
    for (let stripe = 0; stripe < 20; stripe += 1) {
      assert.equal(level(number).paritySlot(stripe, 5), 4);
      for (let index = 0; index < 4; index += 1)
        assert.equal(level(number).dataSlot(stripe, index, 5), index);
    }
  }
});

test('RAID 5 is left-symmetric', () => {
  // As `mdadm` lays four members out: one row per stripe, one letter per member.
  const drawn = ['A B C P', 'E F P D', 'I P G H', 'P J K L'];
  const names = 'ABCDEFGHIJKL';
  const rows: string[] = [];
  let next = 0;
  for (let stripe = 0; stripe < 4; stripe += 1) {
    const row = new Array<string>(4).fill('?');
    row[level(5).paritySlot(stripe, 4)] = 'P';
    for (let index = 0; index < 3; index += 1) {
      row[level(5).dataSlot(stripe, index, 4)] = names[next] as string;
      next += 1;
    }
    rows.push(row.join(' '));
  }
  assert.deepEqual(rows, drawn);
  for (let members = 3; members <= 8; members += 1) {
    for (let stripe = 0; stripe < 50; stripe += 1) {
      const parity = members - 1 - (stripe % members);
      assert.equal(level(5).paritySlot(stripe, members), parity);
      for (let index = 0; index < members - 1; index += 1) {
        assert.equal(level(5).dataSlot(stripe, index, members), (parity + 1 + index) % members);
      }
    }
  }
});

test('every member of a mirror holds data chunk 0 of every stripe', () => {
  for (const members of [2, 5, MAX_MEMBERS])
    for (let slot = 0; slot < members; slot += 1)
      assert.equal(level(1).indexOfSlot(2 ** 40 + 1, slot, members), 0);
});
