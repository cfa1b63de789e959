/**
 * One Locum at a time on an image file. With koffi: flock, which the kernel drops with the process.
 * Without: a file beside the image that names the process by number and start time; one left behind
 * by a process that is gone counts for nothing. Returns what gives the lock up, or null when
 * somebody else has it.
 */

import fs from 'node:fs';
import { native } from './native.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

export function lockFile(file: string, fd: number): (() => void) | null {
  const system = native();
  // The lock belongs to the open file and goes with its descriptor.
  if (system) return system.flock(fd, LOCK_EX | LOCK_NB) === 0 ? (): void => {} : null;
  return lockBeside(`${file}.locum-lock`);
}

/** Exported for its test: with koffi at hand it is not used. */
export function lockBeside(lock: string): (() => void) | null {
  const own = `${process.pid} ${startOf(process.pid)}\n`;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      fs.writeFileSync(lock, own, { flag: 'wx', mode: 0o600 });
      return () => fs.rmSync(lock, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return null;
      if (isHeld(lock)) return null;
      fs.rmSync(lock, { force: true });
    }
  }
  return null;
}

function isHeld(lock: string): boolean {
  try {
    const [pid, start] = fs.readFileSync(lock, 'utf8').trim().split(' ');
    return start !== undefined && startOf(Number(pid)) === start;
  } catch {
    return false;
  }
}

/** The start time of a process in clock ticks since boot; empty when it is not running. */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; the fields after it do not. Start time is field
    // 22, the name field 2.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
