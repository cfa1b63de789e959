/**
 * The crash states of a moment: what may be on the media if it ended now. A kill leaves none or all of what is in flight;
 * a power cut nothing, all, each single write that is not safe, each torn in its middle, and some mixtures by chance.
 *
 * Two states are the same, and one of them is enough, when the media hold the same and the hosts were promised the same:
 * `key` says so. The key of what is on a medium is how many writes have reached it (or its stable part, for a power cut)
 * and what is stored on top.
 */

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
  readonly name: string;
  readonly sectors: number;
}

const MIXTURES = 8;

/** `promises`: a number that changes with each answer to a host; `moment` is for chance. */
export function crashStates(scene: Scene, promises: number, moment: number): CrashState[] {
  const flying: Unsafe[] = [];
  const unsafe: Unsafe[] = [];
  let killBase = `kill ${promises}`;
  let powerBase = `power ${promises}`;
  for (const medium of scene.machine.media.values()) {
    const { unflushed, sequence, index } = medium;
    const condition = medium.isVanished ? 'x' : '';
    killBase += ` ${sequence}${condition}`;
    powerBase += ` ${unflushed[0]?.sequence ?? sequence + 1}${condition}`;
    const inFlight = medium.inFlightWrites().map((write) => nameOf(index, write));
    flying.push(...inFlight);
    unsafe.push(...unflushed.map((write) => nameOf(index, write)), ...inFlight);
  }
  const states: CrashState[] = [];
  const add = (kind: CrashKind, title: string, of: readonly Unsafe[], kept: boolean[][]): void => {
    const fate: Fate = (write, sector) => kept[write]?.[sector] === true;
    const stored = of.map(({ name }, write) => keptOf(name, kept[write] as boolean[]));
    const key = `${kind === 'kill' ? killBase : powerBase}${stored.join('')}`;
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
  for (let mixture = 0; mixture < MIXTURES; mixture++) {
    const chance = byChance(new Stream(scene.plan.seed, `mixture ${mixture} ${moment}`).next);
    const kept = unsafe.map(({ sectors }, write) =>
      Array.from({ length: sectors }, (_, sector) => chance(write, sector, sectors)),
    );
    add('power', `mixture ${mixture}`, unsafe, kept);
  }
  return states;
}

function nameOf(index: number, { offset, data }: Unflushed): Unsafe {
  return { name: ` ${index}:${offset}:${hashOf(data)}`, sectors: data.length / 512 };
}

function keptOf(name: string, sectors: readonly boolean[]): string {
  if (!sectors.includes(true)) return '';
  return sectors.includes(false)
    ? `${name}/${sectors.map((kept) => (kept ? 1 : 0)).join('')}`
    : name;
}

const hashes = new WeakMap<Uint8Array, number>();

function hashOf(data: Uint8Array): number {
  const known = hashes.get(data);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193);
  hashes.set(data, hash);
  return hash;
}
