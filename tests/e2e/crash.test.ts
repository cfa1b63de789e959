/**
 * `kill -9` at moments nobody chose, on both kinds of I/O: what was acknowledged is there after the restart, in every
 * state that the volume can be killed in. The moments are random; the seed of a run is its own luck, the ledger is not.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackgroundWriter, Ledger } from '../support/ledger.ts';
import { Locum } from '../support/locum.ts';
import { bothKinds, refusedWith, type Scene, stillServes, volume, volumeIn } from './fixture.ts';

async function killUnderLoad(
  scene: Scene,
  cycles: number,
  ledger = new Ledger(8 * 1024),
): Promise<Ledger> {
  const { locum } = scene;
  for (let cycle = 0; cycle < cycles; cycle++) {
    const writer = new BackgroundWriter({
      connect: () => locum.connect(volume),
      ledger,
      inFlight: 8,
      pauseMs: 1,
      blocksMax: 8,
    });
    await writer.start();
    await sleep(20 + Math.random() * 250);
    await locum.stop('SIGKILL');
    await locum.start();
    await writer.stop();
    const client = await locum.connect(volume);
    assert.deepEqual(await ledger.verify(client), [], `cycle ${cycle}`);
    await client.close();
    assert.deepEqual(writer.errors, []);
  }
  return ledger;
}

for (const io of bothKinds) {
  test(`${io}: killed while writing to an optimal volume`, async (t) => {
    const scene = await volumeIn(t, {}, { io });
    await killUnderLoad(scene, 3);
    const { locum } = scene;
    await locum.until(volume, 'optimal after the resync', (it) => it.state === 'optimal');
    await locum.must('scrub', 'start', volume, '--wait');
    assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
  });

  test(`${io}: killed while writing to a degraded volume with a log`, async (t) => {
    const scene = await volumeIn(t, {}, { io });
    await scene.locum.must('drive', 'fail', volume, '2');
    await killUnderLoad(scene, 3);
    assert.equal((await scene.locum.statusOf(volume)).writeHole, 'closed');
  });

  test(`${io}: killed while writing in a window, and again during the replay`, async (t) => {
    const scene = await volumeIn(t, { logBytes: 64 * 2 ** 20 }, { io });
    const { locum } = scene;
    await locum.must('window', 'open', volume, '1', '--for', 'reset');
    const ledger = await killUnderLoad(scene, 2);
    await locum.must('window', 'close', volume);
    await killUnderLoad(scene, 2, ledger);
    await locum.until(volume, 'optimal', (it) => it.state === 'optimal' && it.window === null);
    await locum.must('scrub', 'start', volume, '--wait');
    assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
  });
}

test('two servers on one state: the second is refused and the first goes on', async (t) => {
  const scene = await volumeIn(t);
  refusedWith(await scene.locum.run(...scene.locum.serveArgs()), 4, /server is running already/);
  await stillServes(scene);
});

test('two servers on the same drives: the second may not have them', async (t) => {
  const scene = await volumeIn(t);
  const other = new Locum(scene.path('other'));
  t.after(() => other.stop('SIGKILL'));
  await other.start();
  const words = scene.drives.flatMap((path) => ['--drive', path]);
  const logs = scene.legs.flatMap((path) => ['--log', path]);
  refusedWith(await other.run('volume', 'assemble', ...words, ...logs), 4, /in use/);
  await stillServes(scene);
});

test('an orderly stop and start: clean, nothing to redo', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const client = await locum.connect(volume);
  const bytes = Buffer.alloc(98_304, 0x42);
  await client.write(12_288, bytes);
  await client.close();
  await locum.stop();
  assert.equal(locum.server.exitCode, 0);
  await locum.start();
  const status = await locum.statusOf(volume);
  assert.equal(status.state, 'optimal');
  const reader = await locum.connect(volume);
  assert.ok((await reader.read(12_288, bytes.length)).equals(bytes));
  await reader.close();
});
