/**
 * What an engine needs of this machine, put together for one volume: buffer pool, ring, kernels, clock, drives, and
 * the NBD sessions in front. The only place where the layers' parts are joined for real; tests and the simulator have
 * their own.
 */

import { randomBytes } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import type { Connection } from '../control/volume-calls.ts';
import type { HostSurroundings, Sessions } from '../control/volume-host.ts';
import { assembleVolume } from '../engine/assemble.ts';
import type { EngineEnvironment } from '../engine/contract.ts';
import { createVolume } from '../engine/create.ts';
import type { BlockDevice } from '../io/block-device.ts';
import { BufferPool } from '../io/buffer-pool.ts';
import type { Clock } from '../io/clock.ts';
import { createImage } from '../io/create-image.ts';
import { DEFAULT_DEADLINE_MS } from '../io/deadline-drive.ts';
import { foreignContent } from '../io/foreign-content.ts';
import { InTime } from '../io/in-time.ts';
import { NodeStream } from '../io/node-stream.ts';
import { openDrive } from '../io/open-drive.ts';
import { placeOf } from '../io/place.ts';
import { closeSocket } from '../io/sockets.ts';
import { SystemClock } from '../io/system-clock.ts';
import { Ring } from '../io/uring.ts';
import { UringStream } from '../io/uring-stream.ts';
import { createWasmKernels } from '../kernels/wasm-kernels.ts';
import type { Transport } from '../nbd/acceptor.ts';
import { type NbdLimits, nbdLimitsFrom } from '../nbd/limits.ts';
import { type Opening, SessionGroup } from '../nbd/session-group.ts';

const MIB = 1024 * 1024;
/** The pool is address space; only what is used of it is memory. */
const POOL_BYTES_DEFAULT = 256 * MIB;
const WASM_PAGE_BYTES = 64 * 1024;

export function surroundings(
  io: 'uring' | 'node',
  limits: Readonly<Record<string, number>>,
  onFault: (error: unknown) => void,
): HostSurroundings {
  const { poolBytes = POOL_BYTES_DEFAULT, ...engineLimits } = limits;
  const buffers = new BufferPool({
    sizeBytes: Math.ceil(poolBytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES,
  });
  const ring = io === 'uring' ? new Ring() : null;
  ring?.attachPool(buffers);
  const clock = new SystemClock();
  const deadlineMs = limits['driveDeadlineMs'] ?? DEFAULT_DEADLINE_MS;
  const inTime = new InTime(clock);

  const environment = (emit: EngineEnvironment['emit']): EngineEnvironment => ({
    ioName: io,
    clock,
    buffers,
    kernels: createWasmKernels(buffers.memory),
    random: (length) => new Uint8Array(randomBytes(length)),
    openDrive: (path) => inTime.open(path, deadlineMs, () => openDrive(path, { ring, buffers })),
    createImage,
    // What hangs is there.
    exists: (path) => inTime.ask(path, deadlineMs, () => exists(path), true),
    removeImages: async (paths) => {
      for (const path of paths) await rm(path, { force: true });
    },
    foreignContent: (drive) => foreignContent(drive, buffers),
    place: (path) => {
      // Somewhere of its own: opening it says that it hangs.
      const nowhere = { identity: `path:${path}`, disk: null, file: null, fileDisk: null };
      return inTime.ask(path, deadlineMs, () => placeOf(path), nowhere);
    },
    emit,
    limits: engineLimits,
  });

  return {
    createVolume,
    assembleVolume,
    environment,
    sessions: (device, onClosed) =>
      new NbdSessions({
        device,
        buffers,
        clock,
        ring,
        limits: nbdLimitsFrom(limits),
        onClosed,
        onFault,
      }),
    close: () => {
      const quiet = ring === null || ring.inFlight === 0;
      if (quiet) ring?.close();
      return quiet;
    },
    onFault,
  };
}

/** What cannot be looked at (no permission) counts as there: opening it gives the reason. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

interface SessionsOptions {
  readonly device: BlockDevice;
  readonly buffers: BufferPool;
  readonly clock: Clock;
  readonly ring: Ring | null;
  readonly limits: NbdLimits;
  readonly onClosed: (id: number, reason: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** nbd's sessions behind the control plane's interface: unpacks what crossed the thread. */
class NbdSessions implements Sessions {
  readonly #options: SessionsOptions;
  readonly #group: SessionGroup;

  constructor(options: SessionsOptions) {
    this.#options = options;
    const { device, buffers, clock, limits, onClosed, onFault } = options;
    this.#group = new SessionGroup({ device, buffers, clock, limits, onClosed, onFault });
  }

  get connectionCount(): number {
    return this.#group.connectionCount;
  }

  open(connection: Connection): void {
    const opening = connection.opening as Opening;
    const transport = connection.transport as Transport;
    const { ring, buffers, onClosed, onFault } = this.#options;
    if (transport.kind === 'socket') {
      this.#group.open(opening, new NodeStream(transport.socket, buffers));
    } else if (ring === null) {
      closeSocket(transport.fd);
      onClosed(connection.id, 'a descriptor came where sockets are expected');
    } else {
      UringStream.open(ring, buffers, transport.fd)
        .then((stream) => this.#group.open(opening, stream))
        .catch(onFault);
    }
  }

  shutdown(deadlineMs: number): Promise<void> {
    return this.#group.shutdown(deadlineMs);
  }
}
