/**
 * What must hold when everything is at rest, looked up on the media themselves and not asked of the engine where that is
 * possible.
 */

import { SECTOR_BYTES, type StripeIndex } from '../src/base/units.ts';
import { decodeLabel } from '../src/core/format/label-codec.ts';
import { decodeSuperblock, SUPERBLOCK_BYTES } from '../src/core/format/superblock.ts';
import type { VolumeCore } from '../src/engine/volume-core.ts';
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
    const read = server.read(lba * SECTOR_BYTES, sectors * SECTOR_BYTES, (errno, data) => {
      if (!server.alive) return;
      oracle.endRead();
      if (errno === 0) oracle.check(lba, data, calledAt, where);
      else if (scene.plan.promise === 'covered' && scene.core.window === null)
        objectTo('answer', true, () => `${where}: sector ${lba}+${sectors}: errno ${errno}`);
      else scene.coverage.count('reads refused: two members absent');
    });
    reads.push(read);
  }
  await Promise.all(reads);
}

/** Parity and mirrors agree everywhere, by the bytes on the media. Only where nothing is in doubt or under way. */
export function addsUp(scene: Scene, where: string): void {
  const { core } = scene;
  if (core.mode !== 'direct' || core.degraded || core.resync !== null) return;
  const { geometry } = core;
  const regions = core.members.slots.map(({ path, layout }) => {
    const from = layout?.dataOffset ?? 0;
    const { bytes } = scene.machine.at(path);
    return new Int32Array(bytes.buffer, from, geometry.memberDataBytes / 4);
  });
  const [first, ...others] = regions as [Int32Array, ...Int32Array[]];
  const bad = geometry.level.mirrored
    ? firstDifference(first, others)
    : firstOddColumn(first, others);
  scene.coverage.count('stripes compared on the media', geometry.stripeCount);
  if (bad < 0) return;
  const stripe = Math.floor((bad * 4) / geometry.chunkBytes) as StripeIndex;
  objectTo(
    'parity',
    scene.oracle.tainted.size === 0,
    () => `${where}: stripe ${stripe} does not add up (member offset ${bad * 4})`,
  );
}

function firstDifference(first: Int32Array, others: readonly Int32Array[]): number {
  for (const other of others)
    for (let i = 0; i < first.length; i++) if (first[i] !== other[i]) return i;
  return -1;
}

function firstOddColumn(first: Int32Array, others: readonly Int32Array[]): number {
  for (let i = 0; i < first.length; i++) {
    let sum = first[i] as number;
    for (const other of others) sum ^= other[i] as number;
    if (sum !== 0) return i;
  }
  return -1;
}

/** Superblocks and labels of all online members tell one story; counters never go back. */
export class LabelWatch {
  readonly #events = new Map<string, number>();
  readonly #sequences = new Map<string, number>();
  readonly #generations = new Set<string>();
  #generation = '';

  look(scene: Scene, where: string): void {
    const { core } = scene;
    const seen = new Map<number, string[]>();
    for (const { path, state, layout } of core.members.slots) {
      if (state !== 'online' || layout === null || scene.isHarmed(path)) continue;
      const { bytes } = scene.machine.at(path);
      const from = layout.superOffset;
      const superblock = decodeSuperblock(bytes.slice(from, from + SUPERBLOCK_BYTES));
      objectTo(
        'labels',
        superblock.kind !== 'superblock',
        () => `${where}: ${path} has no superblock`,
      );
      if (superblock.kind !== 'superblock') continue;
      const { events } = superblock.value;
      this.#rises(this.#events, path, events, `${where}: events of ${path}`);
      seen.set(events, [...(seen.get(events) ?? []), path]);
      const copies = layout.labelOffsets.map((at) => decodeLabel(bytes.slice(at, at + 4096)));
      const sequences = copies.map((copy) => (copy.kind === 'label' ? copy.value.sequence : -1));
      const newest = Math.max(...sequences);
      objectTo('labels', newest < 0, () => `${where}: ${path} has no label`);
      this.#rises(this.#sequences, path, newest, `${where}: label of ${path}`);
    }
    objectTo('labels', seen.size > 1 && core.mode === 'direct', () => {
      const groups = [...seen].map(([events, paths]) => `${paths.join(' and ')} ${events}`);
      return `${where}: members disagree on events: ${groups.join(', ')}`;
    });
    this.#watchGeneration(core, where);
  }

  /** A generation, once left, never comes back. */
  #watchGeneration(core: VolumeCore, where: string): void {
    const { generation } = core.metadata;
    if (generation === this.#generation) return;
    const again = this.#generations.has(generation);
    objectTo('labels', again, () => `${where}: generation ${generation} is used again`);
    this.#generations.add(generation);
    this.#generation = generation;
  }

  #rises(seen: Map<string, number>, path: string, value: number, what: string): void {
    const before = seen.get(path) ?? 0;
    objectTo('events', value < before, () => `${what} went back from ${before} to ${value}`);
    seen.set(path, value);
  }

  /** The drive was given other contents: its counters begin anew. */
  forget(path: string): void {
    this.#events.delete(path);
    this.#sequences.delete(path);
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
    freeBytes < scene.idleBytes - LOG_BUFFERS_BYTES,
    () => `${where}: ${scene.idleBytes - freeBytes} bytes of buffers have not come back`,
  );
}

/** A window's log holds a few header blocks while it is open. */
const LOG_BUFFERS_BYTES = 256 * 1024;
