import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { catalogue, exitCodes, explain } from '../../../src/api/errors.ts';
import { problemCodes } from '../../../src/core/problems.ts';
import { errorsPage } from './errors-page.ts';

const page = new URL('../../../../docs/errors.md', import.meta.url);

test('every code has an entry and every entry a code', () => {
  assert.deepEqual(Object.keys(catalogue).sort(), [...problemCodes].sort());
});

test('an entry is a sentence, a next step, and codes of the known kinds', () => {
  const exits = new Set<number>(Object.values(exitCodes));
  for (const code of problemCodes) {
    const { message, fix, httpStatus, exitCode, errno } = catalogue[code];
    assert.match(message, /[.\]]$/, `${code}: the message ends as a sentence`);
    assert.match(fix, /[.`]$/, `${code}: the fix ends as a sentence`);
    assert.ok(httpStatus >= 400 && httpStatus < 600, code);
    assert.ok(exits.has(exitCode) && exitCode !== exitCodes.done, code);
    assert.ok(errno > 0, code);
  }
});

test('a problem without any detail still reads as a sentence', () => {
  for (const code of problemCodes) {
    const { message, fix } = explain({ code, detail: {} });
    for (const text of [message, fix]) {
      assert.doesNotMatch(text, /undefined|unknown|[{}[\]]|\bnull\b| {2}| \./, `${code}: ${text}`);
    }
    assert.match(message, /^[A-Zt/]/, code);
    assert.match(message, /[.!?]$/, code);
  }
});

test('details fill the sentence, and nothing that is known is lost', () => {
  const problem = {
    code: 'drive-busy',
    detail: { path: '/dev/sda', reason: 'flock is held', holder: 'md127' },
  } as const;
  const { message, fix } = explain(problem);
  assert.match(message, /^\/dev\/sda is in use/);
  assert.match(message, /flock is held/);
  assert.match(message, /md127/);
  assert.match(fix, /fuser -v \/dev\/sda/);
});

test('optional parts appear only with their value', () => {
  assert.match(
    explain({ code: 'volume-in-use', detail: { volume: 'v1', clients: 2 } }).message,
    /by 2 NBD/,
  );
  assert.equal(
    explain({ code: 'volume-in-use', detail: { volume: 'v1' } }).message,
    'Volume v1 is in use.',
  );
});

test('docs/errors.md is in step (LOCUM_UPDATE=1 rewrites it)', () => {
  if (process.env['LOCUM_UPDATE']) writeFileSync(page, errorsPage());
  assert.equal(readFileSync(page, 'utf8'), errorsPage());
});
