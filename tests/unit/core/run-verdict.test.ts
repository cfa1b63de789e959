/** What came of a run: each outcome, judged from what the drive says and how the windows ended. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DriveFacts } from '../../../src/core/drive-facts.ts';
import { type RunFacts, verdictOf } from '../../../src/core/run-verdict.ts';

const facts = (firmware: string): DriveFacts => ({
  path: '/dev/sdb',
  transport: 'scsi',
  model: 'M',
  serial: 'S',
  firmware,
  capacityBytes: 1,
  logicalBlockBytes: 512,
  physicalBlockBytes: 512,
  health: 'ok',
  healthNote: '',
});

const well = { result: 'done', exitStatus: 0, reason: '' } as const;
const bad = { result: 'failed', exitStatus: 3, reason: 'the tool said no.' } as const;
const cut = { result: 'interrupted', exitStatus: null, reason: 'the server was stopped.' } as const;

const base: RunFacts = {
  volume: 'tank',
  path: '/dev/sdb',
  purpose: 'firmware',
  rehearsal: false,
  begun: true,
  version: null,
  ownCommand: false,
  recallWhy: null,
  refusal: null,
  task: well,
  before: facts('A1'),
  after: facts('B2'),
  readTest: '',
  unread: '',
  thawed: false,
  takenBack: false,
  rebuilt: false,
  newPath: null,
};

const cases: [string, Partial<RunFacts>, string, RegExp][] = [
  ['another revision', {}, 'done', /from firmware A1 to B2/],
  ['the first revision that it gives', { before: facts('') }, 'done', /unknown to B2/],
  ['the revision that was asked for', { version: 'B2' }, 'done', /now has firmware B2\./],
  ['the same one again', { version: 'A1', after: facts('A1') }, 'done', /A1/],
  ['the tool said otherwise', { version: 'B2', task: bad }, 'done', /the tool said no/],
  ['and had nothing to say', { version: 'B2', task: null }, 'done', /said otherwise/],
  ['unchanged', { after: facts('A1') }, 'not-applied', /still A1/],
  ['no revision at all', { before: null, after: facts('') }, 'not-applied', /still unknown/],
  ['taken back by hand, and not asked', { after: null }, 'failed', /firmware it has is not known/],
  ['silent where it was not', { after: facts(''), version: 'C3' }, 'failed', /is not known/],
  ['another than was asked for', { version: 'C3' }, 'failed', /B2, and C3 was asked for/],
  [
    'unchanged, and asked for',
    { version: 'C3', after: facts('A1') },
    'not-applied',
    /still A1, and C3 was asked for/,
  ],
  ['the tool failed', { task: bad, after: facts('A1') }, 'failed', /the tool said no/],
  ['the tool never ran', { task: null, after: facts('A1') }, 'failed', /did not say why/],
  ['killed in between', { task: cut, after: facts('A1') }, 'failed', /server was stopped/],
  [
    'called back in between',
    { task: cut, after: facts('A1'), recallWhy: 'slot 2 failed.' },
    'recalled',
    /before its task was through: slot 2/,
  ],
  [
    'called back before its first command',
    { task: null, after: facts('A1'), recallWhy: 'slot 2 failed.' },
    'recalled',
    /slot 2/,
  ],
  [
    'failed, and called back',
    { task: bad, after: facts('A1'), recallWhy: 'slot 2 failed.' },
    'failed',
    /the tool said no/,
  ],
  ['a command of their own', { ownCommand: true, after: facts('A1') }, 'done', /command is done/],
  [
    'which should have changed it',
    { ownCommand: true, version: 'B2', after: facts('A1') },
    'not-applied',
    /still A1/,
  ],
  ['came back blank', { rebuilt: true }, 'done', /to B2\. It came back blank/],
  [
    'another, blank one was brought in its place',
    { rebuilt: true, after: null },
    'failed',
    /^A blank drive came back in the place of \/dev\/sdb/,
  ],
  [
    'rehearsal',
    { rehearsal: true, begun: false, after: facts('A1') },
    'rehearsed',
    /but the touch/,
  ],
  ['recalled before', { begun: false, recallWhy: 'slot 2 failed.' }, 'recalled', /before its task/],
  ['refused', { begun: false, refusal: 'the image is gone.' }, 'refused', /the image is gone/],
  ['refused too late to matter', { refusal: 'the image is gone.' }, 'done', /to B2/],
  ['does not read', { readTest: 'sector 7.' }, 'failed', /does not read well: sector 7/],
  [
    'does not read, as a test was to find out',
    { purpose: 'diagnostics', task: bad, readTest: 'exit status 1' },
    'unhealthy',
    /does not read well: exit status 1\.$/,
  ],
  ['not read', { unread: 'EACCES' }, 'done', /to B2\. It was not read afterwards: EACCES\.$/],
  [
    'a test, and not read',
    { purpose: 'diagnostics', unread: 'EACCES.' },
    'done',
    /found nothing\. It was not read afterwards: EACCES\.$/,
  ],
  ['thawed', { thawed: true }, 'drive-lost', /is not back; the task ended as "done"/],
  ['thawed, and back', { thawed: true, takenBack: true }, 'drive-lost', /back by a resync/],
  ['thawed before it began', { thawed: true, begun: false }, 'drive-lost', /had not begun/],
  ['thawed while at work', { thawed: true, task: null }, 'drive-lost', /"unknown"/],
  ['a test', { purpose: 'diagnostics' }, 'done', /found nothing/],
  ['a test that found something', { purpose: 'diagnostics', task: bad }, 'unhealthy', /said no/],
  ['a test that was cut', { purpose: 'diagnostics', task: cut }, 'failed', /server was stopped/],
  ['a test that never ran', { purpose: 'diagnostics', task: null }, 'failed', /did not say/],
  [
    'a test that could not be started',
    { purpose: 'diagnostics', task: { ...bad, exitStatus: null } },
    'failed',
    /said no/,
  ],
  ['a reset', { purpose: 'reset' }, 'done', /was reset/],
  ['a reset that failed', { purpose: 'reset', task: bad }, 'failed', /said no/],
  ['a reset that never was', { purpose: 'reset', task: null }, 'failed', /did not say/],
  ['replaced', { purpose: 'replacement', task: null, rebuilt: true }, 'done', /replaced and re/],
  [
    'replaced by a new one that was named',
    { purpose: 'replacement', task: null, rebuilt: true, newPath: '/dev/new' },
    'done',
    /replaced by \/dev\/new and rebuilt/,
  ],
  ['replaced by itself', { purpose: 'replacement', task: null }, 'not-applied', /one that left/],
  ['a command that replaces', { purpose: 'replacement', task: bad }, 'failed', /said no/],
  [
    'a command that replaced it',
    { purpose: 'replacement', task: well, rebuilt: true },
    'done',
    /replaced/,
  ],
];

for (const [name, change, outcome, says] of cases) {
  test(`${name}: ${outcome}`, () => {
    const verdict = verdictOf({ ...base, ...change });
    assert.equal(verdict.outcome, outcome, verdict.sentence);
    assert.match(verdict.sentence, says);
    assert.match(verdict.sentence, /\.$/);
  });
}

test('back by a resync after its task: compared in samples, and what looks at the rest', () => {
  const back = { ...base, thawed: true, takenBack: true };
  assert.match(
    verdictOf(back).next,
    /^It is compared before any of it is used.*drive-differed.*`locum scrub start tank --wait`/,
  );
  const untouched = verdictOf({ ...back, begun: false });
  assert.match(untouched.next, /^`locum drive ls tank` shows the resync/);
});
