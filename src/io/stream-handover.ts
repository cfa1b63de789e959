/**
 * Takes a connection out of Node's hands, so that a ring in another thread can have it: a descriptor is a number that
 * every thread of the process can use.
 */

import type { Socket } from 'node:net';
import { native } from './native.ts';

const F_DUPFD_CLOEXEC = 1030;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

export interface TakenFd {
  /** Connected, in blocking mode: io_uring would answer EAGAIN at once otherwise. Whoever has it closes it. */
  readonly fd: number;
  /** What Node had read already. */
  readonly leftover: Uint8Array;
}

/** What Node keeps below a socket. Not documented; null is returned where it is not as expected. */
interface SocketHandle {
  readonly fd?: number;
  readStop?(): void;
}

type Fcntl = (fd: number, command: number, argument: number) => number;

let fcntl: Fcntl | null = null;

/**
 * The socket must have no unsent writes. It is destroyed, unless the result is null: then nothing has happened to it
 * but that it is paused.
 */
export const takeFd = (socket: Socket): TakenFd | null => {
  const system = native();
  if (system === null || socket.destroyed) return null;
  fcntl ??= system.function('int fcntl(int fd, int command, long argument)') as unknown as Fcntl;
  const handle = (socket as unknown as { _handle?: SocketHandle | null })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0) return null;
  socket.pause();
  handle.readStop?.();
  const fd = fcntl(handle.fd, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return null;
  const early = socket.read() as Uint8Array | null;
  const leftover = new Uint8Array(early ?? new Uint8Array(0));
  socket.destroy();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
  return { fd, leftover };
};

/** For a descriptor that was taken and that nobody wants any more. */
export const closeTakenFd = (fd: number): void => {
  native()?.close(fd);
};
