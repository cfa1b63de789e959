/**
 * The state directory: made when it is not there, and held with a lock for as long as the server lives. The kernel
 * gives the lock back when the process ends, however it ends, so it is never stale; the pid in the file is for people.
 *
 * Where flock cannot be called (no koffi), the answer of the control socket decides alone; see http/control-socket.ts.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { EAGAIN } from '../base/errno.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import { native } from '../io/native.ts';

const LOCK_EXCLUSIVE_NOW = 2 | 4;

export interface StateDirectory {
  readonly path: string;
  readonly controlSocket: string;
  readonly nbdSocket: string;
  readonly volumesFile: string;
  readonly eventsFile: string;
  readonly windowsFile: string;
  readonly runsFolder: string;
  readonly rolloutsFolder: string;
  readonly windowGroupsFile: string;
  release(): void;
}

export function openStateDirectory(path: string): Outcome<StateDirectory> {
  let lock: number;
  try {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
    lock = fs.openSync(join(path, 'server.lock'), 'a+', 0o600);
  } catch (error) {
    return refuse('state-unusable', { path, reason: (error as Error).message });
  }
  const result = native()?.flock(lock, LOCK_EXCLUSIVE_NOW) ?? 0;
  if (result < 0) {
    const pid = Number(fs.readFileSync(join(path, 'server.lock'), 'utf8').trim());
    fs.closeSync(lock);
    if (result !== -EAGAIN) return refuse('state-not-locked', { path, errno: -result });
    return refuse('server-running', { state: path, ...(pid > 0 ? { pid } : {}) });
  }
  fs.ftruncateSync(lock);
  fs.writeSync(lock, `${process.pid}\n`);
  return done({
    path,
    controlSocket: join(path, 'control.sock'),
    nbdSocket: join(path, 'nbd.sock'),
    volumesFile: join(path, 'volumes.json'),
    eventsFile: join(path, 'events.jsonl'),
    windowsFile: join(path, 'windows.jsonl'),
    runsFolder: join(path, 'runs'),
    rolloutsFolder: join(path, 'rollouts'),
    windowGroupsFile: join(path, 'window-groups.json'),
    release: () => fs.closeSync(lock),
  });
}
