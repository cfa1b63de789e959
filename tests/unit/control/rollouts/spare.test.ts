/** A spare is in no volume while it is flashed: what could happen to it meanwhile, and what must not. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RolloutRecord } from '../../../../src/control/rollouts/rollout-record.ts';
import { driveOf, ended, halted, request, scene, states } from './shelf.ts';

test('a released spare is held until it is a spare again: nobody else is given it', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  const seen: string[][] = [];
  shelf.onBegin = (what) => void seen.push([what, [...shelf.holds.values()].join()]);
  const { id } = await start(request(['v1']));
  await until(id, ended, 'ended');
  assert.deepEqual(seen, [
    ['release s', 's'],
    ['stage s', 's'],
    ['activate s', 's'],
    ['run a', ''],
  ]);
});

test('a spare that was being flashed when the server ended is held by the next one', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  shelf.whileFlashing = () => new Promise<void>(() => {});
  const { id } = await start(request(['v1'], { task: { answerLimitMs: 60_000 } }));
  await until(id, () => shelf.story.includes('stage s'), 'at work');
  shelf.holds.clear();
  shelf.drive('s').answers = false;
  await restart(() =>
    assert.deepEqual([...shelf.holds.values()], ['s'], 'before anything has been started'),
  );
  await until(id, () => shelf.holds.size === 1, 'held again');
  shelf.whileFlashing = async () => {};
  shelf.drive('s').answers = true;
  await until(id, ended, 'ended');
  assert.equal(shelf.holds.size, 0);
});

test('somebody mounted the spare after its release: it is not touched, and comes back', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  shelf.onBegin = (what) => {
    if (what === 'release s') shelf.inUse = 's is mounted on /home.';
  };
  const { id } = await start(request(['v1']));
  const report = await until(id, halted, 'halted');
  assert.match(driveOf(report, 's').note, /mounted on \/home/);
  assert.deepEqual(shelf.story, ['release s', 'add s']);
});

test('another disk of the same kind took the name of the released spare: it is not touched', async (t) => {
  for (const what of ['serial', 'capacity', 'member'] as const) {
    const { shelf, start, until } = await scene(t);
    shelf.addVolume('v1', ['a'], ['s']);
    shelf.onBegin = (begun) => {
      if (begun !== 'release s') return;
      if (what === 'serial') shelf.drive('s').serial = 'ANOTHER';
      else if (what === 'capacity') Object.assign(shelf.drive('s'), { capacityBytes: 2 });
      else shelf.carried.set('s', 'of another volume');
    };
    const { id } = await start(request(['v1']));
    const report = await until(id, halted, 'halted');
    assert.deepEqual(states(report), ['s failed', 'a pending'], what);
    assert.deepEqual(
      shelf.story,
      ['release s'],
      `${what}: neither flashed nor given to the volume`,
    );
    assert.match(driveOf(report, 's').note, /locum drive add v1 s --spare/);
  }
});

test('the spare came back under another name: it is found, and is a spare again by that name', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  shelf.onBegin = (what) => {
    if (what !== 'activate s') return;
    const before = shelf.drive('s');
    shelf.drives.set('z', { ...before, path: 'z', firmware: before.becomes });
    shelf.carried.set('z', shelf.carried.get('s')!);
    before.answers = false;
  };
  const { id } = await start(request(['v1'], { task: { answerLimitMs: 60_000 } }));
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['z done', 'a done']);
  assert.deepEqual(shelf.story, ['release s', 'stage s', 'activate s', 'add z', 'run a']);
  assert.equal(shelf.volumes.get('v1')!.drives.at(-1)!.path, 'z');
});

for (const how of ['as it is written now', 'as it was once'] as const) {
  test(`two spares at work swapped their names over a restart, ${how}: each is known as itself`, async (t) => {
    const { shelf, folder, start, until, restart } = await scene(t);
    shelf.addVolume('v0', [], ['c']);
    shelf.addVolume('v1', [], ['s']);
    shelf.addVolume('v2', [], ['u']);
    shelf.whileFlashing = async () => {
      if (shelf.story.includes('add c')) await new Promise<void>(() => {});
    };
    const all = request(['v0', 'v1', 'v2'], { task: { answerLimitMs: 60_000 } });
    const { id } = await start(all);
    await until(id, () => shelf.holds.size === 2 && shelf.story.length === 8, 'both at work');
    const [s, u] = [shelf.drive('s'), shelf.drive('u')];
    shelf.drives.set('s', { ...u, path: 's', firmware: u.becomes });
    shelf.drives.set('u', { ...s, path: 'u', firmware: s.becomes });
    shelf.carried.set('s', 'uuid-u').set('u', 'uuid-s');
    await restart(
      () => {},
      () => {
        if (how === 'as it was once') keyByPath(join(folder, 'rollouts'));
      },
    );
    const report = await until(id, ended, 'ended');
    const seen = report.drives.map(({ volumes, path, serial, state }) => [
      ...volumes,
      path,
      serial,
      state,
    ]);
    assert.deepEqual(seen.slice(1), [
      ['v1', 'u', 'S-s', 'done'],
      ['v2', 's', 'S-u', 'done'],
    ]);
    assert.deepEqual(shelf.story.slice(8).sort(), ['add s', 'add u']);
  });
}

/** As a server before this one wrote it. */
function keyByPath(folder: string): void {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const record = JSON.parse(readFileSync(join(folder, name), 'utf8')) as RolloutRecord;
    for (const by of [record.before, record.spares, record.tries] as Record<string, unknown>[]) {
      for (const [index, { path }] of record.report.drives.entries()) {
        if (!(index in by)) continue;
        by[path] = by[index];
        delete by[index];
      }
    }
    writeFileSync(join(folder, name), JSON.stringify(record));
  }
}
