/** The programs for developers say what they can do; misuse is one sentence, and nothing is done. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openingComment } from '../../../scripts/flags/flags.ts';

const dist = resolve(import.meta.dirname, '../../..');
const programs = [
  ...['sim/main.js', 'sim/mutants/main.js', 'torture/main.js', 'bench/main.js'],
  ...['tests/lab/run.js', 'scripts/demo.js', 'scripts/coverage.js', 'scripts/test.js'],
];

function runs(program: string, ...args: string[]) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(dist, program), ...args], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr };
}

for (const program of programs) {
  test(`${program}: --help says what there is, an unknown flag gets one sentence`, () => {
    const help = runs(program, '--help');
    assert.equal(help.status, 0);
    assert.match(help.stdout, /npm (run|test)/);
    assert.doesNotMatch(help.stdout, /^ ?\*/m);
    const { status, stdout, stderr } = runs(program, '--nosuch');
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    assert.match(stderr, /^Unknown option '--nosuch'\. --help says what there is\.\n$/);
  });
}

const misuses: [string, string[], RegExp][] = [
  ['sim/main.js', ['--seeds', 'many'], /--seeds takes a range of whole numbers/],
  ['sim/main.js', ['--promise', 'all'], /--promise takes covered or beyond, not 'all'/],
  ['sim/main.js', ['--plan', '/nonexistent'], /\/nonexistent is no plan: ENOENT/],
  ['sim/main.js', ['--exhaustive', '--level', '7'], /--level takes 1 or 3 or 4 or 5, not '7'/],
  ['bench/main.js', ['--seconds', 'x'], /--seconds takes a number of at least 0, not 'x'/],
  ['scripts/demo.js', ['--io', 'fast'], /--io takes auto or uring or node, not 'fast'/],
];

for (const [program, args, sentence] of misuses) {
  test(`${program} ${args.join(' ')}: one sentence`, () => {
    const { status, stderr } = runs(program, ...args);
    assert.equal(status, 2);
    assert.match(stderr, sentence);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
  });
}

test('the first comment of a file, without its stars', () => {
  assert.equal(openingComment('/**\n * One.\n *\n *   two\n */\nrest'), 'One.\n\n  two');
  assert.equal(openingComment('/** One. */\n'), 'One.');
  assert.equal(openingComment('nothing'), '');
});
