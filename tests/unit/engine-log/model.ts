/**
 * A small volume seen through the log, against a flat model. Every sector knows the versions that
 * were written to it, in order, and how far each of the two promises reaches: what was answered
 * (survives a kill) and what was flushed (survives a power cut).
 */

import assert from 'node:assert/strict';
import { EIO, ENOSPC, OK } from '../../../src/base/errno.ts';
import { type Address, MIB } from '../../../src/base/units.ts';
import { NIL_UUID } from '../../../src/base/uuid.ts';
import { DATA, type OverlayKind, TRIM, ZERO } from '../../../src/core/overlay.ts';
import type { LogLimits } from '../../../src/engine/log/limits.ts';
import { LogStore, type OpenedLog } from '../../../src/engine/log/log-store.ts';
import type { Random } from './world.ts';
import { sharedPool, TestDrive, type World } from './world.ts';

export const VOLUME = '11111111-2222-4333-8444-555555555555';
export const WINDOW = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee';
export const LEG_BYTES = 16 * MIB;
/** Small segments and frequent checkpoints, so that short tests see many of both. */
export const smallLimits: Partial<LogLimits> = {
  recordBytes: 16 * 1024,
  segmentRecords: 4,
  segmentBlocks: 16,
  selfSyncBytes: 256 * 1024,
  checkpointBytes: 512 * 1024,
};

export function legs(world: World, count = 2, sizeBytes = LEG_BYTES): TestDrive[] {
  return Array.from({ length: count }, (_, i) => new TestDrive(world, `leg${i}`, sizeBytes));
}

export async function format(
  world: World,
  drives: TestDrive[],
  limits = smallLimits,
): Promise<LogStore> {
  const options = { volumeUuid: VOLUME, volumeName: 'vol', limits };
  const made = await LogStore.format(world.environment, drives, options);
  assert.ok(made.ok, 'the log is formatted');
  return made.value;
}

export function open(world: World, drives: TestDrive[], limits = smallLimits): Promise<OpenedLog> {
  const expected = { volumeUuid: VOLUME, logUuid: null };
  return LogStore.open(world.environment, drives, expected, { limits });
}

export async function reopen(
  world: World,
  drives: TestDrive[],
  limits = smallLimits,
): Promise<LogStore> {
  const opened = await open(world, drives, limits);
  assert.ok(
    opened.kind === 'recovered',
    `recovered, not ${JSON.stringify(opened, ['kind', 'reason', 'path'])}`,
  );
  return opened.store;
}

/** A formatted log with an open window. */
export async function logging(
  world: World,
  drives: TestDrive[],
  limits = smallLimits,
): Promise<LogStore> {
  const store = await format(world, drives, limits);
  assert.equal(await store.beginEpoch(WINDOW), OK);
  assert.notEqual(store.windowId, NIL_UUID);
  return store;
}

const SECTOR = 512;

export class Model {
  readonly sectors: number;
  /**
   * Versions by sector, in the order of writing; version 0 is what the members have. Negative:
   * zeroes.
   */
  readonly #versions: number[][];
  /** Index into the versions: the last that was answered, the last that was flushed. */
  readonly #answered: number[];
  readonly #flushed: number[];
  readonly #busy = new Set<number>();
  #next = 1;

  constructor(sectors: number) {
    this.sectors = sectors;
    this.#versions = Array.from({ length: sectors }, () => [0]);
    this.#answered = new Array<number>(sectors).fill(0);
    this.#flushed = new Array<number>(sectors).fill(0);
  }

  /** One random write; ranges under way never overlap, as nobody could say which of two wins. */
  async write(store: LogStore, random: Random, sectorsMax = 24): Promise<number> {
    const { window } = store;
    assert.ok(window);
    let start = random.below(this.sectors);
    let count = random.chance(20)
      ? 1
      : 1 + random.below(Math.min(sectorsMax, this.sectors - start));
    count = Math.min(count, this.sectors - start);
    for (let tries = 0; this.#overlaps(start, count); tries++) {
      if (tries > 50) return OK;
      start = random.below(this.sectors);
      count = Math.min(count, this.sectors - start);
    }
    const kind = random.chance(80) ? DATA : random.chance(50) ? ZERO : TRIM;
    return this.put(store, kind, start, count, random.chance(10));
  }

  async put(
    store: LogStore,
    kind: OverlayKind,
    start: number,
    count: number,
    fua = false,
  ): Promise<number> {
    const version = this.#next++;
    const value = kind === DATA ? version : -version;
    const places: number[] = [];
    for (let sector = start; sector < start + count; sector++) {
      this.#busy.add(sector);
      places[sector - start] = this.#versions[sector]!.push(value) - 1;
    }
    let address = 0 as Address;
    if (kind === DATA) {
      address = sharedPool.take(count * SECTOR, 'engine');
      for (let i = 0; i < count; i++)
        fillSector(sharedPool.slice(at(address, i), SECTOR), version, start + i);
    }
    const errno = await store.window!.append(kind, start, count, address, fua);
    if (address !== 0) sharedPool.give(address);
    for (let sector = start; sector < start + count; sector++) this.#busy.delete(sector);
    if (errno === OK) {
      for (let sector = start; sector < start + count; sector++) {
        const place = places[sector - start]!;
        this.#answered[sector] = Math.max(this.#answered[sector]!, place);
        if (fua) this.#flushed[sector] = Math.max(this.#flushed[sector]!, place);
      }
    } else assert.ok(errno === EIO || errno === ENOSPC, `append answers ${errno}`);
    return errno;
  }

  async sync(store: LogStore): Promise<number> {
    const covered = [...this.#answered];
    const errno = await store.window!.sync();
    if (errno === OK)
      covered.forEach((index, i) => (this.#flushed[i] = Math.max(this.#flushed[i]!, index)));
    return errno;
  }

  /**
   * Reads all of the volume and holds it against the model: the last answered version, or one still
   * under way.
   */
  async checkLive(store: LogStore): Promise<void> {
    const seen = await readAll(store, this.sectors);
    seen.forEach((value, sector) => this.#expect(sector, value, this.#answered[sector]!, 'live'));
  }

  /** After a crash. What is seen from now on is what was written: it must not change again. */
  async checkAfter(store: LogStore, crash: 'kill' | 'power'): Promise<void> {
    const seen = await readAll(store, this.sectors);
    const least = crash === 'kill' ? this.#answered : this.#flushed;
    seen.forEach((value, sector) => this.#expect(sector, value, least[sector]!, crash));
    seen.forEach((value, sector) => {
      this.#versions[sector] = [value];
      this.#answered[sector] = 0;
      this.#flushed[sector] = 0;
    });
    this.#busy.clear();
  }

  #expect(sector: number, value: number, least: number, when: string): void {
    const legal = this.#versions[sector]!.slice(least).map((version) =>
      version < 0 ? -1 : version,
    );
    const normal = value < 0 ? -1 : value;
    assert.ok(
      legal.includes(normal),
      `${when}: sector ${sector} is ${normal}, not one of ${legal.join()}`,
    );
  }

  #overlaps(start: number, count: number): boolean {
    for (let sector = start; sector < start + count; sector++)
      if (this.#busy.has(sector)) return true;
    return false;
  }
}

const at = (address: Address, sector: number): Address => (address + sector * SECTOR) as Address;

function fillSector(bytes: Uint8Array, version: number, sector: number): void {
  new Uint32Array(bytes.buffer, bytes.byteOffset, SECTOR / 4).fill((version * 4096 + sector) >>> 0);
}

/** What each sector holds: a version, −1 for zeroes, 0 for "the members have it". */
export async function readAll(store: LogStore, sectors: number): Promise<number[]> {
  const values = new Array<number>(sectors).fill(0);
  const pieces: { start: number; count: number; kind: number; location: number }[] = [];
  store.overlay.forEachPiece(0, sectors, (start, count, kind, location) => {
    pieces.push({ start, count, kind, location });
  });
  for (const { start, count, kind, location } of pieces) {
    if (kind === ZERO || kind === TRIM) values.fill(-1, start, start + count);
    if (kind !== DATA) continue;
    const address = await sharedPool.takeLater(count * SECTOR, 'engine');
    assert.equal(
      await store.window!.readPayload(location, count, address),
      OK,
      `sector ${start} is readable`,
    );
    for (let i = 0; i < count; i++) {
      const words = new Uint32Array(sharedPool.bytes.buffer, address + i * SECTOR, SECTOR / 4);
      const word = words[0]!;
      assert.ok(
        words.every((each) => each === word) && word % 4096 === start + i,
        `sector ${start + i} is whole`,
      );
      values[start + i] = Math.floor(word / 4096);
    }
    sharedPool.give(address);
  }
  return values;
}

/** Keeps `outstanding` writes under way until `count` have been made, with a sync now and then. */
export async function load(
  store: LogStore,
  model: Model,
  random: Random,
  count: number,
  outstanding = 4,
  syncPercent = 10,
): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      await model.write(store, random);
      if (random.chance(syncPercent)) await model.sync(store);
    }
  };
  await Promise.all(Array.from({ length: outstanding }, worker));
}
