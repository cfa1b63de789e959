/**
 * Commands of an operator beside other commands and beside failures: a check that held when the command began may hold no
 * longer when it acts. Each accident is tried at every moment of the command, a millisecond apart.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeLabel, newestLabel } from '../../../src/core/format/label-codec.ts';
import type { Outcome } from '../../../src/core/problems.ts';
import { closeRequest, KIB, MIB, Scene, windowRequest } from './scene.ts';

const levels = [1, 3, 4, 5];

const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'done' : outcome.problem.code);

function blank(scene: Scene, path: string): string {
  scene.world.medium(path, scene.world.at('d0').sizeBytes);
  scene.world.drivePaths.push(path);
  return path;
}

const isBlank = (scene: Scene, path: string): boolean =>
  scene.world
    .at(path)
    .bytes.subarray(4 * KIB, 8 * KIB)
    .every((byte) => byte === 0);

async function full(level: number, seed: number, legs = 2): Promise<Scene> {
  const scene = await Scene.make(level, { seed, legs, operationMs: 1 });
  await scene.put(0, 64);
  await scene.flush();
  return scene;
}

test('two drives are replaced at once: one of them stays, and its new drive is given back', async () => {
  for (const level of levels) {
    for (let apartMs = 0; apartMs < 16; apartMs++) {
      const scene = await full(level, 60 + level);
      const { world } = scene;
      const first = world.v.replaceDrive('0', blank(scene, 'a'), false);
      await world.pass(apartMs);
      const second = world.v.replaceDrive('1', blank(scene, 'b'), false);
      const codes = [codeOf(await world.until(first)), codeOf(await world.until(second))];
      const where = `RAID ${level}, ${apartMs} ms apart: ${codes.join(', ')}`;
      assert.ok(!scene.core.halted, `${where}: ${scene.recent}`);
      assert.equal(codes.filter((code) => code === 'done').length, 1, where);
      const refused = codes[0] === 'done' ? 'b' : 'a';
      assert.ok(isBlank(scene, refused), `${where}: it still calls itself a member`);
      await scene.check(where);
      await scene.until('optimal');
      await scene.check(`${where}, rebuilt`);
      scene.addsUp(where);
    }
  }
});

test('a drive fails while another one is being replaced: that one stays', async () => {
  for (const level of levels) {
    const codes = new Set<string>();
    for (let afterMs = 0; afterMs < 30; afterMs++) {
      const scene = await full(level, 70 + level);
      const { world } = scene;
      const replacing = world.v.replaceDrive('0', blank(scene, 'a'), false);
      await world.pass(afterMs);
      const failing = world.v.failDrive('1');
      const [replaced, failed] = [
        codeOf(await world.until(replacing)),
        codeOf(await world.until(failing)),
      ];
      codes.add(`${replaced}, ${failed}`);
      const where = `RAID ${level}, ${afterMs} ms: ${replaced}, ${failed}`;
      assert.ok(!scene.core.halted, `${where}: ${scene.recent}`);
      await scene.check(where);
      await scene.settle(where);
    }
    assert.ok(codes.has('drive-last-copy, done'), [...codes].join('; '));
    assert.ok(codes.has('done, drive-last-copy'), [...codes].join('; '));
  }
});

test('the new drive takes no writes: the one that it was to replace stays', async () => {
  for (const level of levels) {
    const scene = await full(level, 80 + level);
    const { world } = scene;
    blank(scene, 'a');
    world.at('a').failWrites({ errno: 5 });
    const replaced = await world.until(world.v.replaceDrive('0', 'a', false));
    assert.equal(codeOf(replaced), 'io-error');
    assert.equal(scene.core.members.at(0).path, 'd0');
    assert.equal(scene.state, 'optimal');
    assert.equal(codeOf(await world.until(world.v.addDrive('a', true, false))), 'io-error');
    assert.equal(scene.core.members.spares.length, 0);
    await scene.settle(`RAID ${level}`);
  }
});

test('a drive that was failed by hand misses no write that is answered before that is on record', async () => {
  for (const level of levels) {
    for (const command of ['fail', 'replace']) {
      const scene = await full(level, 90 + level, 0);
      const { world } = scene;
      const { v } = world;
      const commanded =
        command === 'fail' ? v.failDrive('1') : v.replaceDrive('1', blank(scene, 'a'), false);
      const member = scene.core.members.at(1);
      for (let i = 0; i < 1_000 && member.state === 'online'; i++) await world.pass(0.25);
      const write = scene.begin(0, 64);
      while (!write.answered) await world.pass(0.25);
      assert.equal(await write.done, 0);
      const { bytes } = world.at('d0');
      const at = (offset: number) => decodeLabel(bytes.slice(offset, offset + 4 * KIB));
      const label = newestLabel(at(MIB - 128 * KIB), at(MIB - 64 * KIB));
      assert.ok(label.kind === 'label');
      const onRecord = label.value.members.find(({ uuid }) => uuid === member.uuid);
      assert.notEqual(onRecord?.state, 'online', `RAID ${level}, ${command}`);
      await world.until(commanded);
    }
  }
});

test('a failed drive is looked at so long that the window is over: it is not taken for one of the frozen image', async () => {
  for (const level of [3, 5]) {
    for (let afterMs = 0; afterMs < 16; afterMs++) {
      const scene = await full(level, 100 + level);
      const { world } = scene;
      await scene.open('0');
      await scene.fill(6);
      assert.ok((await world.until(world.v.failDrive('1'))).ok);
      const adding = world.v.addDrive('d1', false, false);
      await world.pass(afterMs);
      world.at('d1').hang('read');
      await world.until(world.v.closeWindow(closeRequest()));
      for (let i = 0; i < 200 && scene.core.window !== null; i++) await world.pass(1);
      world.at('d1').release();
      const added = codeOf(await world.until(adding));
      const where = `RAID ${level}, ${afterMs} ms: ${added}`;
      await scene.closed();
      await scene.check(where);
      await scene.settle(where);
    }
  }
});

test('a failed drive is added again while a window is being opened on another one', async () => {
  for (const level of [3, 5]) {
    const codes = new Set<string>();
    for (let apartMs = 0; apartMs < 40; apartMs += 2) {
      for (const addFirst of [true, false]) {
        const scene = await full(level, 110 + level);
        const { world } = scene;
        assert.ok((await world.until(world.v.failDrive('1'))).ok);
        await scene.fill(3);
        const add = () => world.v.addDrive('d1', false, false);
        const open = () => world.v.openWindow(windowRequest('0', { allowDegraded: true }));
        const one: Promise<Outcome<unknown>> = addFirst ? add() : open();
        await world.pass(apartMs);
        const other: Promise<Outcome<unknown>> = addFirst ? open() : add();
        const both = [codeOf(await world.until(one)), codeOf(await world.until(other))];
        const where = `RAID ${level}, ${addFirst ? 'add' : 'open'} first, ${apartMs} ms: ${both}`;
        codes.add(`${addFirst}: ${both}`);
        assert.ok(!scene.core.halted, where);
        await scene.fill(3);
        await scene.settle(where);
      }
    }
    assert.ok(codes.size > 2, [...codes].join('; '));
  }
});

test('a member comes back by itself after a start while a window is being opened: it waits for the end of that', async () => {
  for (const level of [3, 5]) {
    const met = new Set<string>();
    for (let afterMs = 0; afterMs < 60; afterMs += 4) {
      const scene = await full(level, 120 + level);
      const { world } = scene;
      scene.crash(false);
      world.at('d1').vanish();
      assert.ok((await world.until(world.tryAssemble(true))).ok);
      await scene.fill(3);
      scene.crash(false);
      world.at('d1').reappear();
      const { openDrive } = world.environment;
      let opened = 0;
      world.environment = {
        ...world.environment,
        openDrive: async (path) => {
          // First to see what it is, then to take it back.
          if (path === 'd1' && opened++ > 0)
            await new Promise<void>((resolve) => void world.clock.after(20, resolve));
          return openDrive(path);
        },
      };
      await world.assemble();
      await world.pass(afterMs);
      const window = await world.until(
        world.v.openWindow(windowRequest('0', { allowDegraded: true })),
      );
      const where = `RAID ${level}, ${afterMs} ms: ${codeOf(window)}`;
      met.add(`${codeOf(window)}, slot 1 ${scene.core.members.at(1).state}`);
      await world.pass(50);
      assert.ok(!scene.core.halted, where);
      await scene.fill(3);
      await scene.settle(where);
    }
    assert.ok(met.has('done, slot 1 missing'), [...met].join('; '));
    assert.ok(met.size > 1, [...met].join('; '));
  }
});

test('a rebuilt drive is called online when that is on record, and not before', async () => {
  for (const level of [1, 3, 5]) {
    const scene = await full(level, 130 + level);
    const { world } = scene;
    assert.ok((await world.until(world.v.replaceDrive('1', blank(scene, 'a'), false))).ok);
    const shown = (): string | undefined =>
      world.v.status().drives.find(({ slot }) => slot === 1)?.state;
    let before = 0;
    for (let i = 0; i < 20_000 && shown() !== 'online'; i++) {
      if (scene.core.members.at(1).state === 'online') before++;
      assert.ok(!scene.said('volume-optimal'), `RAID ${level}: optimal, and the drive is not`);
      assert.notEqual(scene.state, 'optimal', `RAID ${level}`);
      await world.pass(0.25);
    }
    // With the power gone, and one more drive, it is as whole as it was said to be.
    scene.crash(true, world.random.next);
    world.at('d0').vanish();
    assert.ok((await world.until(world.tryAssemble(true))).ok, `RAID ${level}`);
    await scene.check(`RAID ${level}`);
    assert.ok(before > 0, `RAID ${level}: nobody looked while it was put on record`);
  }
});

test('a commit is asked for in the moment between two others: they do not overlap', async () => {
  const { core, world } = await full(5, 140);
  const { metadata } = core;
  await world.until(metadata.idle());
  const { sequence } = metadata;
  const first = metadata.commit();
  const third = first.then(() => metadata.commit());
  const second = metadata.commit();
  await world.until(Promise.all([second, third]));
  // The third is asked for before the second begins, and shares it.
  assert.equal(metadata.sequence, sequence + 2);
});
