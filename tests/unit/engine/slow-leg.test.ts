/**
 * A start with a log leg that takes seconds for each read, and a quick one: the quick one is read, the slow one only where
 * that has nothing more. Nothing is out for it, and nothing is lost, whichever of them is there later.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const SLOW_MS = 4_000;
const WRITES = 100;
/** Of 64 KiB each: their headers are read one by one. */
const WRITE_SECTORS = 128;
const RECORDS_AT = 4 * MIB;

/** A window is open, and the log has much to read. */
async function logged(seed: number): Promise<{ scene: Scene; segments: number[] }> {
  const scene = await Scene.make(5, { seed });
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  const segments: number[] = [];
  scene.world.at('leg1').intercept = ({ kind, offset }) => {
    if (kind === 'write' && offset > RECORDS_AT) segments.push(offset);
    return 0;
  };
  const most = scene.model.sectors - WRITE_SECTORS;
  for (let i = 0; i < WRITES; i++) await scene.put((i * 8) % most, WRITE_SECTORS);
  scene.world.at('leg1').intercept = null;
  return { scene, segments };
}

/** From now on; until the next crash. */
function slowDown({ world }: Scene, leg: string): void {
  const { openDrive } = world.environment;
  world.environment = {
    ...world.environment,
    openDrive: async (path) => {
      const medium = world.at(path);
      if (path !== leg || medium.isOpen) return openDrive(path);
      const later = (run: () => void, { kind }: { kind: string }): void => {
        if (kind === 'read') world.clock.after(SLOW_MS, run);
        else queueMicrotask(run);
      };
      return { ok: true, value: medium.open(path, world.buffers, later) };
    },
  };
}

/** How long a start with this leg slow takes. */
async function startMs(scene: Scene, leg: string): Promise<number> {
  const { world } = scene;
  slowDown(scene, leg);
  const { clock } = world;
  const begunMs = clock.nowMs();
  const started = await world.until(world.tryAssemble(), 60 * 60_000);
  assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
  return clock.nowMs() - begunMs;
}

const legStates = ({ world }: Scene): string[] =>
  world.v.status().log?.legs.map(({ state }) => state) ?? [];

for (const power of [false, true]) {
  test(`after a ${power ? 'power cut' : 'kill'}: a start takes no longer for a slow leg than that leg needs for its end`, async () => {
    const { scene } = await logged(610);
    const { world } = scene;
    scene.crash(power, world.random.next);
    const tookMs = await startMs(scene, 'leg0');
    assert.ok(tookMs < 30 * SLOW_MS, `${tookMs} ms`);
    assert.deepEqual(legStates(scene), ['online', 'online']);
    await scene.check('started');
    await scene.fill(3);
    // Both of them have everything: the slow one alone,
    scene.crash(false);
    world.at('leg1').vanish();
    await world.assemble();
    await scene.check('the slow one alone');
    await scene.closeAndWait();
    await scene.settle('closed');
  });
}

test('the quick leg cannot read a header: the slow one has it', async () => {
  for (const number of [20, 60, 99]) {
    const { scene, segments } = await logged(620);
    const { world } = scene;
    scene.crash(false);
    const offset = segments[number]!;
    world.at('leg1').failReads({ offset, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
    const tookMs = await startMs(scene, 'leg0');
    assert.ok(tookMs < 30 * SLOW_MS, `${tookMs} ms`);
    await scene.check(`segment ${number}`);
    await scene.closeAndWait();
    await scene.settle('closed');
  }
});

test('the quick leg has a header damaged: the slow one has it', async () => {
  for (const number of [20, 60, 99]) {
    const { scene, segments } = await logged(630);
    const { world } = scene;
    scene.crash(false);
    world.at('leg1').overwrite(segments[number]!, world.random.bytes(SECTOR));
    const tookMs = await startMs(scene, 'leg0');
    assert.ok(tookMs < 30 * SLOW_MS, `${tookMs} ms`);
    await scene.check(`segment ${number}`);
    await scene.closeAndWait();
    await scene.settle('closed');
  }
});

test('stripe images of a degraded volume, and a slow leg: everything is redone', async () => {
  for (const damaged of [false, true]) {
    const scene = await Scene.make(5, { seed: 640, chunkBytes: 16 * KIB });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    assert.ok((await world.until(world.v.failDrive('2'))).ok);
    const segments: number[] = [];
    world.at('leg1').intercept = ({ kind, offset }) => {
      if (kind === 'write' && offset >= 64 * KIB && offset < RECORDS_AT) segments.push(offset);
      return 0;
    };
    for (let i = 0; i < 12; i++) await scene.put((i % 3) * 96, 96);
    world.at('leg1').intercept = null;
    scene.crash(false);
    if (damaged) world.at('leg1').overwrite(segments.at(-3)!, world.random.bytes(SECTOR));
    const tookMs = await startMs(scene, 'leg0');
    assert.ok(tookMs < 40 * SLOW_MS, `${tookMs} ms`);
    assert.ok(!scene.alarms().includes('data-in-doubt'));
    await scene.check('redone');
  }
});
