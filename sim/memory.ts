/**
 * Memory that is used again. A simulated drive is megabytes of which few are touched, and lives for a second; what a
 * write stores is kept until a flush. Made anew each time, both cost the collector more than the simulation itself.
 */

/** Of each size. */
const IDLE_MAX = 64;
const zeroes = new Map<number, Uint8Array[]>();

export const takeZeroes = (sizeBytes: number): Uint8Array =>
  zeroes.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);

/** Whoever gives it has cleared it. */
export function giveZeroes(bytes: Uint8Array): void {
  const idle = zeroes.get(bytes.length) ?? [];
  zeroes.set(bytes.length, idle);
  if (idle.length < IDLE_MAX) idle.push(bytes);
}

/** A copy that is larger has memory of its own. */
const CHUNK_BYTES = 256 * 1024;
const CHUNKS_MAX = 64;
const chunks: Uint8Array[] = [];

/** Copies, one behind the other, that are all forgotten together; what was handed out stays where it is until then. */
export class Arena {
  /** How far it is filled, over all of its chunks; set back, what lies behind is forgotten. */
  usedBytes = 0;
  readonly #chunks: Uint8Array[] = [];

  copy(data: Uint8Array): Uint8Array {
    const { length } = data;
    if (length > CHUNK_BYTES) return data.slice();
    const inChunk = this.usedBytes % CHUNK_BYTES;
    const isFull = inChunk + length > CHUNK_BYTES;
    const from = isFull ? this.usedBytes + CHUNK_BYTES - inChunk : this.usedBytes;
    const index = Math.floor(from / CHUNK_BYTES);
    this.#chunks[index] ??= chunks.pop() ?? new Uint8Array(CHUNK_BYTES);
    const start = from - index * CHUNK_BYTES;
    const copy = (this.#chunks[index] as Uint8Array).subarray(start, start + length);
    copy.set(data);
    this.usedBytes = from + length;
    return copy;
  }

  /** Nobody will look at any of it again. */
  scrap(): void {
    for (const chunk of this.#chunks.splice(0)) if (chunks.length < CHUNKS_MAX) chunks.push(chunk);
    this.usedBytes = 0;
  }
}
