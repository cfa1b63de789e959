/**
 * The NBD side of the main thread: listens, runs handshakes against the list of volumes, and hands each connection to
 * the volume it asked for. Remembers which connection is where, to be able to cut those of a volume that has crashed.
 */

import fs from 'node:fs';
import type { Control } from '../control/control-plane.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import { closeSocket, SHUTDOWN_BOTH, shutDown } from '../io/sockets.ts';
import { Acceptor, type HandOver, type ListenAddress, type Transport } from '../nbd/acceptor.ts';
import type { ExportDirectory } from '../nbd/export-directory.ts';
import { nbdLimitsFrom } from '../nbd/limits.ts';
import type { ServerLog } from './log.ts';

export function parseListenAddress(text: string): ListenAddress | null {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const match = /^tcp:(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) return null;
  return { kind: 'tcp', host: match[1]!.replace(/^\[(.*)\]$/, '$1'), port };
}

/**
 * To one volume at a time. A storm of connections waits here (its number has a limit already), and leaves room for the
 * other calls to the volume's thread: that refuses what is more than CALLS_MAX.
 */
const PASSING_MAX = 32;

const shown = (address: ListenAddress): string =>
  address.kind === 'unix'
    ? `unix:${address.path}`
    : `tcp:${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;

export class Listeners {
  readonly #control: Control;
  readonly #log: ServerLog;
  readonly #acceptor: Acceptor;
  readonly #connections = new Map<number, { volume: string; transport: Transport }>();
  readonly #doors = new Map<string, Door>();
  readonly #addresses: string[] = [];

  constructor(
    control: Control,
    transport: Transport['kind'],
    limits: Readonly<Record<string, number>>,
    log: ServerLog,
  ) {
    this.#control = control;
    this.#log = log;
    this.#acceptor = new Acceptor({
      directory: directoryOf(control),
      transport,
      limits: nbdLimitsFrom(limits),
      onHandOver: (handOver) => this.#handOver(handOver),
      onRefused: (peer, reason) =>
        log.debug({ peer, reason }, 'NBD connection ended before transmission'),
    });
  }

  /** As really listened on: a port of 0 is replaced. */
  get addresses(): string[] {
    return [...this.#addresses];
  }

  async listen(address: ListenAddress): Promise<Outcome<void>> {
    try {
      this.#addresses.push(shown(await this.#acceptor.listen(address)));
      return done(undefined);
    } catch (error) {
      return refuse('listen-failed', { address: shown(address), reason: (error as Error).message });
    }
  }

  close(): Promise<void> {
    return this.#acceptor.close();
  }

  ended(connectionId: number, reason: string): void {
    this.#connections.delete(connectionId);
    this.#acceptor.sessionEnded(connectionId);
    if (reason !== '')
      this.#log.debug({ connection: connectionId, reason }, 'NBD connection ended');
  }

  /** The volume's thread has crashed and will not close anything: its clients must not wait for ever. */
  cut(volume: string): void {
    for (const [id, connection] of [...this.#connections]) {
      if (connection.volume !== volume) continue;
      const { transport } = connection;
      if (transport.kind === 'socket') transport.socket.destroy();
      else cutOff(transport.fd);
      this.ended(id, 'the volume has crashed');
    }
  }

  #handOver(handOver: HandOver): void {
    const { connectionId: id, transport, peer } = handOver;
    const volume = handOver.negotiated.exportName;
    this.#connections.set(id, { volume, transport });
    this.#log.debug({ volume, peer, connection: id }, 'NBD connection');
    const door = this.#doors.get(volume) ?? { passing: 0, waiting: [] };
    this.#doors.set(volume, door);
    door.waiting.push(handOver);
    this.#pass(volume, door);
  }

  #pass(volume: string, door: Door): void {
    while (door.passing < PASSING_MAX && door.waiting.length > 0) {
      door.passing += 1;
      this.#giveTo(volume, door.waiting.shift() as HandOver)
        .then(() => {
          door.passing -= 1;
          this.#pass(volume, door);
          if (door.passing === 0) this.#doors.delete(volume);
        })
        .catch((error: unknown) => {
          throw error;
        });
    }
  }

  async #giveTo(volume: string, handOver: HandOver): Promise<void> {
    const { connectionId: id, transport, peer: _peer, ...opening } = handOver;
    // Cut while it waited: it is closed as one that came too late is.
    const isWanted = this.#connections.has(id);
    const connection = { id, opening: { connectionId: id, ...opening }, transport };
    if (isWanted && (await this.#control.connect(volume, connection))) return;
    // Stopped between the handshake and now.
    if (transport.kind === 'socket') transport.socket.destroy();
    else closeSocket(transport.fd);
    this.ended(id, 'the volume is not served any more');
  }
}

/** Hand-overs to one volume. */
interface Door {
  passing: number;
  readonly waiting: HandOver[];
}

function directoryOf(control: Control): ExportDirectory {
  return {
    list: () => control.exports(),
    find: (name) => {
      const exports = control.exports();
      if (name === '') return exports.length === 1 ? exports[0]! : null;
      return exports.find((each) => each.name === name) ?? null;
    },
  };
}

/** Ends the connection without taking the descriptor from the thread that owns it. */
function cutOff(fd: number): void {
  try {
    if (fs.fstatSync(fd).isSocket()) shutDown(fd, SHUTDOWN_BOTH);
  } catch {
    // Closed already.
  }
}
