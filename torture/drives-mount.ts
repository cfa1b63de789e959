/**
 * A drive of ours as a local file: nbdfuse mounts the NBD server of `drives-nbd.ts` (or any other) as one file, which the
 * server under test opens like any image. What a system call of that server does ends in the test's own code.
 *
 * A FUSE server that is stopped leaves its callers in a sleep that only it, or the end of its connection, can end. Its
 * death is that end: the kernel then fails every request that waits and every later one. So `stop` kills it, which a
 * stopped process cannot prevent, and only then unmounts: nothing stays behind in state D, whatever the test was doing.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram, runProgram } from '../tests/support/processes.ts';

const mounts = new Set<FuseDrive>();
process.on('exit', () => {
  for (const mount of mounts) mount.abandon();
});

/** Why drives cannot be mounted here, or null. */
export function noFuseBecause(): string | null {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  if (findProgram('nbdfuse') === null) return 'nbdfuse is not installed';
  if (findProgram('fusermount3') === null) return 'fusermount3 is not installed';
  return null;
}

export class FuseDrive {
  /** The file that the server under test opens. */
  readonly path: string;
  readonly #folder: string;
  readonly #child: ChildProcess;
  #output = '';

  /** Resolves when the file is there. `folder` is made, and removed by `stop`. */
  static async mount(folder: string, socketPath: string): Promise<FuseDrive> {
    await mkdir(folder, { recursive: true });
    const drive = new FuseDrive(folder, socketPath);
    mounts.add(drive);
    const limitMs = performance.now() + 30_000;
    while (!isMountPoint(folder)) {
      if (drive.#child.exitCode !== null || performance.now() > limitMs) {
        await drive.stop();
        throw new Error(`nbdfuse did not mount ${folder}: ${drive.#output.trim()}`);
      }
      await sleep(10);
    }
    return drive;
  }

  private constructor(folder: string, socketPath: string) {
    this.#folder = folder;
    this.path = join(folder, 'drive');
    const nbdfuse = ['nbdfuse', this.path, '--unix', socketPath];
    // Even if this process is killed, no server of a mount outlives it.
    const dying = findProgram('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];
    const [program, ...args] = [...dying, ...nbdfuse];
    this.#child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (piece: Buffer): void => {
      this.#output = (this.#output + piece.toString()).slice(-4096);
    };
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.#child.on('error', (error) => {
      this.#output += error.message;
    });
  }

  /** From now on no request is answered; they wait. */
  hang(): void {
    this.#child.kill('SIGSTOP');
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
  }

  /** The drive's own server dies: every request fails from now on, and the file cannot be opened again. */
  die(): void {
    this.#child.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.die();
    await runProgram('fusermount3', ['-u', '-z', this.#folder], { timeoutMs: 10_000 });
    mounts.delete(this);
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
  }

  /** What can be done while this process exits. */
  abandon(): void {
    this.die();
    spawn('fusermount3', ['-u', '-z', this.#folder], { detached: true, stdio: 'ignore' }).unref();
  }
}

const isMountPoint = (folder: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === folder);
