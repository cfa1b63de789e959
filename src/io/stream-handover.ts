/**
 * Takes a connection out of Node's hands, so that a ring in another thread can have it: a
 * descriptor is a number that every thread of the process can use.
 */

import type { Socket } from 'node:net';
import { native } from './native.ts';
import { duplicate, setBlocking } from './sockets.ts';

export interface TakenFd {
  /**
   * Connected, in blocking mode: io_uring would answer EAGAIN at once otherwise. Whoever has it
   * closes it.
   */
  readonly fd: number;
  /** What Node had read already. */
  readonly leftover: Uint8Array;
}

/** What Node keeps below a socket. Not documented; null is returned where it is not as expected. */
interface SocketHandle {
  readonly fd?: number;
  readStop?(): void;
}

/**
 * The socket must have no unsent writes. It is destroyed, unless the result is null: then nothing
 * has happened to it but that it is paused.
 */
export const takeFd = (socket: Socket): TakenFd | null => {
  if (native() === null || socket.destroyed) return null;
  const handle = (socket as unknown as { _handle?: SocketHandle | null })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0) return null;
  socket.pause();
  handle.readStop?.();
  const fd = duplicate(handle.fd);
  if (fd < 0) return null;
  const early = socket.read() as Uint8Array | null;
  const leftover = new Uint8Array(early ?? new Uint8Array(0));
  socket.destroy();
  setBlocking(fd);
  return { fd, leftover };
};
