/**
 * STATE/events.jsonl: every event of this server, numbered without gaps, also across restarts. The newest RECALL_COUNT
 * are kept in memory for `event ls` and for streams that resume.
 *
 * Bounded: at FILE_BYTES_MAX the file becomes events.1.jsonl and a new one begins. Appending is asynchronous, in
 * order, and never holds up what happened; an event that cannot be written is still in memory and in the server's log.
 */

import { appendFile, rename, stat } from 'node:fs/promises';
import type { LocumEvent } from '../core/status.ts';
import { parseLines, readText } from './json-file.ts';

const RECALL_COUNT = 10_000;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export type NewEvent = Omit<LocumEvent, 'sequence' | 'at'>;

interface Subscriber {
  readonly volume: string | null;
  readonly send: (event: LocumEvent) => void;
}

export class EventLog {
  readonly #path: string;
  readonly #wallMs: () => number;
  readonly #onTrouble: (reason: string) => void;
  readonly #recent: LocumEvent[] = [];
  readonly #subscribers = new Set<Subscriber>();
  #unwritten = '';
  #fileBytes = 0;
  #writing: Promise<void> | null = null;

  private constructor(path: string, wallMs: () => number, onTrouble: (reason: string) => void) {
    this.#path = path;
    this.#wallMs = wallMs;
    this.#onTrouble = onTrouble;
  }

  static async open(
    path: string,
    wallMs: () => number,
    onTrouble: (reason: string) => void,
  ): Promise<EventLog> {
    const log = new EventLog(path, wallMs, onTrouble);
    for (const file of [olderPath(path), path]) {
      log.#recent.push(...parseLines<LocumEvent>((await readText(file)) ?? ''));
    }
    log.#recent.splice(0, log.#recent.length - RECALL_COUNT);
    const text = await readText(path);
    log.#fileBytes = text === null ? 0 : Buffer.byteLength(text);
    // A torn last line would swallow the next event.
    if (text !== null && text !== '' && !text.endsWith('\n')) log.#unwritten = '\n';
    return log;
  }

  get lastSequence(): number {
    return this.#recent.at(-1)?.sequence ?? 0;
  }

  append(event: NewEvent): LocumEvent {
    const numbered: LocumEvent = {
      sequence: this.lastSequence + 1,
      at: new Date(this.#wallMs()).toISOString(),
      ...event,
    };
    this.#recent.push(numbered);
    if (this.#recent.length > RECALL_COUNT) this.#recent.shift();
    this.#unwritten += `${JSON.stringify(numbered)}\n`;
    this.#writing ??= this.#write();
    for (const { volume, send } of this.#subscribers) {
      if (volume === null || volume === numbered.volume) send(numbered);
    }
    return numbered;
  }

  /** The newest `limit` events after `sequence`, oldest first. */
  list(sequence: number, volume: string | null, limit: number): LocumEvent[] {
    const fitting = this.#recent.filter(
      (event) => event.sequence > sequence && (volume === null || event.volume === volume),
    );
    return fitting.slice(Math.max(0, fitting.length - limit));
  }

  subscribe(
    sequence: number,
    volume: string | null,
    send: (event: LocumEvent) => void,
  ): () => void {
    for (const event of this.list(sequence, volume, RECALL_COUNT)) send(event);
    const subscriber = { volume, send };
    this.#subscribers.add(subscriber);
    return () => void this.#subscribers.delete(subscriber);
  }

  /** Resolves when everything appended so far is in the file, or could not be written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#unwritten !== '') {
      const text = this.#unwritten;
      this.#unwritten = '';
      try {
        if (this.#fileBytes > FILE_BYTES_MAX) await this.#rotate();
        await appendFile(this.#path, text, { mode: 0o600 });
        this.#fileBytes += Buffer.byteLength(text);
      } catch (error) {
        this.#onTrouble(`events cannot be written: ${(error as Error).message}`);
      }
    }
    this.#writing = null;
  }

  async #rotate(): Promise<void> {
    await rename(this.#path, olderPath(this.#path));
    this.#fileBytes = (await stat(this.#path).catch(() => null))?.size ?? 0;
  }
}

const olderPath = (path: string): string => path.replace(/\.jsonl$/, '.1.jsonl');
