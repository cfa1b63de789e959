/**
 * Every function and every branch of core/ is taken by a test of core: core decides everything that matters and has no
 * I/O, so whatever it can decide can be asked of it. `npm run coverage` shows the same, with the line of what is missed.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

test('every branch of core is taken by a test of core', () => {
  const run = spawnSync(process.execPath, [join('dist', 'scripts', 'coverage.js')], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  assert.match(run.stdout, /^all .* 100\.0 % .* 100\.0 %$/m);
});
