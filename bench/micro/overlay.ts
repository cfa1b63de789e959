/**
 * What the overlay costs at a million extents: inserts, lookups, memory, and loading a checkpoint.
 * Prints one JSON line; nothing here passes or fails.
 *
 *   node --expose-gc dist/bench/micro/overlay.js
 */

import { DATA, Overlay } from '../../src/core/overlay.ts';

const EXTENTS = 1_000_000;
const SECTORS_EACH = 8;

let state = 1;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const perSecond = (count: number, startedNs: bigint): number =>
  Math.round(count / (Number(process.hrtime.bigint() - startedNs) / 1e9));
const collected = (): number => {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

// Every second block of a volume twice as large, in random order: no two extents can be joined.
const order = new Uint32Array(EXTENTS);
for (let i = 0; i < EXTENTS; i += 1) order[i] = i;
for (let i = EXTENTS - 1; i > 0; i -= 1) {
  const j = random(i + 1);
  const kept = order[i] as number;
  order[i] = order[j] as number;
  order[j] = kept;
}

const before = collected();
const overlay = new Overlay();
let started = process.hrtime.bigint();
for (let i = 0; i < EXTENTS; i += 1) {
  overlay.insert(
    (order[i] as number) * 2 * SECTORS_EACH,
    SECTORS_EACH,
    DATA,
    i * (SECTORS_EACH + 1),
  );
}
const insertsPerSecond = perSecond(EXTENTS, started);
const bytesPerExtent = (collected() - before) / overlay.extentCount;

started = process.hrtime.bigint();
for (let i = 0; i < EXTENTS; i += 1) {
  overlay.insert((order[i] as number) * 2 * SECTORS_EACH, SECTORS_EACH, DATA, i * 16);
}
const overwritesPerSecond = perSecond(EXTENTS, started);

started = process.hrtime.bigint();
let hits = 0;
for (let i = 0; i < EXTENTS; i += 1)
  if (overlay.anyIn(random(2 * EXTENTS) * SECTORS_EACH, SECTORS_EACH)) hits += 1;
const lookupsPerSecond = perSecond(EXTENTS, started);

started = process.hrtime.bigint();
let sectors = 0;
for (let i = 0; i < EXTENTS; i += 1) {
  overlay.forEachPiece(random(2 * EXTENTS) * SECTORS_EACH, SECTORS_EACH, (_start, length) => {
    sectors += length;
  });
}
const visitsPerSecond = perSecond(EXTENTS, started);

const columns = new Float64Array(EXTENTS * 2);
let exported = 0;
started = process.hrtime.bigint();
overlay.exportTo((start, _sectors, _kind, location) => {
  columns[exported * 2] = start;
  columns[exported * 2 + 1] = location;
  exported += 1;
});
const exportMs = Number(process.hrtime.bigint() - started) / 1e6;

const loaded = new Overlay();
let next = 0;
started = process.hrtime.bigint();
loaded.bulkLoad(exported, (extent) => {
  extent.start = columns[next * 2] as number;
  extent.sectors = SECTORS_EACH;
  extent.kind = DATA;
  extent.location = columns[next * 2 + 1] as number;
  next += 1;
});
const bulkLoadMs = Number(process.hrtime.bigint() - started) / 1e6;

started = process.hrtime.bigint();
for (let i = 0; i < EXTENTS; i += 1) {
  overlay.removeIf((order[i] as number) * 2 * SECTORS_EACH, SECTORS_EACH, DATA, i * 16);
}
const removalsPerSecond = perSecond(EXTENTS, started);

const figures = {
  extents: EXTENTS,
  insertsPerSecond,
  overwritesPerSecond,
  lookupsPerSecond,
  visitsPerSecond,
  removalsPerSecond,
  bytesPerExtent: Math.round(bytesPerExtent * 10) / 10,
  exportMs: Math.round(exportMs),
  bulkLoadMs: Math.round(bulkLoadMs),
  checked: hits + sectors > 0,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
