/** Sets of slots against the language's own sets, every set of up to eight members; and ranges against a flat array. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lengthOf, type Range, uncoveredIn } from '../../../../src/core/ranges.ts';
import {
  hasSlot,
  SLOT_COUNT_MAX,
  type SlotSet,
  slotCountOf,
  slotSetOf,
  withSlot,
} from '../../../../src/core/slot-set.ts';

const members = 6;
const masks = Array.from({ length: 2 ** members }, (_, mask) => mask as SlotSet);
const modelOf = (set: SlotSet): Set<number> =>
  new Set(Array.from({ length: members }, (_, slot) => slot).filter((slot) => (set >> slot) & 1));

test('each set holds its slots, and is made from them again', () => {
  for (const set of masks) {
    const model = modelOf(set);
    assert.equal(slotCountOf(set), model.size);
    assert.equal(slotSetOf(model), set);
    for (let slot = 0; slot < members; slot += 1) {
      assert.equal(hasSlot(set, slot), model.has(slot));
      assert.equal(withSlot(set, slot), slotSetOf([...model, slot]));
    }
  }
});

test('up to the most members there can be, without the sign', () => {
  const all = slotSetOf(Array.from({ length: SLOT_COUNT_MAX }, (_, slot) => slot));
  assert.equal(slotCountOf(all), SLOT_COUNT_MAX);
  assert.ok(all > 0 && hasSlot(all, SLOT_COUNT_MAX - 1) && !hasSlot(all, SLOT_COUNT_MAX));
  for (const slot of [-1, SLOT_COUNT_MAX]) assert.throws(() => slotSetOf([slot]), /out of range/);
});

test('what is left of a range, for every two ranges taken from every range', () => {
  const size = 6;
  const all: Range[] = [];
  for (let from = 0; from <= size; from += 1)
    for (let to = from; to <= size; to += 1) all.push({ from, to });
  assert.throws(() => uncoveredIn(3, 3, []), /nothing to take away/);
  for (const { from, to } of all.filter((range) => range.to > range.from)) {
    for (const a of all) {
      for (const b of all.filter((range) => range.from >= a.to)) {
        const covered = [a, b].filter((range) => range.to > range.from);
        const rest = uncoveredIn(from, to, covered);
        const expected: number[] = [];
        for (let at = from; at < to; at += 1)
          if (!covered.some((range) => range.from <= at && at < range.to)) expected.push(at);
        const got = rest.flatMap((range) =>
          Array.from({ length: range.to - range.from }, (_, index) => range.from + index),
        );
        assert.deepEqual(got, expected, `${from}-${to} without ${JSON.stringify(covered)}`);
        assert.equal(lengthOf(rest), expected.length);
        assert.ok(rest.every((range) => range.to > range.from));
      }
    }
  }
});
