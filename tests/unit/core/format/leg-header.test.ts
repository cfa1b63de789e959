/**
 * The header of a log leg, condition by condition: what the checksum does not notice is refused all the same. A header
 * taken for valid when it is not would make a stale leg the truth.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BLOCK_BYTES, GIB, KIB, MIB } from '../../../../src/base/units.ts';
import { NIL_UUID, writeUuid } from '../../../../src/base/uuid.ts';
import {
  decodeLegHeader,
  encodeLegHeader,
  LEGS_MAX,
  type LogHeader,
  legHeaderLayout,
  looksLikeLegHeader,
} from '../../../../src/core/format/leg-header.ts';
import {
  LEG_BYTES_MAX,
  LEG_BYTES_MIN,
  type LegLayout,
  layoutFor,
  layoutIsSound,
} from '../../../../src/core/format/leg-header-layout.ts';
import { changed, everyBitFlipped, nonceOf, sealed, uuidOf } from './log-blocks.ts';

const layout = layoutFor(64 * MIB) as LegLayout;
const header: LogHeader = {
  logUuid: uuidOf('a'),
  volumeUuid: uuidOf('b'),
  volumeName: 'archive',
  sequence: 2 ** 40 + 12,
  layout,
  epoch: 3,
  state: 'logging',
  nonce: nonceOf(1),
  stripeNonce: nonceOf(9),
  stripesReleasedThrough: 99,
  windowId: uuidOf('c'),
  legs: [
    { uuid: uuidOf('d'), state: 'online' },
    { uuid: uuidOf('e'), state: 'failed' },
  ],
};

function blockOf(of: LogHeader = header, legIndex = 1): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES).fill(0xa5);
  encodeLegHeader(of, legIndex, block);
  return block;
}

const at = legHeaderLayout.fields;
const row = (index: number): number => at.table.offset + 24 * index;

describe('a leg header', () => {
  for (const legs of [1, 2, 3, LEGS_MAX]) {
    for (const state of ['idle', 'logging', 'replaying'] as const) {
      test(`of ${legs} legs, ${state}, survives the trip on each of them`, () => {
        const own: LogHeader = {
          ...header,
          state,
          windowId: state === 'idle' ? NIL_UUID : header.windowId,
          legs: Array.from({ length: legs }, (_, index) => ({
            uuid: uuidOf(String(index + 1)),
            state: index % 2 === 1 ? 'failed' : 'online',
          })),
        };
        for (let legIndex = 0; legIndex < legs; legIndex++) {
          assert.deepEqual(decodeLegHeader(blockOf(own, legIndex)), { ...own, legIndex });
        }
      });
    }
  }

  test('nothing of an earlier use of the buffer gets into the block', () => {
    const zeroed = new Uint8Array(BLOCK_BYTES);
    encodeLegHeader(header, 1, zeroed);
    assert.deepEqual(blockOf(), zeroed);
  });

  test('any single bit that is wrong is noticed', () => {
    const block = blockOf();
    for (const bit of everyBitFlipped(block))
      assert.equal(decodeLegHeader(block), null, `bit ${bit}`);
    assert.notEqual(decodeLegHeader(block), null);
  });

  const wrong: Record<string, Uint8Array> = {
    'another version': changed(blockOf(), at.version, 2),
    'reserved bytes in use': changed(blockOf(), at.reserved1, 1),
    'a sequence beyond 2^53': changed(blockOf(), at.sequence, 2 ** 60),
    'no leg': changed(blockOf(), at.legCount, 0),
    'more legs than the table has rows': changed(blockOf(), at.legCount, LEGS_MAX + 1),
    'an index that is not in the table': changed(blockOf(), at.legIndex, 2),
    'a row of the table that is of another leg': changed(blockOf(), at.legIndex, 0),
    'a state it does not know': changed(blockOf(), at.state, 3),
    'areas that overlap': changed(blockOf(), at.recordsOffset, layout.checkpointOffset),
  };
  for (const [name, block] of Object.entries(wrong)) {
    test(`with a right checksum and ${name} is refused`, () => {
      assert.equal(decodeLegHeader(sealed(block)), null);
    });
  }

  test('with a right checksum and an unknown state of a leg is refused, whichever leg it is', () => {
    for (const index of [0, 1]) {
      const block = blockOf();
      block[row(index) + 16] = 2;
      assert.equal(decodeLegHeader(sealed(block)), null);
    }
  });

  test('the row of another leg may say anything valid about it', () => {
    const block = blockOf();
    writeUuid(uuidOf('f'), block, row(0));
    assert.equal(decodeLegHeader(sealed(block))?.legs[0]?.uuid, uuidOf('f'));
  });

  test('a newer version is no blank: the magic is still there', () => {
    const block = sealed(changed(blockOf(), at.version, 2));
    assert.ok(looksLikeLegHeader(block));
    assert.equal(decodeLegHeader(block), null);
    assert.ok(!looksLikeLegHeader(new Uint8Array(BLOCK_BYTES)));
    block[7]! ^= 1;
    assert.ok(!looksLikeLegHeader(block));
  });
});

describe('where things lie on a leg', () => {
  test('below the smallest leg there is no layout', () => {
    assert.equal(layoutFor(LEG_BYTES_MIN - 1), null);
    assert.notEqual(layoutFor(LEG_BYTES_MIN), null);
  });

  test('every size has a sound layout that covers the leg, up to the largest that can be addressed', () => {
    for (const bytes of [
      LEG_BYTES_MIN,
      LEG_BYTES_MIN + 511,
      64 * MIB + 4 * KIB,
      GIB,
      LEG_BYTES_MAX,
      2 * LEG_BYTES_MAX,
    ]) {
      const of = layoutFor(bytes) as LegLayout;
      assert.ok(layoutIsSound(of), `${bytes}`);
      const used = Math.min(bytes, LEG_BYTES_MAX);
      assert.equal(of.capacityBytes, used - (used % BLOCK_BYTES));
      assert.equal(of.recordsOffset + of.recordsBytes, of.capacityBytes);
    }
  });

  const unsound: Record<string, Partial<LegLayout>> = {
    'a size that is no number': { capacityBytes: Number.NaN },
    'an empty slot': { slotBytes: 0 },
    'a slot that is not aligned': { slotBytes: layout.slotBytes + 512 },
    'a stripe area without two equal halves': { stripesBytes: layout.stripesBytes - BLOCK_BYTES },
    'a record area that is not aligned': { recordsBytes: layout.recordsBytes - 512 },
    'no record area': { recordsBytes: 0 },
    'a stripe area on the copies of the header': { stripesOffset: 3 * BLOCK_BYTES },
    'checkpoints in the stripe area': { checkpointOffset: layout.checkpointOffset - BLOCK_BYTES },
    'records in the second slot': { recordsOffset: layout.recordsOffset - BLOCK_BYTES },
    'records beyond the end': { recordsBytes: layout.recordsBytes + BLOCK_BYTES },
    'more than can be addressed': { capacityBytes: LEG_BYTES_MAX + BLOCK_BYTES },
  };
  for (const [name, part] of Object.entries(unsound)) {
    test(`${name} is not sound`, () => {
      assert.ok(layoutIsSound(layout));
      assert.ok(!layoutIsSound({ ...layout, ...part }));
    });
  }
});
