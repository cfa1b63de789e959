/** The ledger that judges the torture run: it passes what may be there, and nothing else. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { SectorLedger, sectorBytes } from '../support/sector-ledger.ts';

const zeroes = (count: number): Buffer => Buffer.alloc(count * sectorBytes);

test('what was acknowledged must be there, and nothing else may be', () => {
  const ledger = new SectorLedger(16);
  const before = ledger.begin('data', 0, 4);
  ledger.answered(before);
  const after = ledger.begin('data', 0, 4);
  ledger.answered(after);
  assert.deepEqual(ledger.settle(0, ledger.contents(after)), []);
  assert.equal(ledger.settle(0, ledger.contents(before)).length, 4, 'an older version');
  assert.equal(ledger.settle(0, zeroes(4)).length, 4, 'lost');
  assert.equal(ledger.settle(1, ledger.contents(after)).length, 4, 'misplaced');
  const mixed = Buffer.concat([
    ledger.contents(after).subarray(0, 256),
    ledger.contents(before).subarray(256, sectorBytes),
  ]);
  assert.match(
    ledger.settle(0, mixed)[0] ?? '',
    /may hold operation 2 but holds .* operation 2, or a mix/,
  );
  assert.equal(ledger.settle(4, ledger.contents(after)).length, 4, 'made up');
});

test('operations at the same time may land in either order; a later one replaces both', () => {
  const ledger = new SectorLedger(8);
  const one = ledger.begin('data', 0, 4);
  const two = ledger.begin('data', 2, 4);
  ledger.answered(two);
  ledger.answered(one);
  const head = ledger.contents(one).subarray(2 * sectorBytes);
  const tail = ledger.contents(two).subarray(0, 2 * sectorBytes);
  assert.deepEqual(ledger.endRead(ledger.beginRead(2, 2), head), []);
  assert.deepEqual(ledger.endRead(ledger.beginRead(2, 2), tail), []);
  const last = ledger.begin('zeroes', 2, 2);
  ledger.answered(last);
  assert.equal(ledger.endRead(ledger.beginRead(2, 2), head).length, 2);
  assert.deepEqual(ledger.endRead(ledger.beginRead(2, 2), zeroes(2)), []);
});

test('without an answer either is right, and what was found stays', () => {
  const ledger = new SectorLedger(8);
  const old = ledger.begin('data', 0, 2);
  ledger.answered(old);
  const lost = ledger.begin('data', 0, 2);
  ledger.serverGone();
  const found = Buffer.concat([
    ledger.contents(lost).subarray(0, sectorBytes),
    ledger.contents(old).subarray(sectorBytes),
  ]);
  assert.deepEqual(ledger.settle(0, found), [], 'each sector by itself');
  assert.deepEqual(ledger.settle(0, found), []);
  assert.equal(ledger.settle(0, ledger.contents(old)).length, 1, 'it changed by itself');
  assert.equal(ledger.settle(0, ledger.contents(lost)).length, 1, 'it changed by itself');
});

test('a lost request may land late until the server is gone, even under what came after', () => {
  const ledger = new SectorLedger(4);
  const late = ledger.begin('data', 0, 1);
  const next = ledger.begin('data', 0, 1);
  ledger.answered(next);
  assert.deepEqual(ledger.settle(0, ledger.contents(late)), []);
});

test('a trim leaves zeroes or what was there; a read sees what began meanwhile', () => {
  const ledger = new SectorLedger(4);
  const data = ledger.begin('data', 0, 2);
  ledger.answered(data);
  ledger.answered(ledger.begin('trim', 0, 2));
  assert.deepEqual(ledger.endRead(ledger.beginRead(0, 2), zeroes(2)), []);
  assert.deepEqual(ledger.endRead(ledger.beginRead(0, 2), ledger.contents(data)), []);
  const reading = ledger.beginRead(0, 2);
  const meanwhile = ledger.begin('data', 1, 1);
  const bytes = Buffer.concat([zeroes(1), ledger.contents(meanwhile)]);
  assert.deepEqual(ledger.endRead(reading, bytes), []);
  assert.equal(ledger.endRead(ledger.beginRead(1, 1), zeroes(1)).length, 0);
});
