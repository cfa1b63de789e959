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

/** Copies, one behind the other, that are all forgotten together. When it grows, what was handed out stays as it is. */
export class Arena {
  usedBytes = 0;
  #bytes = new Uint8Array(0);

  copy(data: Uint8Array): Uint8Array {
    const from = this.usedBytes;
    const end = from + data.length;
    if (end > this.#bytes.length) this.#bytes = new Uint8Array(Math.max(2 * end, 64 * 1024));
    this.usedBytes = end;
    const copy = this.#bytes.subarray(from, end);
    copy.set(data);
    return copy;
  }
}
