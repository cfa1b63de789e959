/**
 * System calls on socket descriptors that Node does not own. All return at once, so none of them
 * needs the ring; and `shutdown` must not go there: the ring looks its descriptor up when a kernel
 * thread gets to it, and by then the number may belong to another connection.
 */

import { assert } from '../base/assert.ts';
import { native } from './native.ts';

type Call = (...numbers: number[]) => number;

interface SocketCalls {
  readonly fcntl: Call;
  readonly shutdown: Call;
}

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const O_NONBLOCK = 0o4000;

export const SHUTDOWN_WRITE = 1;
export const SHUTDOWN_BOTH = 2;

let calls: SocketCalls | null = null;

const socketCalls = (): SocketCalls => {
  const system = native();
  assert(system !== null, 'descriptors are only taken where there are system calls');
  calls ??= {
    fcntl: system.function('int fcntl(int fd, int command, long argument)') as Call,
    shutdown: system.function('int shutdown(int fd, int how)') as Call,
  };
  return calls;
};

/** Another descriptor of the same socket, or −1. */
export const duplicate = (fd: number): number => socketCalls().fcntl(fd, F_DUPFD_CLOEXEC, 3);

/** Of the socket, whatever the descriptor. */
export const setBlocking = (fd: number): void => {
  const { fcntl } = socketCalls();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
};

/** A socket that is not connected any more is as good as shut down. */
export const shutDown = (fd: number, how: number): void => {
  socketCalls().shutdown(fd, how);
};

export const closeSocket = (fd: number): void => {
  native()?.close(fd);
};
