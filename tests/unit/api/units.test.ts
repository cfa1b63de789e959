import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatBytes,
  formatClock,
  formatDuration,
  parseDoubleAbsence,
  parseDuration,
  parseSize,
} from '../../../src/api/units.ts';

test('sizes are binary, whole bytes, and have one spelling of each unit too few to guess', () => {
  const cases: [string, number | null][] = [
    ['4096', 4096],
    ['64KiB', 65_536],
    ['64K', 65_536],
    ['64k', 65_536],
    ['64 KiB', 65_536],
    ['1GiB', 2 ** 30],
    ['1.5M', 1.5 * 2 ** 20],
    ['2TiB', 2 ** 41],
    ['0', 0],
    ['64kB', null],
    ['64MB', null],
    ['-1', null],
    ['1.3', null],
    ['', null],
    ['KiB', null],
    ['1e3', null],
    ['99999999TiB', null],
    ['1 000', null],
  ];
  for (const [text, expected] of cases) assert.equal(parseSize(text), expected, text);
});

test('durations carry their unit', () => {
  const cases: [string, number | null][] = [
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['1d', 86_400_000],
    ['90', null],
    ['m', null],
    ['1.5h', null],
    ['-5m', null],
    ['5 m', null],
    ['', null],
  ];
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text);
});

test('what reads do in double absence', () => {
  assert.deepEqual(parseDoubleAbsence('error'), { onDoubleAbsence: 'error', waitMs: 0 });
  assert.deepEqual(parseDoubleAbsence('wait'), { onDoubleAbsence: 'wait', waitMs: 60_000 });
  assert.deepEqual(parseDoubleAbsence('wait:90s'), { onDoubleAbsence: 'wait', waitMs: 90_000 });
  for (const text of ['wait:', 'wait:90', 'stop', 'error:1s'])
    assert.equal(parseDoubleAbsence(text), null, text);
});

test('what is printed can be read back by eye', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1023), '1023 B');
  assert.equal(formatBytes(1536), '1.5 KiB');
  assert.equal(formatBytes(3 * 2 ** 30), '3 GiB');
  assert.equal(formatBytes(12.4 * 2 ** 30), '12.4 GiB');
  assert.equal(formatDuration(754_000), '12m34s');
  assert.equal(formatDuration(3_600_000), '1h');
  assert.equal(formatDuration(90_061_000), '1d1h');
  assert.equal(formatDuration(20), '20ms');
  assert.equal(formatClock(754_000), '12:34');
  assert.equal(formatClock(3_754_000), '1:02:34');
});
