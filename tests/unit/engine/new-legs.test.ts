/** New legs for a running volume: one in the place of a leg that is out, or a log where there is none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { Outcome } from '../../../src/core/problems.ts';
import { KIB, MIB, Scene, type SceneOptions, windowRequest } from './scene.ts';

const LEG_BYTES = 16 * MIB;

async function inWindow(options: SceneOptions = {}): Promise<Scene> {
  const scene = await Scene.make(5, options);
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  await scene.fill(20);
  return scene;
}

function withLegs(scene: Scene, ...paths: string[]): void {
  scene.world.logPaths.splice(0, scene.world.logPaths.length, ...paths);
}

interface NewLeg {
  leg?: string;
  path?: string;
  sizeBytes?: number | null;
  force?: boolean;
}

const replaceLeg = (scene: Scene, request: NewLeg = {}): Promise<Outcome<void>> =>
  scene.world.until(
    scene.world.v.replaceLeg({ leg: '0', path: 'new', sizeBytes: null, force: false, ...request }),
  );

const addLog = (scene: Scene, ...paths: string[]): Promise<Outcome<void>> =>
  scene.world.until(scene.world.v.addLog({ paths, sizeBytes: LEG_BYTES, force: false }));

const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'done' : outcome.problem.code);

const legStates = (scene: Scene): string[] =>
  scene.world.v.status().log?.legs.map(({ state }) => state) ?? [];

test('a leg is replaced in a window, under writes; then the new one alone has everything', async () => {
  const scene = await inWindow({ seed: 71 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  world.at('leg0').vanish();
  await world.pass(2_500);
  const before = scene.begin(0, 16);
  const replacing = world.v.replaceLeg({ leg: 'leg0', path: 'new', sizeBytes: null, force: false });
  const during = scene.begin(32, 16);
  assert.equal(codeOf(await world.until(replacing)), 'done');
  assert.equal(await world.until(before.done), 0);
  assert.equal(await world.until(during.done), 0);
  assert.deepEqual(legStates(scene), ['online', 'online']);
  assert.deepEqual(world.v.paths().logs, ['new', 'leg1']);
  assert.ok(scene.said('leg-replaced'), scene.recent);
  assert.ok(!scene.alarms().includes('leg-lost'), scene.alarms().join());
  assert.equal(scene.core.window?.recall, false, 'the drive is not wanted in a hurry any more');
  await scene.fill(10);
  scene.crash(false);
  withLegs(scene, 'new');
  await world.assemble();
  assert.equal(scene.state, 'frozen');
  await scene.check('from the new leg alone');
  withLegs(scene, 'new', 'leg1');
  scene.crash(false);
  await world.assemble();
  await scene.closeAndWait();
  await scene.settle('after the return');
});

test('outside a window too, onto a new image; the next window needs no flag', async () => {
  const scene = await Scene.make(5, { seed: 72 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  world.at('leg1').failWrites({ errno: EIO });
  world.at('leg1').vanish();
  await world.pass(2_500);
  const replaced = await replaceLeg(scene, { leg: '1', path: 'image', sizeBytes: LEG_BYTES });
  assert.equal(codeOf(replaced), 'done');
  await scene.open('1');
  await scene.fill(10);
  await scene.closeAndWait();
  await scene.settle('after a window on the new leg');
});

test('the same drive comes back as a new leg, with no need for force', async () => {
  const scene = await inWindow({ seed: 73 });
  const { world } = scene;
  world.at('leg0').failWrites({ errno: EIO });
  await scene.fill(3);
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  world.at('leg0').clearFaults();
  assert.equal(codeOf(await replaceLeg(scene, { path: 'leg0' })), 'done');
  assert.deepEqual(legStates(scene), ['online', 'online']);
  scene.crash(true);
  withLegs(scene, 'leg0');
  await world.assemble();
  await scene.closeAndWait();
});

test('a new leg that fails under the copy is out, and the next try counts', async () => {
  const scene = await inWindow({ seed: 74 });
  const { world } = scene;
  world.medium('bad', LEG_BYTES);
  world.medium('new', LEG_BYTES);
  world.at('leg0').vanish();
  await world.pass(2_500);
  world.at('bad').failFlush({ errno: EIO, count: 1 });
  assert.equal(codeOf(await replaceLeg(scene, { path: 'bad' })), 'io-error');
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  await scene.fill(5);
  assert.equal(codeOf(await replaceLeg(scene)), 'done');
  assert.deepEqual(world.v.paths().logs, ['new', 'leg1']);
  await scene.closeAndWait();
  await scene.settle('at the second try');
});

test('what cannot be a leg is refused by name, and stays as it was', async () => {
  const scene = await inWindow({ seed: 75 });
  const { world } = scene;
  const other = await Scene.make(5, { seed: 76 });
  await other.world.until(other.world.v.stop());
  world.media.set('foreign', other.world.at('leg0').clone());
  world.media.set('member', other.world.at('d0').clone());
  world.medium('small', LEG_BYTES - MIB);
  world.medium('new', LEG_BYTES);
  assert.equal(codeOf(await replaceLeg(scene)), 'leg-online');
  assert.equal(codeOf(await addLog(scene, 'new')), 'log-exists');
  world.at('leg0').vanish();
  await world.pass(2_500);
  const refused: [NewLeg, string][] = [
    [{ leg: '7' }, 'leg-unknown'],
    [{ leg: 'elsewhere' }, 'leg-unknown'],
    [{ leg: '1' }, 'leg-online'],
    [{ path: 'leg1' }, 'drive-given-twice'],
    [{ path: 'd2' }, 'leg-on-member-drive'],
    [{ path: 'nowhere' }, 'drive-path-missing'],
    [{ path: 'foreign' }, 'leg-in-use'],
    [{ path: 'member' }, 'drive-has-data'],
    [{ path: 'small' }, 'leg-too-small'],
    [{ path: 'image', sizeBytes: MIB }, 'leg-too-small'],
  ];
  for (const [request, code] of refused) {
    assert.equal(codeOf(await replaceLeg(scene, request)), code, JSON.stringify(request));
  }
  assert.ok(!world.media.has('image'), 'an image of a refused request is taken back');
  for (const path of ['foreign', 'member', 'small']) assert.ok(!world.at(path).isOpen, path);
  assert.equal(codeOf(await replaceLeg(scene, { path: 'foreign', force: true })), 'done');
  await scene.closeAndWait();
  await scene.settle('after all those refusals');
});

test('one change of the legs at a time', async () => {
  const scene = await inWindow({ seed: 77 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  world.medium('newer', LEG_BYTES);
  world.at('leg0').vanish();
  await world.pass(2_500);
  const request = { leg: '0', path: 'new', sizeBytes: null, force: false };
  const both = await world.until(
    Promise.all([world.v.replaceLeg(request), world.v.replaceLeg({ ...request, path: 'newer' })]),
  );
  assert.deepEqual(both.map(codeOf), ['done', 'job-running']);
});

test('no other leg is left: refused, and it says what to do', async () => {
  const scene = await inWindow({ seed: 78 });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  for (const path of ['leg0', 'leg1']) world.at(path).vanish();
  await world.pass(3_000);
  world.medium('new', LEG_BYTES);
  assert.equal(codeOf(await replaceLeg(scene)), 'log-lost');
  assert.equal(codeOf(await addLog(scene, 'new')), 'volume-wrong-state');
});

test('a volume without a log gets one while it is written to, and then a window', async () => {
  const scene = await Scene.make(5, { seed: 79, legs: 0 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const writes = Array.from({ length: 8 }, (_, i) => scene.begin(i * 16, 16));
  assert.equal(codeOf(await addLog(scene, 'l0', 'l1')), 'done');
  for (const { done } of writes) assert.equal(await world.until(done), 0);
  assert.deepEqual(world.v.paths().logs, ['l0', 'l1']);
  assert.ok(scene.said('log-added'), scene.recent);
  scene.crash(false);
  withLegs(scene, 'l0', 'l1');
  await world.assemble();
  await scene.until('optimal');
  await scene.open('1');
  await scene.fill(10);
  await scene.closeAndWait();
  await scene.settle('after a window on the new log');
});

test('both legs lost, degraded: a new log closes the write hole; one of the old drives may serve again', async () => {
  const scene = await Scene.make(5, { seed: 80 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('2'));
  for (const path of ['leg0', 'leg1']) world.at(path).vanish();
  await scene.fill(5);
  await world.pass(2_500);
  assert.ok(scene.alarms().includes('log-lost'), scene.alarms().join());
  world.at('leg0').reappear();
  const busy = Array.from({ length: 8 }, (_, i) => scene.begin(i * 16, 16));
  const added = await world.until(
    world.v.addLog({ paths: ['leg0', 'new'], sizeBytes: LEG_BYTES, force: false }),
  );
  assert.equal(codeOf(added), 'done');
  for (const { done } of busy) assert.equal(await world.until(done), 0);
  assert.equal(world.v.status().writeHole, 'closed');
  await scene.fill(10);
  scene.crash(false);
  withLegs(scene, 'leg0', 'new');
  await world.assemble();
  await scene.check('after a kill');
  await scene.replace(2);
  await scene.settle('with the new log');
  const plan = await world.v.planWindow(windowRequest('1'));
  assert.ok(plan.ok && plan.value.allowed, JSON.stringify(plan));
});

for (const power of [false, true]) {
  test(`a ${power ? 'power cut' : 'kill'} at any time of a replacement: the old leg list starts, and so does the new one`, async () => {
    let finished = false;
    for (let ms = 1; !finished; ms += 3) {
      const scene = await inWindow({ seed: 81, operationMs: 1 });
      const { world } = scene;
      world.medium('new', LEG_BYTES);
      world.at('leg0').vanish();
      await world.pass(2_500);
      const request = { leg: '0', path: 'new', sizeBytes: null, force: false };
      void world.v.replaceLeg(request).then(() => {
        finished = true;
      });
      await world.pass(ms);
      world.at('leg0').reappear();
      scene.crash(power);
      withLegs(scene, ms % 2 === 0 ? 'leg0' : 'new', 'leg1');
      await world.assemble();
      await scene.check(`after ${ms} ms`);
      await scene.fill(3);
      await scene.closeAndWait();
      await scene.check(`after ${ms} ms and the return`);
    }
  });
}

test('a new leg counts only when a header says so: until then another one that is lost takes the log with it', async () => {
  const scene = await inWindow({ seed: 90, operationMs: 1 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  world.at('leg0').vanish();
  await world.pass(2_500);
  let headers = 0;
  world.at('new').intercept = ({ kind, offset }) => {
    // The first write there erases what the drive was.
    if (kind === 'write' && offset === 0 && ++headers === 2) world.at('new').hang('flush');
    return 0;
  };
  const replacing = world.v.replaceLeg({ leg: '0', path: 'new', sizeBytes: null, force: false });
  await world.pass(200);
  assert.equal(headers, 2, 'its header is being written');
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  assert.equal(world.v.status().log?.legs[0]?.reason, 'being copied');
  world.at('new').intercept = null;
  world.at('new').release();
  assert.equal(codeOf(await world.until(replacing)), 'done');
  assert.deepEqual(legStates(scene), ['online', 'online']);
});

test('the other leg fails in the very header write that takes a new one in: a kill before the next label costs nothing', async () => {
  const scene = await inWindow({ seed: 92, operationMs: 1 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  world.at('leg1').vanish();
  await world.pass(2_500);
  const members = world.drivePaths.map((path) => world.at(path));
  const { metadata } = scene.core;
  let label = 0;
  world.at('leg0').intercept = ({ kind, offset }) => {
    if (kind !== 'write' || offset !== 0 || scene.core.log?.legStates[1] !== 'online') return 0;
    label ||= metadata.sequence;
    return EIO;
  };
  world.at('d0').intercept = ({ kind }) => {
    // The label that says that the leg failed is written; the next one, which would know the new leg, is not.
    if (kind === 'flush' && label > 0) for (const member of members) member.hang('write');
    return 0;
  };
  const request = { leg: '1', path: 'new', sizeBytes: null, force: false };
  void world.v.replaceLeg(request).catch(() => {});
  await world.pass(200);
  assert.equal(metadata.sequence, label + 2, 'the label with the new leg is being written');
  assert.equal(scene.core.log?.status().legs[0]?.state, 'failed');
  const alone = scene.begin(0, 16);
  await world.pass(200);
  assert.ok(alone.answered, 'by the new leg');
  scene.crash(false);
  for (const medium of [...members, world.at('leg0')]) {
    medium.intercept = null;
    medium.release();
  }
  withLegs(scene, 'leg0', 'new');
  await world.assemble();
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  await scene.check('from the new leg');
  await scene.closeAndWait();
  await scene.settle('after the return');
});

test('the last leg that has everything is lost under the copy: the new one is not called whole', async () => {
  const scene = await inWindow({ seed: 93, operationMs: 1 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  await world.until(world.v.failDrive('3'));
  world.at('leg1').vanish();
  await world.pass(2_500);
  let copied = 0;
  world.at('new').intercept = ({ kind, offset }) => {
    if (kind === 'write' && offset > 0 && ++copied === 1) world.at('leg0').vanish();
    return 0;
  };
  const refused = await replaceLeg(scene, { leg: '1' });
  assert.equal(codeOf(refused), 'io-error');
  assert.deepEqual(legStates(scene), ['failed', 'failed']);
  world.at('leg0').reappear();
  scene.crash(false);
  withLegs(scene, 'leg0', 'new');
  await world.assemble();
  await scene.closeAndWait();
  await scene.check('from the one that has everything');
});

test('a new leg that misses a write after it was copied is not called whole', async () => {
  const scene = await inWindow({ seed: 95, operationMs: 1 });
  const { world } = scene;
  world.medium('new', LEG_BYTES);
  world.at('leg1').vanish();
  await world.pass(2_500);
  let flushes = 0;
  world.at('new').intercept = ({ kind, offset }) => {
    // The first flush is of the erased header, the second ends the copy.
    if (kind === 'flush' && ++flushes === 2) scene.begin(0, 16);
    return kind === 'write' && flushes === 2 && offset > 64 * KIB ? EIO : 0;
  };
  assert.equal(codeOf(await replaceLeg(scene, { leg: '1' })), 'io-error');
  assert.deepEqual(legStates(scene), ['online', 'failed']);
  await scene.check('from the other one');
});

test('a leg that a start was given and does not use is let go: it can be replaced by itself', async () => {
  const scene = await inWindow({ seed: 94 });
  const { world } = scene;
  world.at('leg0').failWrites({ errno: EIO });
  await scene.fill(3);
  world.at('leg0').clearFaults();
  scene.crash(false);
  await world.assemble();
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  assert.ok(!world.at('leg0').isOpen, 'nobody holds it');
  assert.equal(codeOf(await replaceLeg(scene, { path: 'leg0' })), 'done');
  assert.deepEqual(legStates(scene), ['online', 'online']);
  await scene.closeAndWait();
  await scene.settle('with both legs');
});

test('killed between a new log and the first label that knows it: the volume starts, and the log is made anew', async () => {
  const scene = await Scene.make(5, { seed: 91 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors, true);
  for (const path of ['leg0', 'leg1']) world.at(path).vanish();
  for (const path of ['new0', 'new1']) world.medium(path, LEG_BYTES);
  scene.crash(false);
  withLegs(scene, 'new0', 'new1');
  const members = world.drivePaths.map((path) => world.at(path));
  for (let time = 0; time < 2; time++) {
    for (const member of members) member.hang('write');
    void world.tryAssemble().catch(() => {});
    await world.pass(100);
    assert.notEqual(world.at('new0').counts.write, 0, 'the log is made, no label is written');
    scene.crash(true);
    for (const member of members) member.release();
  }
  await world.assemble();
  assert.deepEqual(legStates(scene), ['online', 'online']);
  await scene.settle('with a new log');
});

test('a drive that failed, and was wiped, takes another slot; the one that it had names it no more, and a leg can be replaced', async () => {
  const scene = await Scene.make(1, { seed: 81, members: 3 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  for (const slot of ['0', '1']) assert.ok((await world.until(world.v.failDrive(slot))).ok);
  world.at('d1').bytes.fill(0);
  const added = await world.until(world.v.addDrive('d1', false, false));
  assert.equal(codeOf(added), 'done');
  await world.pass(60_000);
  const slots = scene.core.members.slots.map(({ path, state }) => `${path} ${state}`);
  assert.deepEqual(slots, ['d1 online', ' failed', 'd2 online']);
  world.at('leg0').vanish();
  await world.pass(2_500);
  world.medium('new', LEG_BYTES);
  assert.equal(codeOf(await replaceLeg(scene)), 'done');
});
