/**
 * One connection during its handshake: the socket and the deadline around the state machine of
 * handshake.ts. It ends in exactly one of two calls, `ended` (the socket is closed) or `negotiated`
 * (the socket is the receiver's: paused, everything written, no listeners of ours but those that
 * swallow errors).
 */

import type { Socket } from 'node:net';
import type { ExportDirectory } from './export-directory.ts';
import { Handshake } from './handshake.ts';
import type { NbdLimits } from './limits.ts';
import type { Opening } from './session-group.ts';

export interface HandshakeOwner {
  ended(reason: string): void;
  negotiated(outcome: Omit<Opening, 'connectionId'>): void;
}

/** How long a peer that asked for the end gets to read the answer. */
const GOODBYE_MS = 1000;

export class HandshakeConnection {
  readonly #socket: Socket;
  readonly #handshake: Handshake;
  readonly #unsentBytesMax: number;
  readonly #owner: HandshakeOwner;
  readonly #deadline: NodeJS.Timeout;
  readonly #onData = (bytes: Uint8Array): void => this.#push(bytes);
  readonly #onEnd = (): void => this.destroy('the peer hung up');
  readonly #onClose = (): void => this.destroy('the peer hung up');
  #over = false;

  constructor(
    socket: Socket,
    directory: ExportDirectory,
    limits: NbdLimits,
    owner: HandshakeOwner,
  ) {
    this.#socket = socket;
    this.#handshake = new Handshake(directory, limits.payloadBytes);
    this.#unsentBytesMax = limits.handshakeUnsentBytes;
    this.#owner = owner;
    this.#deadline = setTimeout(() => this.destroy('handshake timed out'), limits.handshakeMs);
    this.#deadline.unref();
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.write(this.#handshake.greeting());
  }

  destroy(reason: string): void {
    if (this.#over) return;
    this.#leave();
    this.#socket.destroy();
    this.#owner.ended(reason);
  }

  #push(bytes: Uint8Array): void {
    try {
      this.#act(bytes);
    } catch (error) {
      this.destroy(`internal error: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #act(bytes: Uint8Array): void {
    const outcome = this.#handshake.push(bytes);
    switch (outcome.kind) {
      case 'more':
        if (outcome.reply.length > 0) this.#socket.write(outcome.reply);
        if (this.#socket.writableLength > this.#unsentBytesMax) {
          this.destroy('the peer does not read');
        }
        return;
      case 'finished':
        this.#leave();
        this.#socket.end(outcome.reply);
        this.#socket.resume();
        setTimeout(() => this.#socket.destroy(), GOODBYE_MS).unref();
        this.#owner.ended('');
        return;
      case 'dropped':
        this.destroy(outcome.reason);
        return;
      case 'handed-over': {
        const { negotiated, reply, leftover } = outcome;
        this.#whenWritten(() =>
          this.#owner.negotiated({ negotiated, firstBytes: reply, leftover }),
        );
      }
    }
  }

  /** The deadline goes on until the peer has read the earlier answers. */
  #whenWritten(then: () => void): void {
    const socket = this.#socket;
    socket.pause();
    socket.removeListener('data', this.#onData);
    if (socket.writableLength === 0) {
      this.#leave();
      then();
      return;
    }
    socket.write('', () => {
      if (this.#over) return;
      this.#leave();
      then();
    });
  }

  #leave(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#socket.removeListener('data', this.#onData);
    this.#socket.removeListener('end', this.#onEnd);
    this.#socket.removeListener('close', this.#onClose);
  }
}
