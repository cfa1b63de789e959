/** Running other people's programs: found or not, what they said, how they ended. */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  /** Both, for messages. */
  readonly all: string;
}

/** Of the program in $PATH. */
export const isInstalled = (program: string): boolean => {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
};

const PROGRAM_MS = 120_000;

/** Killed when it takes longer than any of them should. */
export const run = (program: string, args: readonly string[], input = ''): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: 'pipe',
      timeout: PROGRAM_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      all += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      all += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, all }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });

/** Rejects unless the program ends well; resolves with what it printed. */
export const runWell = async (program: string, ...args: readonly string[]): Promise<string> => {
  const { code, stdout, all } = await run(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${all}`);
  return stdout;
};
