/**
 * The figures of `npm run coverage`: two processes add up, and each kind of decision counts both of its outcomes. The
 * scripts are run for real under V8's own counting, so that the test notices when a later V8 counts otherwise.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Counts, type V8Script } from '../../../scripts/coverage/counts.ts';
import { outcomesOf } from '../../../scripts/coverage/decisions.ts';
import { tokensOf } from '../../../scripts/coverage/tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'locum-coverage-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let scripts = 0;

/** Runs `f` once a process with each of the lists of calls. */
function counted(source: string, ...processes: string[]): { source: string; counts: Counts } {
  const name = join(folder, `script-${scripts++}.mjs`);
  const text = `export ${source}\nfunction assert() {}\nfunction seen(x) { return x; }\n`;
  writeFileSync(name, text);
  const counts = new Counts();
  for (const [index, calls] of processes.entries()) {
    const into = `${name}-${index}`;
    const main = `${into}.mjs`;
    writeFileSync(main, `import { f } from ${JSON.stringify(name)};\n${calls}\n`);
    const run = spawnSync(process.execPath, [main], {
      env: { ...process.env, NODE_V8_COVERAGE: into },
    });
    assert.equal(run.status, 0, String(run.stderr));
    for (const file of readdirSync(into)) {
      const { result } = JSON.parse(readFileSync(join(into, file), 'utf8')) as {
        result: V8Script[];
      };
      for (const script of result) if (script.url === pathToFileURL(name).href) counts.add(script);
    }
  }
  return { source: text, counts };
}

function outcomes(source: string, ...processes: string[]): string[] {
  const run = counted(source, ...processes);
  return outcomesOf(tokensOf(run.source), (offset) => run.counts.at(offset)).map(
    ({ what, count }) => `${what} ${count}`,
  );
}

describe('counts of several processes', () => {
  test('add up, also where one of them lists a block and the other does not', () => {
    const { source, counts } = counted(
      'function f(a) { if (a) { seen(1); } else { seen(2); } return a; }',
      'f(true); f(true);',
      'f(true); f(false);',
    );
    assert.equal(counts.at(source.indexOf('seen(1)')), 3);
    assert.equal(counts.at(source.indexOf('seen(2)')), 1);
    assert.equal(counts.at(source.indexOf('return a')), 4);
  });

  test('a script that was never loaded ran nowhere', () => {
    assert.equal(new Counts().at(10), 0);
    assert.deepEqual(new Counts().functions(), []);
  });

  test('functions add up by their place, and one that is never called is known', () => {
    const { source, counts } = counted(
      'function f(a) { const g = () => 1; const h = () => 2; return a ? g() : 0; }',
      'f(true); f(false);',
      'f(true);',
    );
    const called = counts
      .functions()
      .map(({ startOffset, endOffset, count }) => [source.slice(startOffset, endOffset), count]);
    assert.deepEqual(
      called.filter(([text]) => /=>/.test(String(text)) && !String(text).startsWith('function')),
      [
        ['() => 1', 2],
        ['() => 2', 0],
      ],
    );
  });
});

describe('both outcomes of each kind of decision', () => {
  const cases: Record<string, { source: string; calls: string[]; expected: string[] }> = {
    'if without else that always held': {
      source: 'function f(a) { if (a) seen(1); return 2; }',
      calls: ['f(1); f(2);', 'f(3);'],
      expected: ['if: held 3', 'if: did not hold 0'],
    },
    'if that returns': {
      source: 'function f(a) { if (a) return 1; return 2; }',
      calls: ['f(1); f(0);', 'f(0);'],
      expected: ['if: held 1', 'if: did not hold 2'],
    },
    'if, else if, else': {
      source:
        'function f(a) { if (a === 1) { seen(1); } else if (a === 2) seen(2); else seen(3); }',
      calls: ['f(1); f(2);', 'f(3); f(3);'],
      expected: ['if: held 1', 'if: did not hold 3', 'if: held 1', 'if: did not hold 2'],
    },
    'a chain of and': {
      source: 'function f(a, b, c) { return a && b && c; }',
      calls: ['f(1, 1, 0); f(0, 1, 1);'],
      expected: [
        '&&: right side 1',
        '&&: left side alone 1',
        '&&: right side 1',
        '&&: left side alone 0',
      ],
    },
    'or over and, by their strengths': {
      source: 'function f(a, b, c) { return a && b || c; }',
      calls: ['f(1, 1, 0); f(1, 1, 1); f(0, 1, 1);'],
      expected: [
        '&&: right side 2',
        '&&: left side alone 1',
        '||: right side 1',
        '||: left side alone 2',
      ],
    },
    'a left side behind a block and behind a head': {
      source: 'function f(a) { if (a) { seen(1); }\n a && seen(2); if (a > 1) a || seen(3); }',
      calls: ['f(0); f(1); f(2);'],
      expected: [
        'if: held 2',
        'if: did not hold 1',
        '&&: right side 2',
        '&&: left side alone 1',
        'if: held 1',
        'if: did not hold 2',
        '||: right side 0',
        '||: left side alone 1',
      ],
    },
    'null or not': {
      source: 'function f(a) { return (a?.b ?? 1) + `${a ?? 2}`; }',
      calls: ['f({ b: 1 }); f({});'],
      expected: [
        '?.: there 2',
        '?.: not there 0',
        '??: right side 1',
        '??: left side alone 1',
        '??: right side 0',
        '??: left side alone 2',
      ],
    },
    'nested choices': {
      source: 'function f(a) { return { k: a === 1 ? 1 : a === 2 ? { l: 2 } : [3] }; }',
      calls: ['f(1); f(3);', 'f(3);'],
      expected: ['? :, first 1', '? :, second 2', '? :, first 0', '? :, second 2'],
    },
    'a switch, its default, and one that cannot be reached': {
      source:
        'function f(a) { switch (a) { case 1: case 2: seen(2); break; default: seen(3); }\n' +
        ' switch (a) { case 2: return 1; default: return unreachable(a); } }',
      calls: ['f(2);'],
      expected: ['case 0', 'case 1', 'default 0', 'case 1'],
    },
    'loops and catch': {
      source:
        'function f(a) { for (const x of a) seen(x); while (a.length > 1) { a.pop(); }\n' +
        ' do seen(1); while (a.length > 9);\n try { seen(4); } catch (error) { seen(5); } }',
      calls: ['f([1, 2, 3]);', 'f([]);'],
      expected: ['for: body 3', 'while: body 2', 'catch 0'],
    },
    'the condition of a loop is asked more often than the loop is entered': {
      source:
        'function f(a) { for (let i = 0; i < 3 && a; i++) seen(i); while (a && a.length > 1) a.pop();\n' +
        ' for (const x of a || []) seen(x); }',
      calls: ['f([1]); f([1]);'],
      expected: [
        'for: body 6',
        '&&: right side 6',
        'while: body 0',
        '&&: right side 2',
        'for: body 2',
        '||: right side 0',
        '||: left side alone 2',
      ],
    },
    'assertions have one outcome': {
      source: 'function f(a) { assert(a > 0 && a < 5, a ? "a" : "b"); return /[/"]`/.test(a); }',
      calls: ['f(1);'],
      expected: [],
    },
  };
  for (const [name, { source, calls, expected }] of Object.entries(cases)) {
    test(name, () => assert.deepEqual(outcomes(source, ...calls), expected));
  }
});

test('a script with a bracket too many is refused, not counted wrongly', () => {
  assert.throws(() => tokensOf('f(]); }'), /partner/);
  assert.throws(() => tokensOf('f(('), /never closed/);
});
