/** Cases of the return, the replay and of control that no other test holds (cases.ts has all of them). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryMedium } from '../../src/io/memory-drive.ts';
import { closeRequest, KIB, Scene } from '../unit/engine/scene.ts';

test('6.3.1 it comes back with blocks of 4 KiB instead of 512 bytes: refused', async () => {
  const scene = await Scene.make(5, { seed: 1 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(10);
  const { sizeBytes, bytes } = world.at('d1');
  const changed = new MemoryMedium({ sizeBytes, blockBytes: 4 * KIB });
  changed.overwrite(0, bytes);
  world.media.set('flashed', changed);
  assert.equal(await scene.closeRefused({ drivePath: 'flashed' }), 'drive-changed');
  assert.equal(scene.core.window?.state, 'open');
  await scene.closeAndWait();
  await scene.settle('as it was');
});

test('6.3.8 the drive flaps on its return, the other one all the time: compared anew each time, tried ever less often', async () => {
  const scene = await Scene.make(5, {
    seed: 2,
    operationMs: 1,
    limits: { sweepStepBytes: 4 * KIB },
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(10);
  for (let i = 0; i < 6; i++) {
    const closing = world.v.closeWindow(closeRequest({ verify: 'full' }));
    await world.pass(5 + 3 * i);
    world.at('d1').vanish();
    const closed = await world.until(closing);
    assert.ok(!closed.ok, `return ${i}`);
    assert.equal(scene.core.window?.state, 'open');
    world.at('d1').reappear();
    await scene.put(8 * i, 8);
  }
  // Another member comes and goes. Each time it is identified again, at growing intervals.
  let opened = 0;
  const { environment } = world;
  const { openDrive } = environment;
  Object.assign(environment, {
    openDrive: (path: string) => {
      if (path === 'd2') opened++;
      return openDrive(path);
    },
  });
  for (let i = 0; i < 120; i++) {
    world.at('d2').vanish();
    await world.pass(1_000);
    world.at('d2').reappear();
    await world.pass(1_000);
  }
  assert.ok(opened > 0 && opened < 60, `tried ${opened} times in four minutes`);
  await world.pass(60_000);
  assert.equal(world.v.status().drives[2]?.state, 'online', scene.recent);
  await scene.closeAndWait({ verify: 'full' });
  await scene.settle('it stays at last');
});

test('6.4.5 hosts write faster than the log is replayed: they are slowed down, and the replay ends', async () => {
  for (const level of [1, 5]) {
    const scene = await Scene.make(level, {
      seed: 3,
      operationMs: 1,
      limits: { replayZoneBytes: 8 * KIB, replayStripesAtOnce: 1 },
    });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.open('1', { onDoubleAbsence: 'error' });
    await scene.fill(40);
    await scene.close();
    let stop = false;
    const width = Math.floor(scene.model.sectors / 8);
    const writers = Array.from({ length: 8 }, async (_, lane) => {
      while (!stop) assert.equal(await scene.begin(lane * width, width).done, 0);
    });
    for (let i = 0; i < 600 && scene.core.window !== null; i++) await world.pass(100);
    assert.equal(scene.core.window, null, 'a minute is enough for a log of a few hundred KiB');
    stop = true;
    await world.until(Promise.all(writers));
    await scene.settle(`RAID ${level}`);
  }
});

test('6.4.9 the other drive was only unplugged and the window has ended without it: it is behind, and is resynced by bitmap', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 4 + level, members: level === 1 ? 3 : 4 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await world.pass(10_000);
    await scene.open('1', { onDoubleAbsence: 'error' });
    await scene.fill(5);
    world.at('d2').vanish();
    await world.pass(2_000);
    await scene.put(3, 9);
    await scene.closeAndWait();
    assert.equal(scene.state, 'degraded');
    world.at('d2').reappear();
    await world.pass(60_000);
    assert.equal(world.v.status().drives[2]?.state, 'failed', 'not taken back by itself');
    await scene.check('without it');
    assert.ok((await world.until(world.v.addDrive('d2', false, false))).ok);
    await scene.until('optimal');
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    await scene.check('it has what it missed');
    await scene.settle(`RAID ${level}`);
  }
});

test('6.5.6 nothing is ever more than done: jobs and the replay count up to their total and not beyond', async () => {
  const scene = await Scene.make(5, {
    seed: 9,
    operationMs: 1,
    limits: { sweepStepBytes: 4 * KIB, sweepBytesPerSecond: 64 * KIB, replayZoneBytes: 8 * KIB },
  });
  const { world } = scene;
  const seen = new Map<string, number>();
  const look = (): void => {
    const { jobs, window, log } = world.v.status();
    for (const { kind, doneBytes, totalBytes, state } of jobs) {
      assert.ok(doneBytes <= totalBytes, `${kind}: ${doneBytes} of ${totalBytes}`);
      if (state !== 'running') continue;
      assert.ok(doneBytes >= (seen.get(kind) ?? 0), `${kind} goes backwards`);
      seen.set(kind, doneBytes);
    }
    if (log) assert.ok(log.usedBytes <= log.capacityBytes);
    if (window?.state === 'open') assert.ok(window.replayedBytes <= window.loggedBytes);
  };
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(30);
  void world.v.closeWindow(closeRequest({ verify: 'full' })).catch(() => {});
  for (let i = 0; i < 3_000 && scene.core.window !== null; i++) {
    look();
    if (i % 20 === 0) scene.begin(i % 100, 8);
    await world.pass(5);
  }
  assert.equal(scene.core.window, null);
  for (let i = 0; i < 100 && scene.core.mode !== 'direct'; i++) await world.pass(5);
  assert.ok((await world.until(world.v.failDrive('2'))).ok);
  await scene.replace(2);
  for (let i = 0; i < 300 && scene.state !== 'optimal'; i++) {
    look();
    await world.pass(20);
  }
  assert.equal(scene.state, 'optimal');
  assert.ok(seen.has('rebuild') && seen.has('verify'), [...seen.keys()].join());
});
