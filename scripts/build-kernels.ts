/**
 * Assembles the XOR kernels: writes their WebAssembly text, has wabt assemble it, and keeps the
 * result as a TypeScript module (src/kernels/xor.wasm.ts), so that building and running Locum needs
 * no WebAssembly tools.
 *
 *   node dist/scripts/build-kernels.js           writes the module node
 *   dist/scripts/build-kernels.js --check   exits 1 when the module is not what this file makes
 *   node dist/scripts/build-kernels.js --text    prints the WebAssembly text
 *
 * Every loop handles 64 bytes a round in four 16-byte lanes: lengths are multiples of 64, so there
 * is no tail. All sources of a lane are read before it is written, so the target may be one of
 * them.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import wabt from 'wabt';

const STEP_BYTES = 64;
const LANES = [0, 16, 32, 48];

const load = (pointer: string, at: number): string =>
  `(v128.load offset=${at} (local.get $${pointer}))`;
const advance = (pointer: string): string =>
  `(local.set $${pointer} (i32.add (local.get $${pointer}) (i32.const ${STEP_BYTES})))`;
const parameters = (names: readonly string[]): string =>
  names.map((name) => `(param $${name} i32)`).join(' ');
const combined = (operation: string, terms: readonly string[]): string =>
  terms.reduce((left, right) => `(${operation} ${left} ${right})`);

/** target ← XOR of `count` sources. */
function xorFunction(count: number): string {
  const sources = Array.from({ length: count }, (_, i) => `s${i}`);
  return `
  (func (export "xor${count}") ${parameters(['target', ...sources, 'length'])}
    (local $end i32)
    (local.set $end (i32.add (local.get $target) (local.get $length)))
    (block $done
      (br_if $done (i32.eqz (local.get $length)))
      (loop $next
        ${LANES.map((at) => {
          const value = combined(
            'v128.xor',
            sources.map((source) => load(source, at)),
          );
          return `(v128.store offset=${at} (local.get $target) ${value})`;
        }).join('\n        ')}
        ${['target', ...sources].map(advance).join('\n        ')}
        (br_if $next (i32.lt_u (local.get $target) (local.get $end))))))`;
}

/** 1 when no 64-byte round has a bit set in `value`, else 0 at the first that has. */
function testFunction(
  name: string,
  pointers: readonly string[],
  value: (at: number) => string,
): string {
  const first = pointers[0]!;
  return `
  (func (export "${name}") ${parameters([...pointers, 'length'])} (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $${first}) (local.get $length)))
    (block $done
      (br_if $done (i32.eqz (local.get $length)))
      (loop $next
        (if (v128.any_true ${combined('v128.or', LANES.map(value))})
          (then (return (i32.const 0))))
        ${pointers.map(advance).join('\n        ')}
        (br_if $next (i32.lt_u (local.get $${first}) (local.get $end)))))
    (i32.const 1))`;
}

export const kernelText = (): string => `(module
  (import "pool" "memory" (memory 1))${[2, 3, 4, 5].map(xorFunction).join('')}
${testFunction('equal', ['a', 'b'], (at) => `(v128.xor ${load('a', at)} ${load('b', at)})`)}
${testFunction('zero', ['a'], (at) => load('a', at))}
)
`;

async function assembled(): Promise<string> {
  const tools = await wabt();
  const module = tools.parseWat('xor.wat', kernelText(), { simd: true });
  module.validate();
  const { buffer } = module.toBinary({});
  module.destroy();
  const base64 = Buffer.from(buffer).toString('base64');
  const lines = base64.match(/.{1,88}/g) ?? [];
  return `/**
 * The XOR kernels as WebAssembly, base64. Written by scripts/build-kernels.ts, which holds the
 * source; do not edit.
 */

export const xorWasm = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
}

const path = join(import.meta.dirname, '../../src/kernels/xor.wasm.ts');
if (process.argv.includes('--text')) {
  process.stdout.write(kernelText());
} else {
  const text = await assembled();
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    process.stderr.write(
      'src/kernels/xor.wasm.ts is stale: run dist/scripts/build-kernels.js without --check\n',
    );
    process.exitCode = 1;
  }
}
