/**
 * A volume's own thread: ring, buffer pool, engine, NBD sessions. Started by volume-thread.ts.
 *
 * A fault here stops this thread at once and for good: it says so, and parks. Nothing of it runs again (its memory may
 * be wrong), its memory stays where it is (the kernel may still write to it), and its drives stay locked, so that
 * nobody starts the volume a second time beside it. The server goes on with its other volumes.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import type { VolumeNotice } from '../control/volume-calls.ts';
import { VolumeHost } from '../control/volume-host.ts';
import { surroundings } from './surroundings.ts';
import type { WorkerData } from './volume-thread.ts';

const port = parentPort;
assert(port !== null, 'this file runs as a worker thread');

function park(error: unknown): never {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const notice: VolumeNotice = { kind: 'crashed', reason };
  port!.postMessage({ kind: 'notice', notice });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  process.exit(1);
}

// Rejections that nobody handles come here too.
process.on('uncaughtException', park);

const { limits } = workerData as WorkerData;
void new VolumeHost(
  {
    post: (message) => port.postMessage(message),
    listen: (receive) => void port.on('message', receive),
  },
  surroundings('uring', limits, park),
);
