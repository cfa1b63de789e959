/**
 * XOR of four 64 KiB chunks into a fifth, against copying the same four chunks: aim ≥ 0.5 × memory
 * copy.
 *
 *   node dist/bench/micro/xor.js
 */

import { performance } from 'node:perf_hooks';
import { type Address, KIB, MIB } from '../../src/base/units.ts';
import { BufferPool } from '../../src/io/buffer-pool.ts';
import { createWasmKernels } from '../../src/kernels/wasm-kernels.ts';

const CHUNK_BYTES = 64 * KIB;
const ROUNDS = 4000;

const pool = new BufferPool({ sizeBytes: 64 * MIB });
const kernels = createWasmKernels(pool.memory);
const buffers = Array.from({ length: 8 }, () => pool.take(CHUNK_BYTES, 'engine'));
const sources = buffers.slice(0, 4);
const [target, ...copies] = buffers.slice(4) as [Address, ...Address[]];
copies.push(target);

function gigabytesPerSecond(run: () => void): number {
  const rates: number[] = [];
  for (let repeat = 0; repeat < 9; repeat += 1) {
    const begunMs = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) run();
    rates.push((ROUNDS * CHUNK_BYTES * sources.length) / (performance.now() - begunMs) / 1e6);
  }
  return rates.sort((a, b) => a - b)[4]!;
}

for (const buffer of buffers) pool.bytes.fill(1, buffer, buffer + CHUNK_BYTES);
const copy = gigabytesPerSecond(() => {
  for (let i = 0; i < 4; i += 1)
    pool.bytes.copyWithin(copies[i]!, sources[i]!, sources[i]! + CHUNK_BYTES);
});
const xor = gigabytesPerSecond(() => kernels.xor(target, sources, CHUNK_BYTES));
process.stdout.write(
  `copy of 4 chunks  ${copy.toFixed(1)} GB/s\n` +
    `xor of 4 chunks   ${xor.toFixed(1)} GB/s of source data\n` +
    `ratio             ${(xor / copy).toFixed(2)}\n`,
);
