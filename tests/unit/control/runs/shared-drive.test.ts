/** Several volumes with members on one physical drive: they freeze and return together, or not at all. */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { VolumeStatus } from '../../../../src/core/status.ts';
import { Machine } from './machine.ts';

/** Volumes `a` and `b`, four disks with a partition for each. */
async function shared(machine: Machine): Promise<void> {
  const partitions = (number: number): string[] =>
    [0, 1, 2, 3].map((disk) => {
      const path = `/dev/disk${disk}p${number}`;
      machine.disks.set(path, `disk${disk}`);
      return path;
    });
  await machine.create('a', 5, partitions(1));
  await machine.create('b', 5, partitions(2));
  await machine.writeSome('a', 15);
  await machine.writeSome('b', 15);
}

const states = async (machine: Machine): Promise<string[]> => {
  const both = await Promise.all(['a', 'b'].map((name) => machine.status(name)));
  return both.map(({ window }: VolumeStatus) => window?.state ?? 'none');
};

const on = (volume: string) => ({ params: { volume }, query: {} });
const body = { drive: '2', purpose: 'firmware' } as const;

test('a run is about the drive: both volumes freeze, both return', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const gate = machine.tools.gate('activate');
  const { id, volumes } = await machine.run('a', 'disk2');
  assert.deepEqual(volumes, ['a', 'b']);
  await gate.arrived;
  assert.deepEqual(await states(machine), ['open', 'open']);
  assert.equal(await machine.refused('b', '0'), 'run-exists');
  await machine.writeSome('a', 15);
  await machine.writeSome('b', 15);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.equal(run.windowIds.length, 2);
  assert.deepEqual(machine.tools.log, ['stage /dev/disk2', 'activate /dev/disk2']);
  for (const volume of ['a', 'b']) {
    assert.equal((await machine.status(volume)).state, 'optimal');
    assert.ok(machine.kinds(volume).includes('run-ended'));
    await machine.verify(volume);
    await machine.scrub(volume);
  }
});

test('plan shows the checks of both; a refusal of one leaves both alone', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const { handlers } = machine.control;
  const planned = await handlers.windowPlan({ ...on('a'), body });
  assert.ok(planned.ok && planned.value.plan.allowed);
  const titles = planned.value.plan.checks.map(({ title }) => title);
  assert.ok(
    titles.some((title) => title.endsWith('(volume b)')),
    titles.join(', '),
  );
  machine.at('/dev/disk0p2').vanish();
  await machine.untilStatus('b', ({ state }) => state === 'degraded');
  const refused = await handlers.windowPlan({ ...on('a'), body });
  assert.ok(refused.ok && !refused.value.plan.allowed, 'b is degraded already');
  const opened = await handlers.windowOpen({ ...on('a'), body });
  assert.equal(!opened.ok && opened.problem.code, 'window-refused');
  assert.deepEqual(await states(machine), ['none', 'none']);
});

test('a volume that refuses at the last moment: the one that was frozen already takes its drive back', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  // The flush of the freeze fails in b: nothing could have known.
  machine.at('/dev/disk1p2').failFlush({ count: 1 });
  const opened = await machine.control.handlers.windowOpen({ ...on('a'), body });
  assert.ok(!opened.ok, 'b refused');
  await machine.untilStatus('a', ({ window, state }) => window === null && state === 'optimal');
  await machine.untilStatus('b', ({ window }) => window === null);
  await machine.writeSome('a', 10);
  await machine.verify('a');
  await machine.verify('b');
});

test('open and close by hand: closing one brings the drive back to both', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const { handlers } = machine.control;
  assert.ok((await handlers.windowOpen({ ...on('b'), body })).ok);
  assert.deepEqual(await states(machine), ['open', 'open']);
  await machine.writeSome('a', 5);
  assert.ok((await handlers.windowClose({ ...on('a'), body: {} })).ok);
  await machine.untilStatus('b', ({ window }) => window === null);
  assert.ok((await handlers.windowOpen({ ...on('b'), body })).ok, 'and again');
  assert.ok((await handlers.windowAbort({ ...on('b'), body: {} })).ok);
  await machine.untilStatus('a', ({ window }) => window === null);
  for (const volume of ['a', 'b']) await machine.verify(volume);
});

test('that they froze together outlives the server', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  assert.ok((await machine.control.handlers.windowOpen({ ...on('a'), body })).ok);
  for (const volume of ['a', 'b']) await machine.writeSome(volume, 5);
  machine.kill();
  await machine.start();
  assert.deepEqual(await states(machine), ['open', 'open']);
  assert.ok((await machine.control.handlers.windowClose({ ...on('b'), body: {} })).ok);
  await machine.untilStatus('a', ({ window, state }) => window === null && state === 'optimal');
  await machine.verify('a');
});

test('two members of one volume on the drive, a log leg on it, a spare on it: refused with the reason', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  machine.disks.set('/dev/disk1p1', 'disk2');
  const { handlers } = machine.control;
  const blocking = async (): Promise<string[]> => {
    const planned = await handlers.windowPlan({ ...on('a'), body });
    assert.ok(planned.ok);
    const { checks, allowed } = planned.value.plan;
    assert.equal(allowed, false);
    return checks.flatMap(({ id, result, reason }) => (result === 'block' ? [id + reason] : []));
  };
  const [twice] = await blocking();
  assert.match(twice!, /^WP010.*disk1p1.*both would be away/);
  assert.equal(await machine.refused('a', '2'), 'window-refused');
  machine.disks.set('/dev/disk1p1', 'disk1');
  machine.disks.set('/dev/b-leg0', 'disk2');
  const [leg] = await blocking();
  assert.match(leg!, /^WP011.*b-leg0 of volume b/);
  machine.disks.delete('/dev/b-leg0');
  machine.medium('/dev/disk2p3');
  machine.disks.set('/dev/disk2p3', 'disk2');
  const added = await handlers.driveAdd({
    ...on('b'),
    body: { path: '/dev/disk2p3', spare: true },
  });
  assert.ok(added.ok, JSON.stringify(added));
  const [spare] = await blocking();
  assert.match(spare!, /^WP012.*disk2p3/);
  assert.deepEqual(await states(machine), ['none', 'none']);
});

test('a second failure in one volume recalls the drive for both', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('a', '2');
  await check.arrived;
  machine.at('/dev/disk0p2').vanish();
  await machine.untilStatus('b', ({ window }) => window?.recall === true);
  check.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled');
  for (const volume of ['a', 'b']) await machine.verify(volume);
});

test('killed while both are open: the run brings both home', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const gate = machine.tools.gate('stage');
  const { id } = await machine.run('b', '1');
  await gate.arrived;
  machine.kill();
  await machine.start();
  for (const volume of ['a', 'b']) await machine.writeSome(volume, 10);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  for (const volume of ['a', 'b']) {
    assert.equal((await machine.status(volume)).state, 'optimal');
    await machine.verify(volume);
    await machine.scrub(volume);
  }
});

test('killed when one volume was frozen and the other not yet: both are as before', async (t) => {
  for (const how of ['by hand', 'by a run']) {
    const machine = await Machine.boot(t);
    await shared(machine);
    machine.at('/dev/disk1p2').hang('flush');
    if (how === 'by hand') void machine.control.handlers.windowOpen({ ...on('a'), body });
    else await machine.run('a', '2');
    await machine.untilStatus('a', ({ window }) => window?.state === 'open');
    await machine.writeSome('a', 5);
    machine.kill();
    machine.at('/dev/disk1p2').release();
    await machine.start();
    for (const volume of ['a', 'b']) {
      await machine.untilStatus(volume, (it) => it.window === null && it.state === 'optimal');
      await machine.verify(volume);
    }
    assert.deepEqual(machine.tools.log, []);
    await machine.stop();
  }
});

test('windows of one drive are extended together', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const { handlers } = machine.control;
  assert.ok((await handlers.windowOpen({ ...on('a'), body })).ok);
  const deadlines = async (): Promise<number[]> => {
    const both = await Promise.all(['a', 'b'].map((name) => machine.status(name)));
    return both.map(({ window }) => Date.parse(window!.deadlineAt));
  };
  const before = await deadlines();
  assert.ok((await handlers.windowExtend({ ...on('b'), body: { byMs: 60_000 } })).ok);
  assert.deepEqual(
    await deadlines(),
    before.map((at) => at + 60_000),
  );
});

test('which volumes freeze together cannot be written down: none does', async (t) => {
  const machine = await Machine.boot(t);
  await shared(machine);
  const inTheWay = join(machine.life.state, 'window-groups.json.new');
  mkdirSync(inTheWay);
  const refused = await machine.control.handlers.windowOpen({ ...on('a'), body });
  assert.ok(!refused.ok, 'a crash in the middle would leave one of them frozen');
  assert.equal(refused.problem.code, 'state-unusable');
  assert.deepEqual(await states(machine), ['none', 'none']);
  rmSync(inTheWay, { recursive: true });
  assert.ok((await machine.control.handlers.windowOpen({ ...on('a'), body })).ok);
});
