/** The maps are true: every case has its entry, every entry its test, and docs/accidents.md shows both. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { accidents } from './accidents.ts';
import { chapters, type HeldBy, type WindowCase } from './cases.ts';
import { outcomeOf } from './matrix.ts';
import { faults } from './matrix-faults.ts';
import { states } from './matrix-states.ts';

const root = resolve(import.meta.dirname, '../../..');
const pagePath = join(root, 'docs/accidents.md');

/** A title as it begins a string in the source; long ones are broken behind the opening quote at most. */
function holdsTest({ file, title }: HeldBy): boolean {
  const path = join(root, 'tests', `${file}.test.ts`);
  if (!existsSync(path)) return false;
  const source = readFileSync(path, 'utf8');
  return ["'", '`', '"'].some((quote) => source.includes(`${quote}${title}`));
}

for (const [chapter, count, cases] of chapters) {
  test(`window cases, ${chapter}: each of the ${count} has its entry, and each entry a test that exists`, () => {
    const section = cases[0]?.id.split('.').slice(0, 2).join('.');
    const ids = Array.from({ length: count }, (_, i) => `${section}.${i + 1}`);
    assert.deepEqual(
      cases.map(({ id }) => id),
      ids,
    );
    for (const { id, by, open } of cases) {
      assert.ok(by.length > 0 || (open ?? '').length > 20, `${id} has neither a test nor a reason`);
      for (const one of by) assert.ok(holdsTest(one), `${id}: ${one.file} has no "${one.title}"`);
    }
  });
}

test('a title that is nowhere is noticed', () => {
  assert.equal(holdsTest({ file: 'unit/engine/window', title: 'no such accident' }), false);
  assert.equal(holdsTest({ file: 'unit/engine/nowhere', title: 'no such accident' }), false);
});

test('L1 to L10: each has its files', () => {
  assert.deepEqual(
    accidents.map(({ id }) => id),
    Array.from({ length: 10 }, (_, i) => `L${i + 1}`),
  );
  for (const { id, files } of accidents)
    for (const file of files)
      assert.ok(existsSync(join(root, 'tests/directed', file)), `${id}: ${file} is not there`);
});

const escape = (text: string): string => text.replaceAll('|', '\\|');
/** Template parts read better without their dollar signs and braces. */
const readable = (title: string): string =>
  escape(title.replaceAll(/\$\{[^}]*\}?/g, '…').replaceAll(/…(\s*…)*/g, '…'));

function rowOf({ id, what, by, open }: WindowCase): string {
  const tests = by.map(({ file, title }) => `\`${file}\`: ${readable(title)}`);
  if (open !== undefined) tests.push(`*Not tested: ${escape(open)}.*`);
  return `| ${id} | ${escape(what)} | ${tests.join('<br>')} |`;
}

function page(): string {
  const lines = [
    '# Accidents and their tests',
    '',
    'Made from `tests/directed` (`accidents.ts`, `matrix.ts`, `cases.ts`); `LOCUM_UPDATE=1 npm test -- directed/cases` writes',
    'it anew. How to run all of what is enumerated, or one case: [Testing](testing.md).',
    '',
    '## What has happened to other systems',
    '',
    '| id | seen in | accident | what the test does | in `tests/directed` |',
    '|---|---|---|---|---|',
    ...accidents.map(
      ({ id, anchor, what, test: how, files }) =>
        `| ${id} | ${anchor} | ${what} | ${how} | ${files.map((file) => `\`${file}\``).join(', ')} |`,
    ),
    '',
    '## State × second fault',
    '',
    'Each cell is a test on RAID 1, 3, 4 and 5 (`matrix.test.ts`). What the words demand is in `matrix.ts`; an empty cell is',
    'not a combination, or is another one under a new name.',
    '',
    `| state | ${faults.join(' | ')} |`,
    `|---|${faults.map(() => '---').join('|')}|`,
    ...states.map(
      (state) =>
        `| ${state} | ${faults.map((fault) => outcomeOf(5, state, fault) ?? '').join(' | ')} |`,
    ),
    '',
  ];
  for (const [chapter, , cases] of chapters)
    lines.push(
      `## ${chapter}`,
      '',
      '| case | what | test |',
      '|---|---|---|',
      ...cases.map(rowOf),
      '',
    );
  return `${lines.join('\n').trimEnd()}\n`;
}

test('docs/accidents.md shows the maps as they are', () => {
  if (process.env['LOCUM_UPDATE'] === '1') writeFileSync(pagePath, page());
  assert.equal(readFileSync(pagePath, 'utf8'), page());
});
