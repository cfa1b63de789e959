/**
 * Listens, runs the handshake of every connection, and hands the connection over when transmission
 * begins. Lives in the main thread; knows no volume, only the directory.
 *
 * It counts connections until their sessions have ended (`sessionEnded`), so that the limits hold
 * for all of their life. A connection beyond a limit is accepted and closed at once; a peer that
 * never speaks, or speaks something else, costs a socket for ten seconds and one line in the log.
 */

import { chmod, rm } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { takeFd } from '../io/stream-handover.ts';
import type { ExportDirectory } from './export-directory.ts';
import { HandshakeConnection } from './handshake-connection.ts';
import type { NbdLimits } from './limits.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Opening } from './session-group.ts';

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** A descriptor can be posted to another thread, a socket cannot. */
export type Transport =
  | { readonly kind: 'fd'; readonly fd: number }
  | { readonly kind: 'socket'; readonly socket: Socket };

export interface HandOver extends Opening {
  readonly transport: Transport;
  /** For people: who connected. */
  readonly peer: string;
}

export interface AcceptorOptions {
  readonly directory: ExportDirectory;
  readonly transport: Transport['kind'];
  readonly limits?: Partial<NbdLimits>;
  /** From here on the connection is the receiver's, who calls `sessionEnded` when it is over. */
  readonly onHandOver: (handOver: HandOver) => void;
  /** Of connections that ended before they were handed over. */
  readonly onRefused: (peer: string, reason: string) => void;
}

interface Connection {
  /** The peer's TCP address; null for unix sockets. */
  readonly address: string | null;
  exportName: string | null;
  handshake: HandshakeConnection | null;
}

const UNIX_MODE = 0o660;
/** Of a socket file that may belong to a server that is still there. */
const PROBE_MS = 1000;

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #limits: NbdLimits;
  readonly #servers: Server[] = [];
  readonly #connections = new Map<number, Connection>();
  /** Connections by TCP peer address, of those that have one. */
  readonly #addresses = new Map<string, number>();
  #nextId = 1;
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** By export, of those in transmission. */
  connectionsOf(exportName: string): number {
    let count = 0;
    for (const connection of this.#connections.values()) {
      if (connection.exportName === exportName) count += 1;
    }
    return count;
  }

  /**
   * Resolves with the address that is really listened on (a port of 0 is replaced); rejects with
   * Node's error.
   */
  async listen(address: ListenAddress): Promise<ListenAddress> {
    if (address.kind === 'unix') await removeStale(address.path);
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
    server.on('connection', (socket: Socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const listening = (): void => {
        server.removeListener('error', reject);
        server.on('error', (error) => this.#options.onRefused('listener', error.message));
        resolve();
      };
      // A storm waits in the kernel until it is accepted; with less room a unix socket refuses (EAGAIN).
      const backlog = this.#limits.connectionCount;
      if (address.kind === 'unix') server.listen({ path: address.path, backlog }, listening);
      else server.listen({ host: address.host, port: address.port, backlog }, listening);
    });
    this.#servers.push(server);
    if (address.kind === 'unix') {
      await chmod(address.path, UNIX_MODE);
      return address;
    }
    const bound = server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
    return { ...address, port };
  }

  /** The receiver of a hand-over says that its connection is gone. */
  sessionEnded(connectionId: number): void {
    this.#forget(connectionId);
  }

  /** Stops listening and ends every handshake; sessions are not touched. */
  async close(): Promise<void> {
    this.#closed = true;
    const closing = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const connection of this.#connections.values()) {
      connection.handshake?.destroy('the server stops');
    }
    // In socket mode the sockets of sessions keep `close` from calling back; they end with their
    // sessions.
    if (this.#options.transport === 'fd') await Promise.all(closing);
  }

  #accept(socket: Socket): void {
    // Stays for good: whatever happens to this socket later, an error has somebody to go to.
    socket.on('error', () => {});
    const address = addressOf(socket);
    const peer = address ?? 'unix';
    const refusal = this.#refusal(address);
    if (refusal !== null) {
      socket.destroy();
      this.#options.onRefused(peer, refusal);
      return;
    }
    const id = this.#nextId++;
    const handshake = new HandshakeConnection(socket, this.#options.directory, this.#limits, {
      ended: (reason) => {
        this.#forget(id);
        this.#options.onRefused(peer, reason);
      },
      negotiated: (outcome) => this.#handOver(id, peer, socket, outcome),
    });
    this.#connections.set(id, { address, exportName: null, handshake });
    if (address !== null) this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1);
  }

  #refusal(address: string | null): string | null {
    if (this.#closed) return 'the server stops';
    const { connectionCount, connectionsPerAddress } = this.#limits;
    if (this.#connections.size >= connectionCount) return 'too many connections';
    const ofAddress = address === null ? 0 : (this.#addresses.get(address) ?? 0);
    return ofAddress >= connectionsPerAddress ? 'too many connections from this address' : null;
  }

  #forget(connectionId: number): void {
    const address = this.#connections.get(connectionId)?.address ?? null;
    this.#connections.delete(connectionId);
    if (address === null) return;
    const left = (this.#addresses.get(address) ?? 0) - 1;
    if (left > 0) this.#addresses.set(address, left);
    else this.#addresses.delete(address);
  }

  #handOver(
    connectionId: number,
    peer: string,
    socket: Socket,
    outcome: Omit<Opening, 'connectionId'>,
  ): void {
    const { exportName } = outcome.negotiated;
    const refuse = (reason: string): void => {
      this.#forget(connectionId);
      socket.destroy();
      this.#options.onRefused(peer, reason);
    };
    if (this.connectionsOf(exportName) >= this.#limits.connectionsPerExport) {
      return refuse('too many connections to this export');
    }
    const address = this.#connections.get(connectionId)?.address ?? null;
    this.#connections.set(connectionId, { address, exportName, handshake: null });
    if (this.#options.transport === 'socket') {
      const transport = { kind: 'socket', socket } as const;
      this.#options.onHandOver({ ...outcome, connectionId, transport, peer });
      return;
    }
    const taken = takeFd(socket);
    if (taken === null) return refuse('the connection cannot be handed over');
    const leftover = Buffer.concat([outcome.leftover, taken.leftover]);
    const transport = { kind: 'fd', fd: taken.fd } as const;
    this.#options.onHandOver({ ...outcome, leftover, connectionId, transport, peer });
  }
}

/** An IPv4 peer of a socket that listens on both kinds is the same peer. */
const addressOf = ({ remoteAddress }: Socket): string | null =>
  remoteAddress?.replace(/^::ffff:(?=\d+\.)/i, '') ?? null;

/** A socket file that nobody answers on is left over from a server that was killed. */
const removeStale = async (path: string): Promise<void> => {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    const end = (answer: boolean) => () => {
      probe.destroy();
      resolve(answer);
    };
    probe.setTimeout(PROBE_MS, end(true));
    probe.once('connect', end(true));
    probe.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED')());
  });
  if (!alive) await rm(path, { force: true });
};
