/**
 * An NBD server for one BlockDevice in this process: acceptor, session group and one kind of I/O,
 * put together as the daemon does it but in one thread.
 */

import type { BlockDevice } from '../../src/io/block-device.ts';
import { BufferPool } from '../../src/io/buffer-pool.ts';
import type { Clock } from '../../src/io/clock.ts';
import { NodeStream } from '../../src/io/node-stream.ts';
import { closeSocket } from '../../src/io/sockets.ts';
import { Ring } from '../../src/io/uring.ts';
import { UringStream } from '../../src/io/uring-stream.ts';
import type { HandOver, ListenAddress } from '../../src/nbd/acceptor.ts';
import { Acceptor } from '../../src/nbd/acceptor.ts';
import type { NbdLimits } from '../../src/nbd/limits.ts';
import { SessionGroup } from '../../src/nbd/session-group.ts';

export type IoKind = 'uring' | 'node';

export const ioKinds: readonly IoKind[] = ['uring', 'node'];

/** Null, or why this machine cannot do it. */
export const ioMissing = (io: IoKind): string | null => {
  const available = Ring.available();
  return io === 'node' || available.ok ? null : available.reason;
};

const clock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export interface MemoryServerOptions {
  readonly io: IoKind;
  readonly listen: readonly ListenAddress[];
  readonly limits?: Partial<NbdLimits>;
  readonly poolBytes?: number;
  readonly makeDevice: (pool: BufferPool, ring: Ring | null) => BlockDevice;
}

export class MemoryServer {
  readonly pool: BufferPool;
  readonly device: BlockDevice;
  readonly group: SessionGroup;
  readonly acceptor: Acceptor;
  readonly faults: unknown[] = [];
  readonly endings: string[] = [];
  readonly refusals: string[] = [];
  addresses: ListenAddress[] = [];
  readonly #ring: Ring | null;

  static async start(options: MemoryServerOptions): Promise<MemoryServer> {
    const server = new MemoryServer(options);
    for (const address of options.listen) {
      server.addresses.push(await server.acceptor.listen(address));
    }
    return server;
  }

  private constructor(options: MemoryServerOptions) {
    const limits = options.limits ?? {};
    this.pool = new BufferPool(options.poolBytes ? { sizeBytes: options.poolBytes } : {});
    this.#ring = options.io === 'uring' ? new Ring() : null;
    this.#ring?.attachPool(this.pool);
    const device = options.makeDevice(this.pool, this.#ring);
    this.device = device;
    this.group = new SessionGroup({
      device,
      buffers: this.pool,
      clock,
      limits,
      onClosed: (id, reason) => {
        this.endings.push(reason);
        this.acceptor.sessionEnded(id);
      },
      onFault: (error) => this.faults.push(error),
    });
    this.acceptor = new Acceptor({
      directory: {
        list: () => [device],
        find: (name) => (name === '' || name === device.name ? device : null),
      },
      transport: options.io === 'uring' ? 'fd' : 'socket',
      limits,
      onHandOver: (handOver) => {
        this.#serve(handOver).catch((error: unknown) => this.faults.push(error));
      },
      onRefused: (_peer, reason) => this.refusals.push(reason),
    });
  }

  async close(): Promise<void> {
    await this.acceptor.close();
    await this.group.shutdown(2000);
    this.#ring?.close();
  }

  async #serve(handOver: HandOver): Promise<void> {
    const { transport } = handOver;
    if (transport.kind === 'socket') {
      this.group.open(handOver, new NodeStream(transport.socket, this.pool));
    } else if (this.#ring === null) {
      closeSocket(transport.fd);
    } else {
      this.group.open(handOver, await UringStream.open(this.#ring, this.pool, transport.fd));
    }
  }
}
