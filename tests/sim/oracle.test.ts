/** The oracle itself: what it lets pass when a drive fails, and what it does not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type OpenWrite, Oracle } from '../../sim/oracle.ts';

function dataOf(oracle: Oracle, open: OpenWrite): Uint8Array {
  const data = new Uint8Array(open.sectors * 512);
  oracle.fill(open, data);
  return data;
}

/** One sector: the first write is answered, a read has shown the second one, which is under way. */
function shown() {
  const oracle = new Oracle(8, 1);
  const first = oracle.begin(3, 1, false);
  const before = dataOf(oracle, first);
  oracle.answered(first, true, false);
  const second = oracle.begin(3, 1, false);
  const after = dataOf(oracle, second);
  const reads = (data: Uint8Array): void => {
    const calledAt = oracle.beginRead();
    oracle.endRead();
    oracle.check(3, data, calledAt, 'a read');
  };
  reads(after);
  return { oracle, second, before, after, reads };
}

test('what a read has shown to be replaced does not come back', () => {
  const { before, after, reads } = shown();
  reads(after);
  assert.throws(() => reads(before), /reads as write 1, not as write 2/);
});

test('a drive fails: a write under way may have been on its copy only', () => {
  const { oracle, before, after, reads } = shown();
  oracle.copyLost();
  reads(before);
  reads(after);
  assert.throws(() => reads(before), /reads as write 1, not as write 2/);
});

test('a drive fails: a write that was answered is on the others', () => {
  const { oracle, second, before, reads } = shown();
  oracle.answered(second, true, false);
  oracle.copyLost();
  assert.throws(() => reads(before), /reads as write 1, not as write 2/);
});

test('a drive fails under a read: what that shows may have been on its copy only', () => {
  const { oracle, second, before, after, reads } = shown();
  oracle.answered(second, true, false);
  const third = oracle.begin(3, 1, false);
  const calledAt = oracle.beginRead();
  oracle.copyLost();
  oracle.endRead();
  oracle.check(3, dataOf(oracle, third), calledAt, 'a read');
  reads(after);
  assert.throws(() => reads(before), /reads as write 1, not as write 2/);
});

test('a kill and the loss of a copy: the same, and with the write answered it is on the other one', () => {
  const { oracle, second, before } = shown();
  const fork = { kind: 'kill', copyLost: true } as const;
  assert.throws(() => oracle.checkFork(3, before, { ...fork, copyLost: false }, 'killed'));
  oracle.checkFork(3, before, fork, 'killed');
  oracle.answered(second, true, false);
  assert.throws(() => oracle.checkFork(3, before, fork, 'killed'), /write 1, not as write 2/);
});

test('a flush covers what was answered before it was called, whatever a read has shown before', () => {
  const fork = { kind: 'power', copyLost: false } as const;
  const { oracle, second, before, after } = shown();
  const early = oracle.now();
  oracle.answered(second, true, false);
  oracle.flushed(early);
  oracle.checkFork(3, before, fork, 'power');
  oracle.checkFork(3, after, fork, 'power');
  oracle.flushed(oracle.now());
  assert.throws(() => oracle.checkFork(3, before, fork, 'power'), /write 1, not as write 2/);
});

test('of two writes at once a read says which was the last, and the flush after that keeps it', () => {
  const fork = { kind: 'power', copyLost: false } as const;
  const { oracle, second, before, after, reads } = shown();
  const third = oracle.begin(3, 1, false);
  oracle.answered(third, true, false);
  oracle.answered(second, true, false);
  reads(after);
  oracle.flushed(oracle.now());
  for (const lost of [before, dataOf(oracle, third)])
    assert.throws(() => oracle.checkFork(3, lost, fork, 'power'), /not as write 2/);
});
