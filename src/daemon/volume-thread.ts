/**
 * Where a volume runs: a worker thread on io_uring, the main thread on node:net (whose sockets cannot change threads).
 * To the control plane both are a port and an end.
 *
 * A worker that crashes is not ended, it is parked (see volume-worker.ts): the kernel may still be reading into its
 * memory, and a thread's memory goes with the thread. One that ends all the same, because V8 ran out of memory, takes
 * the server with it: what the kernel then writes to is not known any more. Everything acknowledged survives that.
 */

import { Worker } from 'node:worker_threads';
import { localPorts } from '../control/rpc.ts';
import type { VolumeThread } from '../control/volume-handle.ts';
import { VolumeHost } from '../control/volume-host.ts';
import { surroundings } from './surroundings.ts';

export interface WorkerData {
  readonly limits: Readonly<Record<string, number>>;
}

const never = new Promise<string>(() => {});

export function startWorker(
  name: string,
  limits: WorkerData['limits'],
  onFault: (error: unknown) => void,
): VolumeThread {
  const workerData: WorkerData = { limits };
  const worker = new Worker(new URL('./volume-worker.js', import.meta.url), {
    name: `volume ${name}`.slice(0, 60),
    workerData,
  });
  let expected = false;
  worker.on('error', onFault);
  worker.on('exit', (code) => {
    if (!expected) onFault(new Error(`the thread of volume ${name} ended by itself with ${code}`));
  });
  return {
    port: {
      post: (message) => worker.postMessage(message),
      listen: (receive) => void worker.on('message', receive),
    },
    died: never,
    terminate: async (quiet) => {
      expected = true;
      // Kept for the rest of the server's life rather than pulled away under the kernel.
      if (quiet) await worker.terminate();
      else worker.unref();
    },
  };
}

export function startInMainThread(
  limits: WorkerData['limits'],
  onFault: (error: unknown) => void,
): VolumeThread {
  const [ours, theirs] = localPorts();
  void new VolumeHost(theirs, surroundings('node', limits, onFault));
  return { port: ours, died: never, terminate: async () => {} };
}
