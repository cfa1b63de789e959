/**
 * The records of one kind of work that outlives the server, in memory and in a folder: ID.json of each, and a folder ID with
 * its copy and with what its commands print (kept-records.ts).
 *
 *   - A record is written durably before every step that it tells of; what began is never forgotten.
 *   - One that could not be written is tried again for as long as the server runs: the last one of a piece of work has
 *     nobody else to do it. Until then `whyUnwritten` says why.
 *   - One that could not be written even once is of work that does not begin: nothing of it is left.
 *   - Bounded: the oldest ended ones go when there are more than the kind allows.
 *   - One that cannot be read is said; the others are not concerned by it.
 */

import { join } from 'node:path';
import { readText } from './json-file.ts';
import { type LostRecord, readKept, removeKept, writeKept } from './kept-records.ts';

const RETRY_MS = 5_000;

/** What a store must know of its records. */
export interface RecordKind<T> {
  /** In sentences: "the record of run 7". */
  readonly name: string;
  readonly most: number;
  readonly idOf: (record: T) => string;
  /** Records are in this order after a start. */
  readonly order: (record: T) => string;
  /** Nothing of it changes any more. */
  readonly isEnded: (record: T) => boolean;
  /** Null: it is not whole. */
  readonly parse: (text: string) => T | null;
  /**
   * Takes out of an ended record what is needed only when it is shown, and is read from its file then: in memory a thousand
   * of those could be more than a hundred mebibytes.
   */
  readonly lighten?: (record: T) => void;
}

export class RecordStore<T> {
  readonly #kind: RecordKind<T>;
  readonly #folder: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #retryMs: number;
  readonly #records = new Map<string, T>();
  /** What is in each file, so that nothing is written twice. */
  readonly #written = new Map<string, string>();
  /** Ended, on file, and lightened. */
  readonly #light = new Set<string>();
  /** The last write of each, one after another. */
  readonly #writing = new Map<string, Promise<boolean>>();
  /** Why the record is not on file as it is now, by its id. */
  readonly #unwritten = new Map<string, string>();
  readonly #retries = new Map<string, NodeJS.Timeout>();
  #isClosed = false;

  /** Their records are gone for good; nobody knows what they were about. */
  readonly lost: readonly LostRecord[];
  /** Their records were damaged, and taken from the copy. */
  readonly restored = new Set<string>();

  private constructor(
    kind: RecordKind<T>,
    folder: string,
    onTrouble: (reason: string) => void,
    lost: readonly LostRecord[],
    retryMs: number,
  ) {
    this.#kind = kind;
    this.#folder = folder;
    this.#onTrouble = onTrouble;
    this.#retryMs = retryMs;
    this.lost = lost;
  }

  static async open<T>(
    kind: RecordKind<T>,
    folder: string,
    onTrouble: (reason: string) => void,
    retryMs = RETRY_MS,
  ): Promise<RecordStore<T>> {
    const { kept, lost } = await readKept(folder, kind.parse);
    const store = new RecordStore<T>(kind, folder, onTrouble, lost, retryMs);
    for (const { id, path } of lost)
      onTrouble(
        `the record of ${kind.name} ${id} cannot be read, and neither can its copy: ${path}`,
      );
    const { order } = kind;
    const inOrder = kept.toSorted((a, b) => order(a.record).localeCompare(order(b.record)));
    for (const { record, text, isCopy } of inOrder) {
      const id = kind.idOf(record);
      store.#records.set(id, record);
      if (isCopy) store.restored.add(id);
      else store.#written.set(id, text);
      if (kind.isEnded(record)) store.#lighten(record);
    }
    return store;
  }

  /** Newest last. */
  all(): T[] {
    return [...this.#records.values()];
  }

  get(id: string): T | null {
    return this.#records.get(id) ?? null;
  }

  /** As it is on file when it was lightened; else, and when its file cannot be read any more, as `get`. */
  async whole(id: string): Promise<T | null> {
    const path = join(this.#folder, `${id}.json`);
    const text = this.#light.has(id) ? await readText(path).catch(() => null) : null;
    return (text === null ? null : this.#kind.parse(text)) ?? this.get(id);
  }

  /** Null: it is on file as it is now, or is being written. */
  whyUnwritten(id: string): string | null {
    return this.#unwritten.get(id) ?? null;
  }

  /** The same, of one that was just not saved. */
  whyNotSaved(id: string): string {
    return this.whyUnwritten(id) ?? `the record of ${this.#kind.name} ${id} could not be written`;
  }

  /** Why a record cannot be written, the last one that was tried; null: all are on file. */
  get unwritten(): string | null {
    return [...this.#unwritten.values()].at(-1) ?? null;
  }

  /** Where a command of this record prints to. */
  outputPath(id: string, name: string): string {
    return join(this.#folder, id, `${name}.log`);
  }

  /** Null: it is kept. Else why it could not be written, and is not. */
  async add(record: T): Promise<string | null> {
    const id = this.#kind.idOf(record);
    this.#records.set(id, record);
    if (await this.save(record)) {
      await this.#prune();
      return null;
    }
    const why = this.whyNotSaved(id);
    const left = await this.#forget(id);
    return left === null
      ? why
      : `${why}; what is left of it cannot be removed (${left}): the next start would take it for begun`;
  }

  /** Resolves when the record as it is now is durable; false: it could not be written, which was said. */
  save(record: T): Promise<boolean> {
    const id = this.#kind.idOf(record);
    if (this.#light.has(id)) return Promise.resolve(true);
    const text = `${JSON.stringify(record)}\n`;
    const isLast = this.#kind.isEnded(record);
    const before = this.#writing.get(id) ?? Promise.resolve(true);
    const writing = before.then(async () => {
      try {
        if (this.#written.get(id) !== text) await writeKept(this.#folder, id, text);
        this.#written.set(id, text);
        this.#unwritten.delete(id);
        if (isLast) this.#lighten(record);
        return true;
      } catch (error) {
        this.#couldNot(record, error as Error);
        return false;
      }
    });
    this.#writing.set(id, writing);
    return writing;
  }

  #couldNot(record: T, { message }: Error): void {
    const id = this.#kind.idOf(record);
    const reason = `the record of ${this.#kind.name} ${id} cannot be written to ${this.#folder}: ${message}`;
    if (this.#unwritten.get(id) !== reason) this.#onTrouble(reason);
    this.#unwritten.set(id, reason);
    if (this.#isClosed || this.#retries.has(id)) return;
    const timer = setTimeout(() => {
      this.#retries.delete(id);
      if (this.#records.has(id)) void this.save(record);
    }, this.#retryMs);
    this.#retries.set(id, timer.unref());
  }

  /** Nothing is tried again after this. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#retries.values()) clearTimeout(timer);
    await Promise.all(this.#writing.values());
  }

  /** Of one that has ended and is on file as it is now. */
  #lighten(record: T): void {
    const { lighten, idOf } = this.#kind;
    if (lighten === undefined) return;
    lighten(record);
    this.#light.add(idOf(record));
    this.#written.delete(idOf(record));
  }

  async #prune(): Promise<void> {
    const { most, isEnded, idOf } = this.#kind;
    const ended = this.all().filter(isEnded);
    for (const record of ended.slice(0, Math.max(0, this.#records.size - most))) {
      await this.#forget(idOf(record));
    }
  }

  /** Half of it may be on file, where the rest found no room. Null: nothing is left of it; else why not. */
  async #forget(id: string): Promise<string | null> {
    clearTimeout(this.#retries.get(id));
    for (const map of [this.#records, this.#written, this.#writing, this.#unwritten, this.#retries])
      map.delete(id);
    this.#light.delete(id);
    return await this.#remove(id);
  }

  /** Tried again, too, as long as the server runs. */
  async #remove(id: string): Promise<string | null> {
    try {
      await removeKept(this.#folder, id);
      this.#retries.delete(id);
      return null;
    } catch (error) {
      if (!this.#isClosed) {
        const timer = setTimeout(() => void this.#remove(id), this.#retryMs);
        this.#retries.set(id, timer.unref());
      }
      return (error as Error).message;
    }
  }
}
