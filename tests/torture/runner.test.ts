/** The runner of the torture run without its parts: who runs next, how results add up, and what the page says of them. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PartResult } from '../../torture/evidence.ts';
import { columnOf, faultClasses, stateColumns } from '../../torture/faults.ts';
import { reportOf } from '../../torture/report.ts';
import {
  addSlice,
  loadRecord,
  newRecord,
  type RunRecord,
  saveRecord,
} from '../../torture/run-record.ts';
import { nextTurn } from '../../torture/schedule.ts';
import { Slices } from '../../torture/slices.ts';

const machine = { cpu: 'a cpu', cores: 2, memoryBytes: 2 ** 34, kernel: '6.1', node: 'v20' };
const twoParts = [
  { name: 'kill', weight: 3 },
  { name: 'power', weight: 1 },
];

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'locum-runner-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const record = (): RunRecord =>
  newRecord({ hours: 1, seed: 7, only: [], machine }, 'abc1234', twoParts);

function slice(into: RunRecord, part: string, seed: number, more: Partial<PartResult>): void {
  const result = { part, counts: {}, coverage: {}, failures: [], notCovered: [], ...more };
  addSlice(into, { part, seed, askedSeconds: 60, tookSeconds: 61, result, kept: '' });
}

test('time goes to the parts by weight, and every part runs', () => {
  const spent = new Map<string, number>();
  const turns = new Map<string, number>();
  let leftSeconds = 3600;
  for (;;) {
    const turn = nextTurn(twoParts, spent, 7200, leftSeconds);
    if (turn === null) break;
    assert.ok(turn.seconds <= 300 && turn.seconds > 0);
    spent.set(turn.part, (spent.get(turn.part) ?? 0) + turn.seconds);
    turns.set(turn.part, (turns.get(turn.part) ?? 0) + 1);
    leftSeconds -= turn.seconds / 2;
  }
  assert.ok(leftSeconds < 10);
  const share = (spent.get('kill') ?? 0) / 7200;
  assert.ok(share > 0.65 && share < 0.85, `kill had ${share}`);
  assert.ok((turns.get('power') ?? 0) >= 6, 'many seeds');
});

test('a part that needs long is given it, or left out at the end, but runs once at least', () => {
  const parts = [
    { name: 'short', weight: 1 },
    { name: 'long', weight: 1, leastSeconds: 600 },
  ];
  const first = nextTurn(parts, new Map([['short', 60]]), 3600, 3000);
  assert.deepEqual(first, { part: 'long', seconds: 600 });
  const late = nextTurn(
    parts,
    new Map([
      ['short', 900],
      ['long', 600],
    ]),
    3600,
    100,
  );
  assert.equal(late?.part, 'short');
  const never = nextTurn(parts, new Map([['short', 900]]), 3600, 100);
  assert.deepEqual(never, { part: 'long', seconds: 100 });
});

test('results add up, and survive the file', (t) => {
  const one = record();
  slice(one, 'kill', 1, { counts: { kills: 3 }, coverage: { 'C-1 kill -9': { frozen: 2 } } });
  slice(one, 'kill', 2, {
    counts: { kills: 4 },
    coverage: { 'C-1 kill -9': { frozen: 1, optimal: 5 } },
  });
  slice(one, 'power', 3, { failures: ['lost'], notCovered: ['x', 'x'] });
  const path = join(folder(t), 'deep', 'run.json');
  saveRecord(path, one);
  const again = loadRecord(path);
  assert.deepEqual(again, one);
  assert.deepEqual(again?.parts['kill']?.counts, { kills: 7 });
  assert.deepEqual(again?.parts['kill']?.coverage, { 'C-1 kill -9': { frozen: 3, optimal: 5 } });
  assert.deepEqual(again?.parts['power']?.notCovered, ['x']);
  assert.equal(again?.failures.length, 1);
  assert.equal(again?.slices.length, 3);
  assert.equal(loadRecord(join(path, 'none')), null);
});

test('the page: what failed is on top, hits are in their cells, what was not met is said', (t) => {
  const one = record();
  one.finished = true;
  slice(one, 'kill', 1, {
    counts: { 'kill cycles': 12_345 },
    coverage: {
      'C-1 kill -9 at any point': { 'frozen, second failure': 7 },
      'a meteorite': { optimal: 2 },
    },
    mutants: [{ name: 'T1', change: 'no flush', killer: 'crash.test' }],
  });
  const clean = reportOf(one, folder(t)).page;
  assert.match(clean, /^# Reliability\n\nNo check failed\./);
  assert.match(clean, /kill cycles on the built server \| 12 345 \|/);
  const row = clean.split('\n').find((line) => line.startsWith('| C-1 |')) ?? '';
  const cells = row.split('|').map((cell) => cell.trim());
  assert.equal(cells[3 + stateColumns.indexOf('frozen, second failure')], '7', row);
  assert.match(clean, /\| a meteorite \| 2 \|/);
  assert.match(clean, /\| T1 \| no flush \| crash\.test \|/);
  assert.match(clean, /The part `power` did not run\./);
  assert.match(clean, /not covered: .*F-1 EIO on write/);
  assert.doesNotMatch(clean, /not covered: .*C-1 /);

  slice(one, 'power', 99, { failures: ['sector 5 is gone'] });
  const { page, json } = reportOf(one, folder(t));
  assert.match(page, /^# Reliability\n\n\*\*1 FAILURE\.\*\*/);
  assert.ok(page.indexOf('sector 5 is gone') < page.indexOf('## What was run'));
  assert.match(page, /slice\.js power 99 60/);
  assert.match(page, /\*\*Open\.\*\*/);
  assert.equal(JSON.parse(json).failures.length, 1);
  const settled = 'the check was wrong; tests/again.json';
  one.failures = one.failures.map((each) => ({ ...each, settled }));
  const after = reportOf(one, folder(t)).page;
  assert.match(after, /^# Reliability\n\n\*\*1 check failed on the way\*\*, each looked into/);
  assert.match(after, /Settled: the check was wrong; tests\/again\.json/);
});

test('a mutant that survived is said on top', (t) => {
  const one = record();
  slice(one, 'kill', 1, { mutants: [{ name: 'T2', change: 'bad', killer: null }] });
  const { page } = reportOf(one, folder(t));
  assert.match(page, /\*\*1 MUTANT SURVIVED\.\*\*/);
  assert.match(page, /\*\*survived\*\*/);
});

test('an interrupted run says so', (t) => {
  const one = record();
  slice(one, 'kill', 1, {});
  assert.match(reportOf(one, folder(t)).page, /It was interrupted/);
});

test('states in the words of the parts find their column', () => {
  assert.equal(columnOf('frozen'), 'frozen');
  assert.equal(columnOf('frozen, second failure'), 'frozen, second failure');
  assert.equal(columnOf('Frozen+FAIL(Y)'), 'frozen, second failure');
  assert.equal(columnOf('degraded, second failure'), 'degraded');
  assert.equal(columnOf('stopped'), 'other');
  assert.equal(new Set(faultClasses.map(({ id }) => id)).size, faultClasses.length);
});

test('a slice that leaves no result is a failure with its last words, and not the end', async (t) => {
  const scratch = folder(t);
  const told: string[] = [];
  const slices = new Slices(
    { scratch, kept: join(scratch, 'kept'), shortened: [[`${scratch}/`, '']] },
    (line) => told.push(line),
  );
  const end = await slices.run('no-such-part', 1, 5);
  assert.equal(end?.result.failures.length, 1);
  assert.match(end?.result.failures[0] ?? '', /left no result \(exit code 2\)[\s\S]*usage/);
  assert.equal(end?.kept, 'kept/no-such-part-1');
});
