/**
 * Records of work that outlives the server, a file ID.json each, kept twice: the same text is in ID/record.json. The record
 * alone knows whose drive a tool is at work on, so that damage to one file must not make anybody forget it.
 *
 *   - Written first the copy, then ID.json; a write counts when both are durable. So neither is behind what was acted on,
 *     and work whose first record failed half-way has no ID.json: the next start does not take it for begun.
 *   - A damaged ID.json is set aside as ID.json.unreadable, and the copy is its record from then on.
 *   - Where the copy is no better, the record is lost. It is listed for as long as the file that was set aside is there, so
 *     that somebody looks, and takes it away.
 */

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory, readRecord, setAside, writeFileDurably } from './json-file.ts';

const UNREADABLE = '.json.unreadable';
const COPY = 'record.json';

export interface KeptRecord<T> {
  readonly record: T;
  readonly text: string;
  /** Its file was damaged, and the copy has taken its place. */
  readonly isCopy: boolean;
}

export interface LostRecord {
  readonly id: string;
  /** What was set aside: for people to look at, and to remove. */
  readonly path: string;
  /** Outputs of commands in its folder that have left the number of their process. */
  readonly outputs: readonly string[];
  /** Found damaged at this start. */
  readonly isNews: boolean;
}

export interface KeptRecords<T> {
  readonly kept: readonly KeptRecord<T>[];
  readonly lost: readonly LostRecord[];
}

export async function readKept<T>(
  folder: string,
  parse: (text: string) => T | null,
): Promise<KeptRecords<T>> {
  await makeDirectory(folder);
  const names = await readdir(folder);
  const kept: KeptRecord<T>[] = [];
  const lost: LostRecord[] = [];
  const whole = idsOf(names, '.json');
  for (const id of whole) {
    const path = join(folder, `${id}.json`);
    const text = await readRecord(path);
    const record = parse(text);
    if (record !== null) kept.push({ record, text, isCopy: false });
    else {
      await setAside(path);
      await takeCopy(id, true);
    }
  }
  for (const id of idsOf(names, UNREADABLE)) {
    if (!whole.includes(id)) await takeCopy(id, false);
  }
  return { kept, lost };

  async function takeCopy(id: string, isNews: boolean): Promise<void> {
    const text = await readRecord(copyOf(folder, id));
    const record = parse(text);
    if (record === null) {
      lost.push(await lostRecord(folder, id, isNews));
      return;
    }
    kept.push({ record, text, isCopy: true });
    // As soon as it can be: until then the next start takes the copy again.
    await writeFileDurably(join(folder, `${id}.json`), text).catch(() => {});
  }
}

/** The record, its copy, and what its commands printed. */
export async function removeKept(folder: string, id: string): Promise<void> {
  for (const ending of ['.json', UNREADABLE]) await rm(join(folder, id + ending), { force: true });
  await rm(join(folder, id), { recursive: true, force: true });
  // What a write left that found no room.
  await rm(join(folder, `${id}.json.new`), { force: true });
}

const idsOf = (names: readonly string[], ending: string): string[] =>
  names.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));

/** Throws where it cannot be written. */
export async function writeKept(folder: string, id: string, text: string): Promise<void> {
  await makeDirectory(join(folder, id));
  await writeFileDurably(copyOf(folder, id), text);
  await writeFileDurably(join(folder, `${id}.json`), text);
}

const copyOf = (folder: string, id: string): string => join(folder, id, COPY);

async function lostRecord(folder: string, id: string, isNews: boolean): Promise<LostRecord> {
  const names = await readdir(join(folder, id)).catch((): string[] => []);
  const outputs = names
    .filter((name) => name.endsWith(PID))
    .map((name) => join(folder, id, name.slice(0, -PID.length)));
  return { id, path: join(folder, `${id}${UNREADABLE}`), outputs, isNews };
}

const PID = '.pid';
