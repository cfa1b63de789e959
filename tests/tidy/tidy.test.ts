/**
 * The repository's rules (rules.ts) over the tree as it is, and over small offenders: a rule that cannot fail holds
 * nothing.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, resolve } from 'node:path';
import test, { describe } from 'node:test';
import type { SourceFile } from './rules.ts';
import * as rules from './rules.ts';

const root = resolve(import.meta.dirname, '../../..');
const ignored = new Set(['node_modules', 'dist', '.git', 'tmp', '.locum']);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !ignored.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
    });
}

const textual = /(\.(ts|js|json|md|sh|txt|yml|service|svg)|\/(run|locum|LICENSE|\.gitignore))$/;
const files: SourceFile[] = filesBelow(root)
  .filter((path) => textual.test(path))
  .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }));

const inFolder = (...folders: string[]): SourceFile[] =>
  files.filter(
    (file) => file.path.endsWith('.ts') && folders.some((it) => file.path.startsWith(`${it}/`)),
  );
const sources = inFolder('src');
const markdown = files.filter((file) => file.path.endsWith('.md'));

function holds(
  name: string,
  checked: readonly SourceFile[],
  rule: (file: SourceFile) => string[],
): void {
  test(name, () => {
    assert.ok(checked.length > 0, 'no file was checked');
    const problems = checked.flatMap(rule);
    assert.equal(problems.length, 0, `\n${problems.join('\n')}\n`);
  });
}

describe('the tree', () => {
  holds(
    'each source file opens with its reason',
    inFolder('src', 'scripts', 'bench', 'sim', 'torture'),
    rules.header,
  );
  holds(
    'source files hold one idea',
    inFolder('src', 'scripts', 'bench', 'sim', 'torture'),
    rules.size,
  );
  holds('lines fit', inFolder('src', 'scripts', 'bench', 'tests', 'sim', 'torture'), rules.columns);
  holds('nothing is left over in the sources', sources, rules.leftovers);
  holds('core is plain and synchronous', inFolder('src/core'), rules.plainCore);
  holds('one word per thing', sources, rules.glossaryWords);
  holds(
    'only level descriptors name a level',
    sources.filter((file) => !file.path.startsWith('src/core/level')),
    rules.unnamedLevels,
  );
  holds(
    'nothing names the machine it was written on',
    files.filter((file) => file.path !== 'package-lock.json'),
    rules.machinePaths,
  );
  holds('each Markdown file has one title', markdown, rules.oneTitle);
  holds('relative links lead somewhere', markdown, (file) =>
    rules
      .relativeLinks(file.text)
      .filter((target) => !existsSync(join(root, dirname(file.path), decodeURI(target))))
      .map((target) => `${file.path}: ${target} is not there`),
  );

  test('each tsconfig is part of the build', () => {
    const reached = new Set<string>();
    const visit = (folder: string): void => {
      const text = readFileSync(join(root, folder, 'tsconfig.json'), 'utf8');
      for (const match of text.matchAll(/"path":\s*"([^"]+)"/g)) {
        const next = normalize(join(folder, match[1] ?? ''));
        if (reached.has(next)) continue;
        reached.add(next);
        visit(next);
      }
    };
    visit('.');
    const all = files
      .filter((file) => file.path.endsWith('/tsconfig.json'))
      .map((file) => dirname(file.path));
    assert.deepEqual(
      all.filter((folder) => !reached.has(folder)),
      [],
    );
  });
});

describe('the rules themselves', () => {
  const fails = (
    rule: (file: SourceFile) => string[],
    text: string,
    path = 'src/core/x.ts',
  ): void => assert.notDeepEqual(rule({ path, text }), [], `passed: ${text}`);
  const passes = (
    rule: (file: SourceFile) => string[],
    text: string,
    path = 'src/core/x.ts',
  ): void => assert.deepEqual(rule({ path, text }), []);

  test('header', () => {
    fails(rules.header, 'export const x = 1;\n');
    passes(rules.header, '/** Why. */\nexport const x = 1;\n');
    passes(rules.header, '#!/usr/bin/env node\n// Why.\n');
  });
  test('size and columns', () => {
    fails(rules.size, 'x\n'.repeat(401));
    passes(rules.size, 'x\n'.repeat(400));
    fails(rules.columns, `// ${'x'.repeat(123)}`);
    passes(rules.columns, `// ${'x'.repeat(122)}`);
    passes(rules.size, '// x\n'.repeat(401));
  });
  test('leftovers', () => {
    fails(rules.leftovers, "console.log('x');");
    fails(rules.leftovers, 'debugger;');
    fails(rules.leftovers, `// ${'FIX'}ME later`);
    passes(rules.leftovers, '// console.log is not used here');
  });
  test('plain core', () => {
    fails(rules.plainCore, 'export async function x() {}');
    fails(rules.plainCore, 'const x: Promise<void> = y;');
    fails(rules.plainCore, "import { readFileSync } from 'node:fs';");
    passes(rules.plainCore, '// no Promise, no async, no node:fs\nexport const x = 1;');
  });
  test('words', () => {
    fails(rules.glossaryWords, 'const journalBytes = 1;');
    fails(rules.glossaryWords, 'const x = stripSize;');
    passes(rules.glossaryWords, 'const stripeBytes = 1; // not the journal');
    passes(rules.glossaryWords, "const text = 'maintenance';");
  });
  test('levels', () => {
    fails(rules.unnamedLevels, 'if (volume.level === 5) x();');
    passes(rules.unnamedLevels, 'if (level.parityChunks === 1) x();');
  });
  test('machine paths', () => {
    fails(rules.machinePaths, `see ${['', 'work', 'x'].join('/')}`);
    passes(rules.machinePaths, 'the network/worker');
  });
  test('Markdown', () => {
    fails(rules.oneTitle, 'no title');
    fails(rules.oneTitle, '# One\n\n# Two\n');
    passes(rules.oneTitle, '# One\n\n```sh\n# a comment\n```\n');
    assert.deepEqual(rules.relativeLinks('[a](b.md#c) [d](https://e) [f](#g) `[h](i)`'), ['b.md']);
  });
});
