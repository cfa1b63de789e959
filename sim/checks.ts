/**
 * What must hold when everything is at rest, looked up on the media themselves and not asked of the engine where that is
 * possible.
 */

import { BLOCK_BYTES, SECTOR_BYTES, type StripeIndex } from '../src/base/units.ts';
import type { LabelResult } from '../src/core/format/label.ts';
import { decodeLabel, newestLabel } from '../src/core/format/label-codec.ts';
import type { MemberLayout } from '../src/core/format/member-layout.ts';
import { decodeSuperblock, SUPERBLOCK_BYTES } from '../src/core/format/superblock.ts';
import type { VolumeCore } from '../src/engine/volume-core.ts';
import { hopelessSlowness } from './budget.ts';
import { objectTo } from './objection.ts';
import type { Scene } from './scene.ts';

const READ_SECTORS = 128;

/** Every sector of the volume is what it must be. */
export async function readAll(scene: Scene, where: string): Promise<void> {
  const { server, oracle } = scene;
  const reads: Promise<void>[] = [];
  for (let lba = 0; lba < oracle.sectors; lba += READ_SECTORS) {
    const sectors = Math.min(READ_SECTORS, oracle.sectors - lba);
    const calledAt = oracle.beginRead();
    const open = scene.openReads.begin(scene, { lba, sectors, calledAt });
    const read = server.read(lba * SECTOR_BYTES, sectors * SECTOR_BYTES, (errno, data) => {
      if (!server.alive) return;
      oracle.endRead();
      scene.openReads.end(open);
      if (errno === 0) oracle.check(lba, data, calledAt, where);
      else {
        const isCovered = scene.plan.promise === 'covered';
        objectTo(
          'answer',
          isCovered && !scene.openReads.mayBeRefused(scene, open),
          () => `${where}: sector ${lba}+${sectors}: errno ${errno}`,
        );
        scene.coverage.count('reads refused: two members absent');
      }
    });
    reads.push(read);
  }
  await Promise.all(reads);
}

/**
 * Parity and mirrors agree everywhere, by the bytes on the media. Only where nothing is in doubt or under way, and each
 * member is the drive that the server has open: that another one is in its place by now it finds out within a second. A
 * page that has been found to add up is compared again when any member's part of it has changed, or another drive is a
 * member.
 */
export class ParityWatch {
  #members = '';

  look(scene: Scene, where: string): void {
    const { core } = scene;
    if (core.mode !== 'direct' || core.degraded || core.resync !== null) return;
    if (scene.anySevered()) return;
    const { geometry } = core;
    const parts = core.members.slots.map(({ path, layout }) => {
      const from = layout?.dataOffset ?? 0;
      const { bytes, changedPages } = scene.machine.at(path);
      const words = new Int32Array(bytes.buffer, from, geometry.memberDataBytes / 4);
      return { path, changedPages, words, firstPage: from / PAGE_BYTES };
    });
    const members = parts.map(({ path, firstPage }) => `${path}:${firstPage}`).join(' ');
    const isKnown = members === this.#members;
    const differs = geometry.level.mirrored ? firstDifference : firstOddColumn;
    const all = parts.map(({ words }) => words);
    scene.coverage.count('stripes compared on the media', geometry.stripeCount);
    const pages = geometry.memberDataBytes / PAGE_BYTES;
    let bad = -1;
    for (let page = 0; page < pages && bad < 0; page++) {
      if (isKnown && parts.every((part) => part.changedPages[part.firstPage + page] === 0))
        continue;
      bad = differs(all, page * PAGE_WORDS, Math.min((page + 1) * PAGE_WORDS, pages * PAGE_WORDS));
      if (bad < 0) for (const part of parts) part.changedPages[part.firstPage + page] = 0;
    }
    this.#members = bad < 0 ? members : '';
    if (bad < 0) return;
    const stripe = Math.floor((bad * 4) / geometry.chunkBytes) as StripeIndex;
    objectTo(
      'parity',
      scene.oracle.tainted.size === 0,
      () => `${where}: stripe ${stripe} does not add up (member offset ${bad * 4})`,
    );
  }
}

const PAGE_BYTES = 4096;
const PAGE_WORDS = PAGE_BYTES / 4;

/** The first word from `from` on in which they differ, or −1. */
function firstDifference(members: readonly Int32Array[], from: number, end: number): number {
  const [first, ...others] = members as [Int32Array, ...Int32Array[]];
  for (const other of others) for (let i = from; i < end; i++) if (first[i] !== other[i]) return i;
  return -1;
}

const sums = new Int32Array(PAGE_WORDS);

/** The first word from `from` on in which the exclusive or of all is not zero, or −1. */
function firstOddColumn(members: readonly Int32Array[], from: number, end: number): number {
  sums.fill(0);
  const count = end - from;
  for (const words of members)
    for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) ^ (words[from + i] as number);
  for (let i = 0; i < count; i++) if (sums[i] !== 0) return from + i;
  return -1;
}

interface Readings {
  readonly areas: readonly Uint8Array[];
  readonly events: number;
  readonly newest: number;
  /** Of the newest label: whose number that is, and the generations that went before. */
  readonly generation: string;
  readonly history: readonly string[];
  /** What the newest label says of the volume: all of it but whose it is. */
  readonly tells: string;
}

/**
 * Superblocks and labels of all online members tell one story; counters never go back. But a start that has to leave a
 * member behind, for the drive of a window that missed its last labels, begins a generation and goes on from the number of
 * its own: that member's next label has a lower one, and remembers the generation of the higher.
 */
export class LabelWatch {
  readonly #events = new Map<string, number>();
  readonly #newest = new Map<string, Readings>();
  /** Out of reach of a start, and not seen in use since. */
  readonly #leftBehind = new Set<string>();
  readonly #known = new Map<string, Readings>();
  readonly #generations = new Set<string>();
  #generation = '';

  look(scene: Scene, where: string): void {
    const { core } = scene;
    const seen = new Map<number, string[]>();
    const told = new Map<string, string[]>();
    for (const { path, state, layout } of core.members.slots) {
      if (state !== 'online' || layout === null || scene.isHarmed(path)) continue;
      const readings = this.#readings(path, scene.machine.at(path).bytes, layout);
      const { events, newest, tells } = readings;
      objectTo('labels', events < 0, () => `${where}: ${path} has no superblock`);
      this.#rises(this.#events.get(path) ?? 0, events, () => `${where}: events of ${path}`);
      this.#events.set(path, events);
      seen.set(events, [...(seen.get(events) ?? []), path]);
      told.set(tells, [...(told.get(tells) ?? []), path]);
      objectTo('labels', newest < 0, () => `${where}: ${path} has no label`);
      const before = this.#newest.get(path);
      const isOvertaken =
        before !== undefined &&
        this.#leftBehind.has(path) &&
        readings.history.includes(before.generation);
      if (!isOvertaken)
        this.#rises(before?.newest ?? 0, newest, () => `${where}: label of ${path}`);
      this.#newest.set(path, readings);
      this.#leftBehind.delete(path);
    }
    objectTo('labels', seen.size > 1 && core.mode === 'direct', () => {
      const groups = [...seen].map(([events, paths]) => `${paths.join(' and ')} ${events}`);
      return `${where}: members disagree on events: ${groups.join(', ')}`;
    });
    objectTo('labels', told.size > 1 && core.mode === 'direct', () => {
      const groups = [...told].map(([tells, paths]) => `${paths.join(' and ')}: ${tells}`);
      return `${where}: the labels do not say the same: ${groups.join(' | ')}`;
    });
    this.#watchGeneration(core, where);
  }

  /** What superblock and labels count, −1 where there is none; decoded again only when a byte of them has changed. */
  #readings(path: string, bytes: Uint8Array, layout: MemberLayout): Readings {
    const areas = [layout.superOffset, ...layout.labelOffsets].map((at) =>
      bytes.subarray(at, at + BLOCK_BYTES),
    );
    const known = this.#known.get(path);
    if (known?.areas.every((area, i) => Buffer.compare(area, areas[i] as Uint8Array) === 0))
      return known;
    const copies = areas.map((area) => area.slice());
    const [block, ...labels] = copies as [Uint8Array, ...Uint8Array[]];
    const superblock = decodeSuperblock(block.slice(0, SUPERBLOCK_BYTES));
    const events = superblock.kind === 'superblock' ? superblock.value.events : -1;
    const label = newestLabel(...(labels.map(decodeLabel) as [LabelResult, LabelResult]));
    const isThere = label.kind === 'label';
    const newest = isThere ? label.value.sequence : -1;
    const ofAll = isThere ? { ...label.value, memberUuid: '', slot: 0 } : null;
    const { generation, history } = isThere ? label.value : { generation: '', history: [] };
    const tells = JSON.stringify(ofAll);
    const readings = { areas: copies, events, newest, generation, history, tells };
    this.#known.set(path, readings);
    return readings;
  }

  /** A generation, once left, never comes back; one that no member was there to be written to has never been. */
  #watchGeneration(core: VolumeCore, where: string): void {
    const { generation } = core.metadata;
    const isOnRecord = core.members.slots.some(({ drive }) => drive !== null);
    if (generation === this.#generation || !isOnRecord) return;
    const again = this.#generations.has(generation);
    objectTo('labels', again, () => `${where}: generation ${generation} is used again`);
    this.#generations.add(generation);
    this.#generation = generation;
  }

  #rises(before: number, value: number, what: () => string): void {
    objectTo('events', value < before, () => `${what()} went back from ${before} to ${value}`);
  }

  /** A server is up, and whoever it has not got may have to follow it one day. */
  cameUp({ core }: Scene): void {
    const used = core.members.present().map(({ path }) => path);
    for (const path of this.#newest.keys()) if (!used.includes(path)) this.#leftBehind.add(path);
  }

  /** The drive was given other contents: its counters begin anew. */
  forget(path: string): void {
    this.#events.delete(path);
    this.#newest.delete(path);
  }
}

/** Nothing is held that nobody needs any more: buffers, locks, places in the gate. */
export function nothingLeaks(scene: Scene, where: string): void {
  const { core, server } = scene;
  const { gate, locks } = core;
  // A drive that hangs keeps its buffers; so does a job that is under way.
  const busy = core.resyncJob?.running || core.rebuildJob?.running || core.scrubJob?.running;
  const hung = [...scene.machine.media.values()].some((medium) => medium.isHung);
  if (busy || hung || core.mode === 'replaying' || core.verifyJob?.running) return;
  objectTo('leak', gate.inside > 0, () => `${where}: ${gate.inside} requests inside the gate`);
  objectTo('leak', gate.closed, () => `${where}: the gate is closed`);
  objectTo('leak', locks.heldCount > 0, () => `${where}: ${locks.heldCount} stripes are locked`);
  const { freeBytes } = server.buffers;
  if (scene.idleBytes < 0) scene.idleBytes = freeBytes;
  objectTo(
    'leak',
    missesBuffers(scene),
    () => `${where}: ${scene.idleBytes - freeBytes} bytes of buffers have not come back`,
  );
}

/**
 * An orderly stop leaves nothing behind: no handle, no buffer, no timer. A drive that hangs keeps what was asked of it, and
 * one that answers in hours as well. One that is quick again keeps itself open, and the buffers of what it was asked for
 * while it was slow: it has been given up since, and nobody waits for that.
 */
export function nothingIsLeft(scene: Scene, where: string): void {
  const { machine, server } = scene;
  const media = [...machine.media.values()];
  if (scene.anySlow() || media.some((medium) => medium.isHung)) return;
  const hopeless = hopelessSlowness(scene.plan.config);
  const owing = media.filter(({ slowestPace }) => slowestPace >= hopeless);
  const open = media
    .filter((medium) => medium.isOpen && !owing.includes(medium))
    .map(({ path }) => path);
  objectTo('leak', open.length > 0, () => `${where}: ${open.join(', ')} are still open`);
  const { takenBytes, timers } = server;
  objectTo(
    'leak',
    takenBytes > 0 && owing.length === 0,
    () => `${where}: ${takenBytes} bytes of buffers have not come back`,
  );
  objectTo('leak', timers > 0, () => `${where}: ${timers} timers are still set`);
  scene.coverage.count('stops that left nothing behind');
}

/** More is taken than at rest before. What the log does by itself, or is asked to check, ends; a leak does not. */
export const missesBuffers = ({ idleBytes, server }: Scene): boolean =>
  server.buffers.freeBytes < idleBytes - LOG_BUFFERS_BYTES;

/** A window's log holds a few header blocks while it is open. */
const LOG_BUFFERS_BYTES = 256 * 1024;
