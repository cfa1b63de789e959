/**
 * Barriers by their order: each operation of a drive is looked at as it begins, and what has to be on stable storage by
 * then is looked up there. A power cut shows a barrier that is missing only when chance takes the right sectors.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../src/base/units.ts';
import type { Label } from '../../src/core/format/label.ts';
import { decodeLabel, newestLabel } from '../../src/core/format/label-codec.ts';
import { decodeLegHeader } from '../../src/core/format/leg-header.ts';
import { KIB, MIB, Scene, windowRequest } from '../unit/engine/scene.ts';

const ignored = (): void => {};

/** Runs `look` as each operation begins; what it returns is a finding. */
type Look = (path: string, kind: string, offset: number) => string | null;

function watch(scene: Scene, paths: readonly string[], look: Look): string[] {
  const findings: string[] = [];
  for (const path of paths) {
    scene.world.at(path).intercept = ({ kind, offset }) => {
      const finding = look(path, kind, offset);
      if (finding !== null) findings.push(finding);
      return 0;
    };
  }
  return findings;
}

const layoutOf = (scene: Scene) => scene.core.members.at(0).layout ?? assert.fail();

/** The newest label of a drive that a power cut would leave. */
function stableLabel(scene: Scene, path: string): Label | null {
  const { stable } = scene.world.at(path);
  const [a, b] = layoutOf(scene).labelOffsets.map((offset) =>
    decodeLabel(stable.slice(offset, offset + 4 * KIB)),
  );
  const newest = newestLabel(a ?? assert.fail(), b ?? assert.fail());
  return newest.kind === 'label' ? newest.value : null;
}

/** Labels are written while data of `paths` is not flushed. */
function labelsBeforeData(scene: Scene, paths: readonly string[]): string[] {
  const { dataOffset, labelOffsets } = layoutOf(scene);
  const dirty = new Set<string>();
  return watch(scene, [...new Set([...scene.world.drivePaths, ...paths])], (path, kind, offset) => {
    if (kind === 'flush') dirty.delete(path);
    if (kind === 'write' && offset >= dataOffset && paths.includes(path)) dirty.add(path);
    if (kind !== 'write' || !labelOffsets.includes(offset) || dirty.size === 0) return null;
    return `a label goes to ${path} while data of ${[...dirty].join(', ')} is not flushed`;
  });
}

test('the cursor of a replay is on record only after the zone is flushed', async () => {
  const limits = { replayZoneBytes: 8 * KIB };
  const scene = await Scene.make(5, { seed: 81, operationMs: 1, limits });
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  for (let at = 0; at + 16 <= scene.model.sectors; at += 16) await scene.put(at, 16);
  await scene.close();
  const findings = labelsBeforeData(scene, scene.world.drivePaths);
  await scene.closed();
  assert.deepEqual(findings, []);
});

test('the cursor of a rebuild is on record only after what it has passed is flushed', async () => {
  const limits = { sweepStepBytes: 4 * KIB, checkpointMs: 5 };
  const scene = await Scene.make(5, { seed: 82, operationMs: 1, limits });
  await scene.put(0, scene.model.sectors);
  await scene.replace(1, 'new');
  const findings = labelsBeforeData(scene, ['new']);
  await scene.until('optimal');
  assert.deepEqual(findings, []);
});

test('the intent bit of a region is on stable storage before its first data, whoever set it', async () => {
  const scene = await Scene.make(1, { seed: 83, operationMs: 1, memberBytes: 4 * MIB });
  const { world, core } = scene;
  const { dataOffset, bitmapOffset } = layoutOf(scene);
  const { chunkBytes } = core.intent.bits;
  const regionSectors = chunkBytes / 512;
  const regions = Math.floor(scene.model.sectors / regionSectors);
  assert.ok(regions > 2, 'more than one region');
  let looked = 0;
  const findings = watch(scene, world.drivePaths, (path, kind, offset) => {
    if (kind !== 'write' || offset < dataOffset) return null;
    looked++;
    const region = Math.floor((offset - dataOffset) / chunkBytes);
    const byte = world.at(path).stable[bitmapOffset + 256 + (region >> 3)] ?? 0;
    return (byte & (1 << (region & 7))) === 0 ? `region ${region} of ${path} is not marked` : null;
  });
  // The second write to a region comes while the mark of the first is on its way.
  for (let region = 0; region < regions; region++) {
    const writes = [scene.begin(region * regionSectors, 8)];
    for (let i = 1; i < 4; i++) {
      await world.pass(1);
      writes.push(scene.begin(region * regionSectors + 16 * i, 8));
    }
    for (const { done } of writes) assert.equal(await world.until(done), 0);
  }
  assert.ok(looked > 0);
  assert.deepEqual(findings, []);
});

/** Killed in writes everywhere, of which one in each region has not reached the parity; then resynced, slowly. */
async function resyncing(seed: number): Promise<Scene> {
  const limits = { logDirect: 0, sweepStepBytes: 32 * KIB, sweepBytesPerSecond: 64 * KIB };
  const scene = await Scene.make(5, {
    seed,
    operationMs: 1,
    memberBytes: 4 * MIB,
    limits,
    legs: 0,
  });
  const { world } = scene;
  const sectors = scene.model.sectors / 16;
  for (let i = 0; i < 16; i++) await scene.put(i * sectors, sectors);
  const { geometry, intent } = scene.core;
  const { dataOffset } = layoutOf(scene);
  scene.crash(false);
  for (let region = 0; region < intent.bits.count; region++) {
    const stripe = Math.floor(((region + 1) * intent.bits.chunkBytes) / geometry.chunkBytes) - 1;
    const at = dataOffset + Math.min(stripe, geometry.stripeCount - 1) * geometry.chunkBytes;
    const parity = geometry.paritySlot(Math.min(stripe, geometry.stripeCount - 1) as StripeIndex);
    const { bytes, stable } = world.at(`d${parity}`);
    for (const medium of [bytes, stable]) medium[at]! ^= 0x5a;
  }
  await world.assemble();
  return scene;
}

test('the intent bit of a region is cleared only when a power cut leaves it in sync, also while a resync is open', async () => {
  const scene = await resyncing(88);
  const { world } = scene;
  const { dataOffset, bitmapOffset } = layoutOf(scene);
  const { geometry, intent } = scene.core;
  const { chunkBytes, count } = intent.bits;
  const isMarked = (bytes: Uint8Array, region: number): boolean =>
    ((bytes[bitmapOffset + 256 + (region >> 3)] ?? 0) & (1 << (region & 7))) !== 0;
  const addsUp = (region: number): boolean => {
    const to = Math.min((region + 1) * chunkBytes, geometry.memberDataBytes);
    for (let at = dataOffset + region * chunkBytes; at < dataOffset + to; at++) {
      let sum = 0;
      for (const path of world.drivePaths) sum ^= world.at(path).stable[at]!;
      if (sum !== 0) return false;
    }
    return true;
  };
  const cleared = new Set<number>();
  const findings = watch(scene, world.drivePaths, () => {
    for (let region = 0; region < count; region++) {
      // A power cut may keep the write of each drive that has been given it.
      const isClear = world.drivePaths.some((path) => !isMarked(world.at(path).bytes, region));
      if (!isClear || cleared.has(region)) continue;
      cleared.add(region);
      if (!addsUp(region)) return `region ${region} is not in sync`;
    }
    return null;
  });
  for (let i = 0; i < 1_000 && cleared.size < count / 2; i++) await world.pass(50);
  assert.deepEqual(findings, []);
  assert.ok(scene.core.resync !== null && cleared.size >= count / 2 && cleared.size < count);
  const before = cleared.size;
  scene.crash(true, world.random.next);
  await world.assemble();
  const again = scene.core.intent.regionsOf(scene.core.resync?.left(geometry.stripeCount) ?? []);
  const left = again.reduce((sum, one) => sum + one, 0);
  assert.ok(left > 0);
  assert.ok(left <= count - before + 1, 'what was on its way may still be marked');
  for (let i = 0; i < 1_000 && scene.core.metadata.clean === false; i++) await world.pass(100);
  assert.equal(cleared.size, count);
  assert.deepEqual(findings, []);
  await scene.settle('in sync');
});

test('the copies of the header of a leg are written two by two, a flush in between', async () => {
  const scene = await Scene.make(5, { seed: 84, operationMs: 1 });
  const unflushed = new Map<string, number>();
  let headers = 0;
  const findings = watch(scene, scene.world.logPaths, (path, kind, offset) => {
    if (kind === 'flush') unflushed.delete(path);
    if (kind !== 'write' || offset >= 16 * KIB) return null;
    headers++;
    const other = unflushed.get(path) ?? offset;
    unflushed.set(path, offset);
    return other === offset
      ? null
      : `copies at ${other} and ${offset} of ${path} are written at once`;
  });
  await scene.open('1');
  await scene.put(0, 8);
  await scene.closeAndWait();
  assert.ok(headers >= 4);
  assert.deepEqual(findings, []);
});

test('a stripe is changed without a member only after the absence of that member is on record', async () => {
  const scene = await Scene.make(5, { seed: 85, operationMs: 1 });
  const { world, core } = scene;
  await scene.put(0, scene.model.sectors);
  const { dataOffset } = layoutOf(scene);
  let looked = 0;
  const findings = watch(scene, ['d1', 'd2', 'd3'], (path, kind, offset) => {
    if (kind !== 'write' || offset < dataOffset) return null;
    looked++;
    const said = stableLabel(scene, path)?.members.find(({ slot }) => slot === 0)?.state;
    return said === 'failed' || said === 'missing' ? null : `${path} still says ${said}`;
  });
  // The record takes its time; the log does not.
  for (const path of ['d1', 'd2', 'd3']) world.at(path).hang('flush');
  core.members.fail(core.members.at(0), 'pulled', 'vanished');
  const { done } = scene.begin(0, 64);
  await world.pass(100);
  assert.equal(looked, 0, 'the write waits');
  for (const path of ['d1', 'd2', 'd3']) world.at(path).release();
  assert.equal(await world.until(done), 0);
  assert.ok(looked > 0);
  assert.deepEqual(findings, []);
});

test('the drive that leaves gets the label of a freeze after all others have it', async () => {
  const scene = await Scene.make(5, { seed: 86, operationMs: 1 });
  const { world } = scene;
  const { labelOffsets } = layoutOf(scene);
  let looked = 0;
  const findings = watch(scene, ['d1'], (_path, kind, offset) => {
    if (kind !== 'write' || !labelOffsets.includes(offset)) return null;
    if (scene.core.window === null) return null;
    looked++;
    const without = ['d0', 'd2', 'd3'].filter((path) => !stableLabel(scene, path)?.window);
    return without.length === 0 ? null : `${without.join(', ')} do not know of the window`;
  });
  const opening = world.v.openWindow(windowRequest('1'));
  opening.catch(ignored);
  assert.ok((await world.until(opening)).ok);
  assert.equal(looked, 1);
  assert.deepEqual(findings, []);
});

test('no checkpoint of the log is written while it is replayed', async () => {
  const scene = await Scene.make(5, {
    seed: 87,
    operationMs: 200,
    limits: { replayZoneBytes: 8 * KIB, replayStripesAtOnce: 1 },
  });
  const { world, model } = scene;
  await scene.open('1');
  for (let at = 0; at + 16 <= model.sectors; at += 16) await scene.put(at, 16);
  await scene.close();
  // What is above the cursor goes to the log: there is something new to write a checkpoint of.
  assert.equal(await world.until(scene.begin(model.sectors - 8, 8).done), 0);
  const checkpoints = new Set<string>();
  const header = decodeLegHeader(world.at('leg0').stable.slice(0, 4 * KIB)) ?? assert.fail();
  const { checkpointOffset, slotBytes } = header.layout;
  watch(scene, world.logPaths, (path, kind, offset) => {
    const isOne = offset >= checkpointOffset && offset < checkpointOffset + 2 * slotBytes;
    if (kind === 'write' && isOne && scene.core.window !== null) checkpoints.add(path);
    return null;
  });
  const startMs = world.clock.nowMs();
  await scene.closed();
  assert.ok(world.clock.nowMs() - startMs > 20_000, 'long enough for a checkpoint');
  assert.deepEqual([...checkpoints], []);
});
