import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Caller } from '../../../src/control/rpc.ts';
import type { VolumeCalls, VolumeNotice } from '../../../src/control/volume-calls.ts';
import { VolumeHandle, type VolumeThread } from '../../../src/control/volume-handle.ts';
import type { Outcome } from '../../../src/core/problems.ts';
import { startInMainThread, startWorker } from '../../../src/daemon/volume-thread.ts';
import { chooseIo } from '../../../src/io/choose.ts';

const POOL = { poolBytes: 16 * 2 ** 20 };
const fail = (error: unknown): never => assert.fail(String(error));
const create = {
  name: 'v1',
  level: 1,
  drivePaths: ['/nowhere/a', '/nowhere/b'],
  logPaths: [],
  chunkBytes: null,
};
const request = {
  ...create,
  imageSizeBytes: null,
  logSizeBytes: null,
  assumeClean: false,
  force: false,
};

const uring = chooseIo('uring');
const kinds: [string, (() => VolumeThread) | null][] = [
  ['a worker thread', uring.io === 'uring' ? () => startWorker('v1', POOL, fail) : null],
  ['the main thread', () => startInMainThread(POOL, fail)],
];

for (const [where, start] of kinds) {
  test(`a volume in ${where}: a refusal comes through, and the thread ends`, async (t) => {
    if (!start) return t.skip(uring.reason);
    const thread = start();
    const caller = new Caller<VolumeCalls, VolumeNotice>(thread.port, 'v1', () => {});
    const outcome: Outcome<unknown> = await caller.call('create', [request]);
    assert.ok(!outcome.ok);
    assert.equal(outcome.problem.code, 'drive-path-missing');
    const snapshot = await caller.call('snapshot', []);
    assert.equal(!snapshot.ok && snapshot.problem.code, 'volume-not-running');
    const quiet = await caller.call('end', []);
    assert.deepEqual(quiet, { ok: true, value: true });
    await thread.terminate(true);
  });
}

test('a fault in a worker thread: it says so and stands still, and the process goes on', async (t) => {
  if (uring.io !== 'uring') return t.skip(uring.reason);
  const thread = startWorker('v1', POOL, fail);
  let reason = '';
  const lost = new Promise<void>((resolve) => {
    const handle = new VolumeHandle({
      name: 'v1',
      thread,
      onSnapshot: () => {},
      onNotice: () => {},
      onLost: (why) => {
        reason = why;
        resolve();
      },
    });
    // No engine expects this; whatever it makes of it is a fault.
    void handle.start('create', null as never).then((outcome) => {
      assert.equal(!outcome.ok && outcome.problem.code, 'volume-crashed');
    });
  });
  await lost;
  assert.match(reason, /TypeError/);
  await thread.terminate(true);
});
