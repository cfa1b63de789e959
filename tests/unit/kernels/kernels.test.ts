/** The WebAssembly kernels against the scalar reference, the module against its source. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type Address, KIB, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Kernels } from '../../../src/kernels/kernels.ts';
import { createScalarKernels } from '../../../src/kernels/scalar-kernels.ts';
import { createWasmKernels } from '../../../src/kernels/wasm-kernels.ts';

const LENGTHS = [64, 128, 192, 512, 4096, 4096 + 64, 64 * KIB];
const MOST_SOURCES = 13;

const pool = new BufferPool({ sizeBytes: 16 * MIB });
const wasm = createWasmKernels(pool.memory);
const scalar = createScalarKernels(pool.memory);

/** A fixed stream of bytes: the same in every run. */
function fill(address: Address, lengthBytes: number, seed: number): void {
  let state = seed >>> 0 || 1;
  for (let i = 0; i < lengthBytes; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pool.bytes[address + i] = state >>> 24;
  }
}

const take = (): Address => pool.take(64 * KIB + 4096, 'engine');
const copy = (address: Address, lengthBytes: number): Uint8Array =>
  pool.slice(address, lengthBytes).slice();

/** Runs `xor` on freshly filled sources and returns the target with a guard zone behind it. */
function xored(
  kernels: Kernels,
  own: number | null,
  count: number,
  lengthBytes: number,
): Uint8Array {
  const sources = Array.from({ length: count }, take);
  for (const [i, source] of sources.entries()) fill(source, lengthBytes, i * 7919 + lengthBytes);
  const target = own === null ? take() : sources[own]!;
  pool.bytes.fill(0x5a, target + lengthBytes, target + lengthBytes + 64);
  kernels.xor(target, sources, lengthBytes);
  const result = copy(target, lengthBytes + 64);
  for (const source of sources) pool.give(source);
  if (own === null) pool.give(target);
  return result;
}

test('xor agrees with the scalar reference for every count, length and aliasing', () => {
  for (let count = 1; count <= MOST_SOURCES; count += 1) {
    for (const lengthBytes of LENGTHS) {
      for (const own of [null, ...Array.from({ length: count }, (_, i) => i)]) {
        const expected = xored(scalar, own, count, lengthBytes);
        const found = xored(wasm, own, count, lengthBytes);
        assert.deepEqual(found, expected, `${count} sources, ${lengthBytes} bytes, target ${own}`);
        assert.ok(found.subarray(lengthBytes).every((byte) => byte === 0x5a));
      }
    }
  }
});

test('the scalar reference is right on a case done by hand', () => {
  const [a, b, target] = [take(), take(), take()];
  pool.bytes.fill(0b1100, a, a + 64);
  pool.bytes.fill(0b1010, b, b + 64);
  scalar.xor(target, [a, b], 64);
  assert.ok(copy(target, 64).every((byte) => byte === 0b0110));
  for (const address of [a, b, target]) pool.give(address);
});

test('xorInto undoes itself', () => {
  const [a, b] = [take(), take()];
  for (const kernels of [wasm, scalar]) {
    fill(a, 4096, 1);
    fill(b, 4096, 2);
    const before = copy(a, 4096);
    kernels.xorInto(a, b, 4096);
    assert.notDeepEqual(copy(a, 4096), before);
    kernels.xorInto(a, b, 4096);
    assert.deepEqual(copy(a, 4096), before);
  }
  pool.give(a);
  pool.give(b);
});

test('equal and isZero see a difference in any byte, and none beyond the length', () => {
  const [a, b] = [take(), take()];
  for (const kernels of [wasm, scalar]) {
    for (const lengthBytes of [64, 256, 4096]) {
      fill(a, lengthBytes + 64, 3);
      fill(b, lengthBytes, 3);
      pool.bytes.fill(0xff, b + lengthBytes, b + lengthBytes + 64);
      assert.equal(kernels.equal(a, b, lengthBytes), true);
      for (let at = 0; at < lengthBytes; at += 1) {
        pool.bytes[b + at]! ^= 1;
        assert.equal(kernels.equal(a, b, lengthBytes), false, `byte ${at}`);
        pool.bytes[b + at]! ^= 1;
      }
      pool.bytes.fill(0, a, a + lengthBytes);
      assert.equal(kernels.isZero(a, lengthBytes), true);
      for (let at = 0; at < lengthBytes; at += 1) {
        pool.bytes[a + at] = 0x80;
        assert.equal(kernels.isZero(a, lengthBytes), false, `byte ${at}`);
        pool.bytes[a + at] = 0;
      }
    }
  }
  pool.give(a);
  pool.give(b);
});

test('a length that is not a multiple of 64 is a bug', () => {
  const [a, b] = [take(), take()];
  for (const kernels of [wasm, scalar]) {
    assert.throws(() => kernels.xor(a, [a, b], 100), /64-byte/);
  }
  assert.throws(() => wasm.xor(a, [], 64), /has sources/);
  pool.give(a);
  pool.give(b);
});

test('the committed module is what its source assembles to', (t) => {
  const root = join(import.meta.dirname, '../../../..');
  const script = join(root, 'dist/scripts/build-kernels.js');
  if (!existsSync(script)) return t.skip('dist/scripts/build-kernels.js is not built');
  if (!existsSync(join(root, 'node_modules/wabt'))) return t.skip('wabt is not installed');
  const check = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(check.status, 0, check.stderr);
});
