/**
 * The crash states of a moment: what may be on the media if it ended now. A kill leaves none or all of what is in flight;
 * a power cut nothing, all, each single write that is not safe, each torn in its middle, and some mixtures by chance.
 *
 * `contents` says what the drives that are there then hold, the same for the same contents (contents.ts): a label torn
 * behind its last change is no other state than the whole label, and a write that is kept while in flight is no other
 * than the same one answered.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { type Contents, type Lanes, type SectorSums, sumsOf } from './contents.ts';
import { byChance, type Fate, type Unflushed } from './fate.ts';
import type { SimMedium } from './medium.ts';
import type { CrashKind } from './oracle.ts';
import type { Scene } from './scene.ts';
import { Stream } from './streams.ts';

export interface CrashState {
  readonly kind: CrashKind;
  readonly fate: Fate;
  readonly title: string;
  readonly contents: string;
}

interface Unsafe {
  readonly index: number;
  readonly firstSector: number;
  readonly sectors: number;
  readonly isThere: boolean;
  readonly sums: SectorSums;
  /** Of what these sectors hold before. */
  readonly under: SectorSums;
}

/** `contents` is that of the scene's machine; `moment` is for the chance in so many mixtures. */
export function crashStates(
  scene: Scene,
  contents: Contents,
  moment: number,
  mixtures: number,
): CrashState[] {
  const flying: Unsafe[] = [];
  const unsafe: Unsafe[] = [];
  const killed: Lanes = { a: 0, b: 0 };
  const unpowered: Lanes = { a: 0, b: 0 };
  let gone = '';
  for (const medium of scene.machine.media.values()) {
    const { bytes, stable, unflushed, isVanished, index } = medium;
    const inFlight = medium.inFlightWrites();
    const of = (write: Unflushed, on: Uint8Array): Unsafe => unsafeOf(medium, write, on);
    flying.push(...inFlight.map((write) => of(write, bytes)));
    unsafe.push(...[...unflushed, ...inFlight].map((write) => of(write, stable)));
    if (isVanished) gone += ` ${index}`;
    else {
      const held = contents.of(medium);
      addTo(killed, held.bytes);
      addTo(unpowered, held.stable);
    }
  }
  const states: CrashState[] = [];
  const add = (kind: CrashKind, title: string, of: readonly Unsafe[], kept: boolean[][]): void => {
    const fate: Fate = (write, sector) => kept[write]?.[sector] === true;
    const lanes = { ...(kind === 'kill' ? killed : unpowered) };
    addChanges(lanes, of, kept);
    const word = `${lanes.a},${lanes.b} without${gone}`;
    states.push({ kind, title: `${kind}, ${title}`, fate, contents: word });
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

function unsafeOf(medium: SimMedium, { offset, data }: Unflushed, on: Uint8Array): Unsafe {
  const { index, isVanished } = medium;
  const firstSector = offset / SECTOR_BYTES;
  const sums = sumsOf(index, firstSector, data);
  const under = sumsOf(index, firstSector, on.subarray(offset, offset + data.length));
  const sectors = data.length / SECTOR_BYTES;
  return { index, firstSector, sectors, isThere: !isVanished, sums, under };
}

function addTo(lanes: Lanes, more: Lanes): void {
  lanes.a = (lanes.a + more.a) | 0;
  lanes.b = (lanes.b + more.b) | 0;
}

/** Of each sector what is stored last, in the place of what it holds. */
function addChanges(lanes: Lanes, of: readonly Unsafe[], kept: readonly boolean[][]): void {
  const last = new Map<number, { readonly unsafe: Unsafe; readonly at: number }>();
  of.forEach((unsafe, write) => {
    if (!unsafe.isThere) return;
    kept[write]?.forEach((stored, at) => {
      if (stored) last.set(unsafe.index * SECTORS_MAX + unsafe.firstSector + at, { unsafe, at });
    });
  });
  for (const { unsafe, at } of last.values()) {
    const { sums, under } = unsafe;
    const a = (sums.a[at] as number) - (under.a[at] as number);
    const b = (sums.b[at] as number) - (under.b[at] as number);
    addTo(lanes, { a, b });
  }
}

/** No medium has as many. */
const SECTORS_MAX = 2 ** 32;
