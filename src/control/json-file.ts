/**
 * Small files of the state directory. A whole-file write is atomic and durable: a temporary file is written and
 * flushed, renamed over the old one, and the directory flushed. A reader sees the old contents or the new ones.
 */

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { closeFile } from '../io/close-file.ts';

export async function writeFileDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await closeFile(file);
  }
  await rename(temporary, path);
  await flushDirectory(dirname(path));
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await closeFile(directory);
  }
}

/** Null when there is no such file. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Out of the way of the next start, for people to look at; left where it is when it cannot be moved. */
export async function setAside(path: string): Promise<void> {
  try {
    await rename(path, `${path}.unreadable`);
  } catch {
    // The next start says it again.
  }
}

/** Empty for what cannot be read, whatever the reason: one bad record must not keep the others from their server. */
export async function readRecord(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}

/** The lines of a JSONL file that parse. The last one may be torn by a crash; it is left out. */
export function parseLines<T>(text: string): T[] {
  const values: T[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      values.push(JSON.parse(line) as T);
    } catch {
      // A torn or damaged line: these files are histories, and the rest of one is worth more than its refusal.
    }
  }
  return values;
}

export const makeDirectory = (path: string): Promise<string | undefined> =>
  mkdir(path, { recursive: true, mode: 0o700 });
