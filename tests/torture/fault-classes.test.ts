/** The list of fault classes: what it says holds a class is there, and the page says of each what it owes it to. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { faultClasses, heldBy } from '../../torture/faults.ts';
import { reportOf } from '../../torture/report.ts';
import { addSlice, newRecord, type RunRecord } from '../../torture/run-record.ts';

const root = join(import.meta.dirname, '../../..');
const machine = { cpu: 'a cpu', cores: 2, memoryBytes: 2 ** 34, kernel: '6.1', node: 'v20' };

/** A test by that name begins somewhere in the file; it may be in quotes of either kind. */
const hasTest = (text: string, name: string): boolean =>
  ["'", '"', '`'].some((quote) => text.includes(`test(${quote}${name}${quote}`));

for (const [id, tests] of Object.entries(heldBy)) {
  test(`${id} is a class of the list, and the tests that hold it exist`, () => {
    assert.ok(faultClasses.some((one) => one.id === id));
    assert.ok(tests.length > 0);
    for (const { file, test: name } of tests) {
      assert.ok(existsSync(join(root, file)), file);
      assert.ok(hasTest(readFileSync(join(root, file), 'utf8'), name), `${file}: ${name}`);
    }
  });
}

function recordWith(coverage: Record<string, Record<string, number>>): RunRecord {
  const record = newRecord({ hours: 1, seed: 7, only: [], machine }, 'abc1234', [
    { name: 'simulator', weight: 1 },
  ]);
  const result = { part: 'simulator', counts: {}, coverage, failures: [], notCovered: [] };
  addSlice(record, {
    part: 'simulator',
    seed: 1,
    askedSeconds: 60,
    tookSeconds: 61,
    result,
    kept: '',
  });
  return record;
}

const pageOf = (coverage: Record<string, Record<string, number>>): string =>
  reportOf(recordWith(coverage), root).page;

test('a class that was not met is said to be held by its tests, or to be covered by nothing', () => {
  const page = pageOf({ 'F-1 EIO on write, once': { optimal: 1 } });
  const held = page.split('\n').find((line) => line.startsWith('  - C-8 ')) ?? '';
  assert.match(held, /`tests\/e2e\/crash\.test\.ts`: two servers on one state/);
  const open = page.split('\n').find((line) => line.includes('so not covered:')) ?? '';
  assert.match(open, / F-2 EIO on read, transient; /);
  assert.doesNotMatch(open, /C-8|F-1 /);
});

test('a class that was met is in neither list', () => {
  const page = pageOf({ 'F-17 is back, used elsewhere': { frozen: 2 } });
  assert.doesNotMatch(page, /^ {2}- F-17 /m);
  assert.match(page, /^\| F-17 \|.* 2 \|/m);
});

test('with every class met nothing is said of any', () => {
  const all = faultClasses.map(({ id, name }) => [`${id} ${name}`, { optimal: 1 }] as const);
  assert.doesNotMatch(pageOf(Object.fromEntries(all)), /never met/);
});
