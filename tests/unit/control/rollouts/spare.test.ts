/** A spare is in no volume while it is flashed: what could happen to it meanwhile, and what must not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
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
  await restart();
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
