/** What a drive can do to a volume, one accident a test. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import { decodeLabel, newestLabel } from '../../../src/core/format/label-codec.ts';
import { FlatModel, SECTOR } from './flat-model.ts';
import { World } from './world.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

async function make(level: number, options = {}): Promise<{ world: World; model: FlatModel }> {
  const world = new World({ members: level === 1 ? 2 : 4, seed: level, ...options });
  const chunkBytes = level === 4 || level === 5 ? 8 * KIB : null;
  const volume = await world.create({ level, chunkBytes });
  return { world, model: new FlatModel(volume.sizeBytes / SECTOR) };
}

async function put(world: World, model: FlatModel, start: number, sectors: number): Promise<void> {
  const { values, data } = model.invent(sectors);
  model.begin(start, values);
  assert.equal(await world.until(world.write(start * SECTOR, data)), 0);
  model.answered(start, values, false);
}

async function check(
  world: World,
  model: FlatModel,
  start = 0,
  sectors = model.sectors,
): Promise<void> {
  for (let at = start; at < start + sectors; at += 64) {
    const count = Math.min(64, start + sectors - at);
    const { errno, data } = await world.until(world.read(at * SECTOR, count * SECTOR));
    assert.equal(errno, 0, `sector ${at}: ${world.events.slice(-3).join(' | ')}`);
    model.check(at, data, 'check');
  }
}

const labelOn = (world: World, path: string) => {
  const { bytes } = world.at(path);
  const at = (offset: number): Uint8Array => bytes.slice(offset, offset + 4096);
  const label = newestLabel(decodeLabel(at(MIB - 128 * KIB)), decodeLabel(at(MIB - 64 * KIB)));
  assert.equal(label.kind, 'label');
  return label.kind === 'label' ? label.value : assert.fail();
};

for (const level of [1, 3, 4, 5]) {
  test(`RAID ${level}: a sector that cannot be read is served from the others, counted and rewritten`, async () => {
    const { world, model } = await make(level);
    await put(world, model, 0, 128);
    world.at('d0').failReads({ offset: MIB, lengthBytes: 8 * KIB, errno: EIO, untilWritten: true });
    await check(world, model, 0, 128);
    const status = world.v.status();
    assert.equal(status.state, 'optimal');
    if (level !== 1) {
      assert.ok((status.drives[0]?.errors.read ?? 0) > 0, 'counted');
      assert.ok(
        world.events.some((event) => event.startsWith('sector-repaired')),
        'rewritten',
      );
    }
    const before = world.v.status().drives[0]?.errors.read;
    await check(world, model, 0, 128);
    assert.equal(world.v.status().drives[0]?.errors.read, before, 'repaired for good');
  });

  test(`RAID ${level}: a write that fails takes the drive out, on record before the write is answered`, async () => {
    const { world, model } = await make(level);
    await put(world, model, 0, 16);
    world.at('d1').failWrites({ offset: MIB, errno: EIO });
    const { values, data } = model.invent(96);
    model.begin(0, values);
    assert.equal(await world.until(world.write(0, data)), 0);
    // At the very moment of the answer the other members know.
    const other = labelOn(world, 'd0');
    assert.equal(other.members.find(({ slot }) => slot === 1)?.state, 'failed');
    model.answered(0, values, false);
    assert.equal(world.v.status().state, 'degraded');
    await check(world, model);
  });
}

test('RAID 3: a sector that is read only to check the others is counted and rewritten as well', async () => {
  const { world, model } = await make(3);
  await put(world, model, 0, 128);
  const parity = world.v.status().drives.length - 1;
  const range = { offset: MIB, lengthBytes: 8 * KIB, errno: EIO, untilWritten: true };
  world.at(`d${parity}`).failReads(range);
  await check(world, model, 0, 128);
  const counted = world.v.status().drives[parity]?.errors.read ?? 0;
  assert.ok(counted > 0, 'counted');
  assert.ok(
    world.events.some((event) => event.startsWith('sector-repaired')),
    'rewritten',
  );
  await check(world, model, 0, 128);
  assert.equal(world.v.status().drives[parity]?.errors.read, counted, 'repaired for good');
});

test('many bad sectors within an hour take the drive out, a few do not', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, model.sectors);
  world.at('d2').failReads({ errno: EIO });
  for (let at = 0; at < 40 * 16 && world.v.status().state === 'optimal'; at += 16)
    await check(world, model, at, 16);
  assert.equal(world.v.status().drives[2]?.state, 'failed');
  assert.match(world.v.status().drives[2]?.reason ?? '', /read errors/);
  await check(world, model);
});

test('a drive that hangs is failed after the deadline, and what it does later is not believed', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, 256);
  world.at('d1').hang('read', 'write');
  const start = world.clock.nowMs();
  await put(world, model, 0, 256);
  const tookMs = world.clock.nowMs() - start;
  assert.ok(tookMs >= 7_000 && tookMs < 12_000, `${tookMs} ms`);
  assert.equal(world.v.status().drives[1]?.state, 'failed');
  world.at('d1').release();
  await world.pass(2_000);
  assert.equal(world.v.status().drives[1]?.state, 'failed');
  await check(world, model);
});

test('a flush that fails is final: the drive is out, the flush is answered by the others', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, 64);
  world.at('d3').failFlush({ errno: EIO, count: 1 });
  assert.equal(await world.until(world.v.flush()), 0);
  assert.equal(world.v.status().drives[3]?.state, 'failed');
  await check(world, model);
});

test('a drive that vanishes is noticed within seconds without host I/O', async () => {
  const { world } = await make(5);
  world.at('d0').vanish();
  await world.pass(2_500);
  assert.equal(world.v.status().drives[0]?.state, 'failed');
});

test('a second failure outside a window halts the volume, and nothing is written that could not be undone', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, 512);
  assert.equal(await world.until(world.v.flush()), 0);
  await world.until(world.v.failDrive('0'));
  world.at('d1').vanish();
  await world.pass(2_500);
  assert.equal(world.v.status().state, 'halted');
  const { errno } = await world.until(world.read(0, 64 * KIB));
  assert.equal(errno, EIO);
  assert.equal(await world.until(world.write(0, new Uint8Array(4096))), EIO);
  // The drive was only unplugged: with it back the volume starts again, degraded.
  world.at('d1').reappear();
  world.crash(false);
  await world.assemble();
  assert.equal(world.v.status().state, 'degraded');
  await check(world, model);
});

test('bytes that are no whole sectors are merged, also side by side', async () => {
  const { world } = await make(5);
  const flat = new Uint8Array(64 * KIB);
  for (let i = 0; i < 60; i++) {
    const offset = world.random.below(flat.length - 2_000);
    const data = world.random.bytes(1 + world.random.below(2_000));
    flat.set(data, offset);
    assert.equal(await world.until(world.write(offset, data)), 0);
  }
  const { errno, data } = await world.until(world.read(3, flat.length - 7));
  assert.equal(errno, 0);
  assert.deepEqual(data, flat.subarray(3, flat.length - 4));
});

test('an unclean stop: the marked regions are put in sync in the background while the host reads', async () => {
  const { world, model } = await make(5, { limits: { logDirect: 0 } });
  await put(world, model, 0, 512);
  world.crash(false);
  model.crash(false);
  await world.assemble();
  assert.equal(world.v.status().state, 'resyncing');
  await check(world, model);
  for (let i = 0; i < 100 && world.v.status().state !== 'optimal'; i++) await world.pass(500);
  assert.equal(world.v.status().state, 'optimal');
  await world.pass(10_000);
  await world.until(world.v.stop());
  assert.equal(labelOn(world, 'd0').clean, true);
});

test('with the journal an unclean stop needs no resync: parity is believed at once, also without a member', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, 512);
  const open = model.invent(24);
  model.begin(40, open.values);
  void world.write(40 * SECTOR, open.data);
  // The image is in the log, and the stripe is being written.
  await world.pass(0);
  world.crash(true, world.random.next);
  model.crash(true);
  world.at('d1').vanish();
  const refused = await world.tryAssemble();
  assert.ok(!refused.ok && refused.problem.code === 'members-missing');
  assert.ok((await world.tryAssemble(true)).ok);
  assert.equal(world.v.status().state, 'degraded');
  assert.deepEqual(
    world.v.status().alarms.map(({ code }) => code),
    ['drive-failed'],
  );
  await check(world, model);
});

test('a clean stop needs no resync', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, 512);
  await world.until(world.v.stop());
  world.crash(false);
  await world.assemble();
  assert.equal(world.v.status().state, 'optimal');
  await check(world, model);
});

test('a spare takes the place of a failed drive by itself', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, model.sectors);
  world.medium('spare', 1280 * KIB);
  const added = await world.until(world.v.addDrive('spare', true, false));
  assert.ok(added.ok);
  await world.until(world.v.failDrive('2'));
  for (let i = 0; i < 100 && world.v.status().state !== 'optimal'; i++) await world.pass(500);
  assert.equal(world.v.status().state, 'optimal');
  assert.equal(world.v.status().drives[2]?.path, 'spare');
  await check(world, model);
});

test('a rebuild that is interrupted goes on where it was', async () => {
  const { world, model } = await make(5, {
    limits: { sweepBytesPerSecond: 100 * KIB, checkpointMs: 100, sweepStepBytes: 8 * KIB },
  });
  await put(world, model, 0, model.sectors);
  world.medium('new', 1280 * KIB);
  assert.ok((await world.until(world.v.replaceDrive('1', 'new', false))).ok);
  world.drivePaths.push('new');
  await world.pass(1_200);
  const doneBytes = world.v.status().jobs.find(({ kind }) => kind === 'rebuild')?.doneBytes ?? 0;
  assert.ok(doneBytes > 0);
  world.crash(true);
  model.crash(true);
  await world.assemble();
  assert.equal(world.v.status().state, 'rebuilding');
  const resumed = world.v.status().jobs.find(({ kind }) => kind === 'rebuild')?.doneBytes ?? 0;
  assert.ok(resumed > 0, 'the rebuild began anew');
  for (let i = 0; i < 100 && world.v.status().state !== 'optimal'; i++) await world.pass(500);
  await check(world, model);
});

test('scrub finds what disagrees, and mends it when asked', async () => {
  const { world, model } = await make(5);
  await put(world, model, 0, model.sectors);
  world.at('d0').overwrite(MIB + 8 * KIB, new Uint8Array(512).fill(1));
  const run = async (repair: boolean): Promise<number> => {
    assert.ok((await world.v.startScrub(repair)).ok);
    await world.pass(5_000);
    const result = world.v.scrubStatus();
    return result.ok && result.value.state === 'done' ? result.value.mismatches : -1;
  };
  assert.equal(await run(false), 1);
  assert.ok(world.v.status().alarms.some(({ code }) => code === 'scrub-mismatch'));
  assert.equal(await run(true), 1);
  assert.equal(await run(false), 0);
});

test('RAID 3: a read that checks parity meets an error that is gone the next time: it is counted', async () => {
  for (const path of ['d0', 'd1', 'd2', 'd3']) {
    const { world, model } = await make(3);
    await put(world, model, 0, 128);
    world.at(path).failReads({ errno: EIO, count: 1 });
    await check(world, model, 0, 128);
    const counted = world.v.status().drives.map(({ errors }) => errors.read);
    assert.deepEqual(
      counted.filter((count) => count > 0),
      [1],
      `${path}: ${counted.join()}`,
    );
  }
});
