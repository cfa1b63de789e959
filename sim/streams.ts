/**
 * Randomness by counting instead of by sequence: every number is a hash of (seed, stream, how many were drawn from that
 * stream). Each entity and purpose has a stream of its own ("drive 3 latency", "client 0"), so that removing one operation
 * from a plan leaves all other draws as they were. That is what makes a failing plan shrinkable.
 */

/** Mixes three 32-bit integers into one; a finalizer of the murmur family, applied to each. */
export function mix(seed: number, stream: number, count: number): number {
  let h = seed ^ 0x9e3779b9;
  h = finish(Math.imul(h ^ stream, 0x85ebca6b));
  h = finish(Math.imul(h ^ count, 0xc2b2ae35) + stream);
  return h >>> 0;
}

function finish(value: number): number {
  let h = value | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x7feb352d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x846ca68b);
  return h ^ (h >>> 16);
}

/** A stream's number from its name: FNV-1a. */
export function streamOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

export class Stream {
  readonly #seed: number;
  readonly #stream: number;
  #count = 0;

  constructor(seed: number, name: string) {
    this.#seed = seed;
    this.#stream = streamOf(name);
  }

  u32(): number {
    return mix(this.#seed, this.#stream, this.#count++);
  }

  /** 0 … 1, 1 excluded. */
  readonly next = (): number => this.u32() / 0x1_0000_0000;

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.u32();
    return bytes;
  }
}
