/**
 * The crash states of a moment: what may be on the media if it ended now. A kill leaves none or all of what is in flight;
 * a power cut nothing, all, each single write that is not safe, each torn in its middle, and some mixtures by chance.
 *
 * Two states are the same, and one of them is enough, when the media hold the same and the hosts were promised the same:
 * `key` says so. The key of what is on a medium is how many writes have reached it (or its stable part, for a power cut)
 * and the sectors that are then stored on top and differ from what is there. So a label torn behind its last change is no
 * other state than the whole label.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { byChance, type Fate, type Unflushed } from './fate.ts';
import type { CrashKind } from './oracle.ts';
import type { Scene } from './scene.ts';
import { Stream } from './streams.ts';

export interface CrashState {
  readonly kind: CrashKind;
  readonly fate: Fate;
  readonly title: string;
  readonly key: string;
}

interface Unsafe {
  readonly index: number;
  readonly firstSector: number;
  readonly sectors: number;
  /** Of the contents of each sector. */
  readonly hashes: Int32Array;
  /** Of what each of these sectors holds before. */
  readonly under: Int32Array;
}

/** `promises`: a number that changes with each answer to a host; `moment` is for the chance in so many mixtures. */
export function crashStates(
  scene: Scene,
  promises: number,
  moment: number,
  mixtures: number,
): CrashState[] {
  const flying: Unsafe[] = [];
  const unsafe: Unsafe[] = [];
  let killBase = `kill ${promises}`;
  let powerBase = `power ${promises}`;
  for (const medium of scene.machine.media.values()) {
    const { unflushed, sequence, index } = medium;
    const condition = medium.isVanished ? 'x' : '';
    killBase += ` ${sequence}${condition}`;
    powerBase += ` ${unflushed[0]?.sequence ?? sequence + 1}${condition}`;
    const { bytes, stable } = medium;
    const inFlight = medium.inFlightWrites();
    flying.push(...inFlight.map((write) => unsafeOf(index, write, bytes)));
    unsafe.push(...[...unflushed, ...inFlight].map((write) => unsafeOf(index, write, stable)));
  }
  const states: CrashState[] = [];
  const add = (kind: CrashKind, title: string, of: readonly Unsafe[], kept: boolean[][]): void => {
    const fate: Fate = (write, sector) => kept[write]?.[sector] === true;
    const key = `${kind === 'kill' ? killBase : powerBase} ${changesOf(of, kept)}`;
    states.push({ kind, title: `${kind}, ${title}`, fate, key });
  };
  const none = (of: readonly Unsafe[]): boolean[][] =>
    of.map(({ sectors }) => new Array<boolean>(sectors).fill(false));
  const all = (of: readonly Unsafe[]): boolean[][] =>
    of.map(({ sectors }) => new Array<boolean>(sectors).fill(true));
  add('kill', 'nothing in flight kept', flying, none(flying));
  add('kill', 'everything in flight kept', flying, all(flying));
  add('power', 'nothing kept', unsafe, none(unsafe));
  add('power', 'everything kept', unsafe, all(unsafe));
  unsafe.forEach(({ sectors }, write) => {
    const one = none(unsafe);
    one[write] = new Array<boolean>(sectors).fill(true);
    add('power', `only unsafe write ${write} kept`, unsafe, one);
    if (sectors < 2) return;
    const torn = none(unsafe);
    torn[write] = Array.from({ length: sectors }, (_, sector) => sector < sectors / 2);
    add('power', `unsafe write ${write} torn, no other kept`, unsafe, torn);
  });
  if (unsafe.length < 2) return states;
  for (let mixture = 0; mixture < mixtures; mixture++) {
    const chance = byChance(new Stream(scene.plan.seed, `mixture ${mixture} ${moment}`).next);
    const kept = unsafe.map(({ sectors }, write) =>
      Array.from({ length: sectors }, (_, sector) => chance(write, sector, sectors)),
    );
    add('power', `mixture ${mixture}`, unsafe, kept);
  }
  return states;
}

function unsafeOf(index: number, { offset, data }: Unflushed, medium: Uint8Array): Unsafe {
  const sectors = data.length / SECTOR_BYTES;
  const under = hashesOf(medium.subarray(offset, offset + data.length));
  return { index, firstSector: offset / SECTOR_BYTES, sectors, hashes: hashesOf(data), under };
}

/** Every sector that differs in the end, with what it holds. */
function changesOf(of: readonly Unsafe[], kept: readonly boolean[][]): string {
  const changes = new Map<number, number>();
  of.forEach(({ index, firstSector, hashes, under }, write) => {
    kept[write]?.forEach((stored, i) => {
      if (!stored) return;
      const place = index * SECTORS_MAX + firstSector + i;
      if (hashes[i] === under[i]) changes.delete(place);
      else changes.set(place, hashes[i] as number);
    });
  });
  const places = [...changes.keys()].sort((a, b) => a - b);
  return places.map((place) => `${place}:${changes.get(place)}`).join(' ');
}

/** No medium has as many. */
const SECTORS_MAX = 2 ** 32;

function hashesOf(data: Uint8Array): Int32Array {
  const words = new Int32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const hashes = new Int32Array(data.length / SECTOR_BYTES);
  for (let sector = 0; sector < hashes.length; sector++) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < WORDS; i++) {
      hash = Math.imul(hash ^ (words[sector * WORDS + i] as number), 0x01000193);
      hash ^= hash >>> 15;
    }
    hashes[sector] = hash;
  }
  return hashes;
}

const WORDS = SECTOR_BYTES / 4;
