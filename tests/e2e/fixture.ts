/**
 * A server with one volume in a folder of its own, and everything stopped and removed when the test ends.
 *
 * The end-to-end tests know Locum only from outside: the command line, the NBD socket, and the files on the drives.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Locum, type LocumOptions, shortFolder } from '../support/locum.ts';
import type { Finished } from '../support/processes.ts';

export const mebi = 2 ** 20;
export const volume = 'tank';

export type Io = 'uring' | 'node';
export const bothKinds: readonly Io[] = ['uring', 'node'];

export interface Shape {
  readonly level?: number;
  readonly members?: number;
  readonly memberBytes?: number;
  readonly legs?: number;
  readonly logBytes?: number;
  readonly more?: readonly string[];
}

export interface Scene {
  readonly folder: string;
  readonly locum: Locum;
  readonly drives: readonly string[];
  readonly legs: readonly string[];
  path(name: string): string;
}

/** A folder and a server that runs; no volume yet. */
export async function serverIn(t: TestContext, options: LocumOptions = {}): Promise<Scene> {
  const folder = await shortFolder();
  const state = join(folder.path, 'state');
  mkdirSync(state);
  const locum = new Locum(state, options);
  t.after(async () => {
    await locum.stop('SIGKILL');
    await folder.remove();
  });
  await locum.start();
  return {
    folder: folder.path,
    locum,
    drives: [],
    legs: [],
    path: (name) => join(folder.path, name),
  };
}

/** The arguments of `locum volume create` for a shape, with the images in the scene's folder. */
export function createArguments(scene: Scene, name: string, shape: Shape = {}): string[] {
  const { level = 5, members = 4, memberBytes = 16 * mebi, legs = 2, logBytes = 16 * mebi } = shape;
  const numbered = (stem: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => scene.path(`${name}-${stem}${index}.img`));
  const logs = numbered('log', legs);
  return [
    'volume',
    'create',
    name,
    '--level',
    String(level),
    ...numbered('drive', members).flatMap((path) => ['--drive', path]),
    ...logs.flatMap((path) => ['--log', path]),
    '--image-size',
    String(memberBytes),
    ...(legs > 0 ? ['--log-size', String(logBytes)] : []),
    ...(shape.more ?? []),
  ];
}

export async function volumeIn(
  t: TestContext,
  shape: Shape = {},
  options: LocumOptions = {},
): Promise<Scene> {
  const scene = await serverIn(t, options);
  const words = createArguments(scene, volume, shape);
  await scene.locum.must(...words);
  await scene.locum.until(volume, 'optimal', (status) => status.state === 'optimal');
  const after = (option: string): string[] =>
    words.filter((_, index) => words[index - 1] === option);
  return { ...scene, drives: after('--drive'), legs: after('--log') };
}

/** An image file of that size; sparse, all zeroes. */
export async function blankImage(path: string, sizeBytes = 16 * mebi): Promise<string> {
  const file = await open(path, 'w');
  await file.truncate(sizeBytes);
  await file.close();
  return path;
}

export async function overwrite(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Exit code and one clear sentence on standard error; a crash or a stack trace is neither. */
export function refusedWith(finished: Finished, code: number, says: RegExp): void {
  const said = finished.stderr.trim();
  assert.equal(finished.code, code, `said: ${finished.stdout}${said}`);
  assert.match(said, says);
  const first = said.split('\n')[0] ?? '';
  assert.match(first, /^locum: .*[.!?)]$/, 'the first line is a sentence');
  assert.doesNotMatch(said, /\n\s+at |undefined|\[object|NaN/);
}

/** The volume still reads and writes. */
export async function stillServes(scene: Scene): Promise<void> {
  const client = await scene.locum.connect(volume);
  const bytes = Buffer.alloc(8192, 0x3c);
  await client.write(512 * 1024, bytes);
  assert.ok((await client.read(512 * 1024, bytes.length)).equals(bytes));
  await client.close();
}
