/**
 * Puts the control API on its unix socket.
 *
 * A socket file outlives its server, so one that is there already is asked: when somebody answers, this server is the
 * second one and must not start; when nobody does, the file is stale and is taken over. (The daemon also holds a lock on
 * the state directory, so that two servers starting in the same instant cannot both find the socket stale.)
 * The mode is 0600: whoever can open it can destroy volumes. It is bound in that mode, not changed afterwards.
 */

import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { done, type Outcome, refuse } from '../core/problems.ts';

const ANSWER_MS = 2_000;
/** What fits in sockaddr_un.sun_path with its terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;

export async function listenOnControlSocket(
  app: FastifyInstance,
  path: string,
  state: string,
): Promise<Outcome<void>> {
  const free = await freeSocketPath(path, state);
  if (!free.ok) return free;
  const mask = process.umask(0o177);
  try {
    await app.listen({ path });
  } catch (error) {
    return refuse('listen-failed', { address: `unix:${path}`, reason: (error as Error).message });
  } finally {
    process.umask(mask);
  }
  return done(undefined);
}

/** Makes sure nothing is at `path`, or says who is. */
export async function freeSocketPath(path: string, state: string): Promise<Outcome<void>> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    return refuse('listen-failed', {
      address: `unix:${path}`,
      reason: `a socket path has at most ${SOCKET_PATH_BYTES_MAX} bytes`,
    });
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return done(undefined);
  if (!found.isSocket()) {
    return refuse('listen-failed', {
      address: `unix:${path}`,
      reason: 'there is something else of that name',
    });
  }
  if (await answers(path)) return refuse('server-running', { state });
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      return refuse('listen-failed', { address: `unix:${path}`, reason: (error as Error).message });
    }
  }
  return done(undefined);
}

/** Only "nobody listens" counts as stale; a socket that cannot be asked is somebody's. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (alive: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    const timer = setTimeout(() => settle(true), ANSWER_MS);
    socket.on('connect', () => settle(true));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
