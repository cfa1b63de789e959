/**
 * One volume under torture: its server, the files that are its drives and legs, which of them are pulled at the moment,
 * and how much more may go wrong before the promises no longer cover it.
 *
 * A drive is pulled by renaming its file: the server finds it gone at its next look, and writes until then reach the file
 * all the same, as they reach a drive until its cable is out.
 */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { VolumeStatus } from '../src/core/status.ts';
import { Locum } from '../tests/support/locum.ts';
import type { NbdClient } from '../tests/support/nbd-client.ts';
import { ask, type Reply, statusFrom } from './control-client.ts';
import type { Tally } from './tally.ts';

export const volume = 'tank';
const storyKept = 80;

export type Io = 'uring' | 'node';

export interface Shape {
  readonly level: number;
  readonly members: number;
  readonly memberBytes: number;
  readonly chunkBytes: number | null;
  readonly logBytes: number;
  readonly io: Io;
}

/** Replies that say that the server itself is at fault, whatever was asked. */
const faults = new Set(['internal', 'volume-crashed', 'volume-stalled']);

/** A promise was broken; the message says which, the scene's story how it came to it. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

export class KillScene {
  readonly folder: string;
  readonly shape: Shape;
  readonly tally: Tally;
  readonly locum: Locum;
  /** What happened, newest last. */
  readonly story: string[] = [];
  /** Files out of the server's sight, and whether it had seen that when it was last asked. */
  readonly pulled = new Map<string, { readonly kind: 'member' | 'leg'; noticed: boolean }>();
  /** Reads may be refused: two members that a block needs are absent, or were a moment ago. */
  exposed = false;
  /** The drive that is away is being rebuilt, so that it is no copy of anything until the window is closed. */
  sacrificed = false;
  /** The volume is being stopped: clients are turned away. */
  stopping = false;
  last: VolumeStatus | null = null;
  /** Called as each command is sent. */
  onCommand: () => void = () => {};
  readonly #startedMs = performance.now();
  #files = 0;
  #lastNote = '';

  constructor(folder: string, shape: Shape, tally: Tally, serveArgs: readonly string[] = []) {
    this.folder = folder;
    this.shape = shape;
    this.tally = tally;
    this.locum = new Locum(join(folder, 's'), { io: shape.io, serveArgs });
  }

  note(what: string): void {
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(2);
    // The same again and again is told once: it would push out how it came to this.
    if (what === this.#lastNote) return;
    this.#lastNote = what;
    this.story.push(`${seconds} s: ${what}`);
    if (this.story.length > storyKept) this.story.shift();
  }

  newFile(stem: string): string {
    return join(this.folder, `${stem}${this.#files++}.img`);
  }

  /** A member is pulled, and the server does not know yet. */
  get unseen(): boolean {
    return [...this.pulled.values()].some(({ kind, noticed }) => kind === 'member' && !noticed);
  }

  get tolerated(): number {
    return this.shape.level === 1 ? this.shape.members - 1 : 1;
  }

  connect(): Promise<NbdClient> {
    return this.locum.connect(volume);
  }

  async create(): Promise<void> {
    const { level, members, memberBytes, chunkBytes, logBytes } = this.shape;
    const reply = await this.post('/v1/volumes', {
      name: volume,
      level,
      drives: Array.from({ length: members }, () => this.newFile('d')),
      logs: [this.newFile('l'), this.newFile('l')],
      imageSizeBytes: memberBytes,
      logSizeBytes: logBytes,
      ...(chunkBytes === null ? {} : { chunkBytes }),
    });
    if (reply.kind !== 'done') throw new Error(`the volume was not created: ${describe(reply)}`);
  }

  /** A request about the volume, told in the story. */
  async post(path: string, body: object): Promise<Reply> {
    this.onCommand();
    const reply = await ask(this.locum.controlPath, 'POST', path, body);
    this.note(`${path.replace(`/v1/volumes/${volume}`, '')} ${brief(body)}: ${describe(reply)}`);
    if (reply.kind === 'refused' && faults.has(reply.code)) {
      throw new Broken(`${path} was answered with ${reply.code}: ${reply.message}`);
    }
    return reply;
  }

  of(path: string, body: object = {}): Promise<Reply> {
    return this.post(`/v1/volumes/${volume}/${path}`, body);
  }

  /** What another thread of the play may see: the status, and nothing is concluded from it. */
  peek(): Promise<VolumeStatus | null> {
    return statusFrom(this.locum.controlPath, volume);
  }

  /** For whoever gives the commands: nothing else is under way, so what the status says is how it is. */
  async look(): Promise<VolumeStatus | null> {
    const status = await this.peek();
    if (status === null) return null;
    this.last = status;
    if (status.window === null && status.log !== null) this.sacrificed = false;
    // A volume that is not served tells nothing of its drives.
    const served = status.state === 'halted' ? [] : this.pulled;
    for (const [path, one] of served) {
      const all = one.kind === 'leg' ? (status.log?.legs ?? []) : status.drives;
      if (!all.some((it) => it.path === path && it.state === 'online')) one.noticed = true;
    }
    if (!this.unseen && status.drives.length > 0 && absent(status) <= this.tolerated)
      this.exposed = false;
    return status;
  }

  /** Starts a stopped volume again, from the files that are there now. */
  assemble(force = false): Promise<Reply> {
    return this.post('/v1/assemblies', { name: volume, drives: [], logs: [], force });
  }

  async blankImage(path: string): Promise<void> {
    const file = await open(path, 'w');
    await file.truncate(this.shape.memberBytes);
    await file.close();
  }

  pull(path: string, kind: 'member' | 'leg'): void {
    renameSync(path, `${path}.pulled`);
    this.pulled.set(path, { kind, noticed: false });
    this.note(`pulled ${kind} ${name(path)}`);
  }

  /** Out of sight and back, with nothing concluded from it. */
  hide(path: string): void {
    renameSync(path, `${path}.pulled`);
  }

  unhide(path: string): void {
    renameSync(`${path}.pulled`, path);
  }

  putBack(path: string): void {
    this.pulled.delete(path);
    if (!existsSync(`${path}.pulled`)) return;
    renameSync(`${path}.pulled`, path);
    this.note(`put back ${name(path)}`);
  }

  /** Files that no slot and no leg uses any more, so that a long life does not fill the disk. */
  sweep(status: VolumeStatus, paths: readonly string[]): void {
    const used = new Set([...status.drives, ...(status.log?.legs ?? [])].map(({ path }) => path));
    for (const path of paths) {
      if (used.has(path)) continue;
      rmSync(path, { force: true });
      rmSync(`${path}.pulled`, { force: true });
      this.pulled.delete(path);
    }
  }
}

export const name = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export function describe(reply: Reply): string {
  if (reply.kind === 'done') return 'done';
  return reply.kind === 'refused' ? `refused, ${reply.code}` : `no answer (${reply.reason})`;
}

function brief(body: object): string {
  return Object.entries(body)
    .map(
      ([key, value]) => `${key}=${typeof value === 'string' ? name(value) : JSON.stringify(value)}`,
    )
    .join(' ');
}

export const members = (status: VolumeStatus): VolumeStatus['drives'] =>
  status.drives.filter(({ slot }) => slot !== null);

export const absent = (status: VolumeStatus): number =>
  members(status).filter(({ state }) => state !== 'online').length;

/** The state as the coverage table names it: the volume's own word, and what is lost besides. */
export function stateName(status: VolumeStatus | null): string {
  if (status === null) return 'not serving';
  if (status.alarms.some(({ code }) => code === 'volume-stopped')) return 'stopped';
  const away = status.window === null ? 0 : 1;
  const lost = status.drives.filter(
    ({ state }) => state === 'failed' || state === 'missing',
  ).length;
  const isWindow = ['frozen', 'replaying'].includes(status.state);
  return isWindow && away > 0 && lost > 0 ? `${status.state}, second failure` : status.state;
}
