/**
 * What a volume may hold after the power was cut, or the server killed, at a place in a recording.
 *
 * Durable after a power cut: a request with FUA that was answered before, and every request answered before a flush was
 * asked for that was itself answered before. Durable after a kill: every request that was answered. A sector holds what
 * the last durable request left there, or any later request that had been asked for by then; nothing else.
 */

import { type HostRequest, sectorBytes, writerOf } from './power-host.ts';
import type { Entry } from './power-record.ts';

export type Loss = 'kill' | 'power';

const never = Number.POSITIVE_INFINITY;

export class Expectation {
  readonly #requests: readonly HostRequest[];
  readonly #sectorCount: number;
  readonly #askedAt: number[];
  readonly #answeredAt: number[];
  /** By request: the place in the recording from which on a power cut cannot undo it. */
  readonly #durableAt: number[];

  constructor(requests: readonly HostRequest[], entries: readonly Entry[], sizeBytes: number) {
    this.#requests = requests;
    this.#sectorCount = sizeBytes / sectorBytes;
    this.#askedAt = requests.map(() => never);
    this.#answeredAt = requests.map(() => never);
    for (const [index, entry] of entries.entries()) {
      if (entry.kind === 'asked') this.#askedAt[entry.host] = index;
      if (entry.kind === 'answered') this.#answeredAt[entry.host] = index;
    }
    this.#durableAt = this.#requests.map((request, host) => this.#durableFrom(request, host));
  }

  #durableFrom(request: HostRequest, host: number): number {
    const answeredAt = this.#answeredAt[host]!;
    if (request.isFua || answeredAt === never) return answeredAt;
    let from = never;
    for (const [other, { kind }] of this.#requests.entries()) {
      if (kind !== 'flush' || this.#askedAt[other]! < answeredAt) continue;
      from = Math.min(from, this.#answeredAt[other]!);
    }
    return from;
  }

  /** What is wrong with the bytes of the whole volume after the entries before `place`; empty is a pass. */
  wrongIn(bytes: Buffer, place: number, loss: Loss): string[] {
    const floor = new Int32Array(this.#sectorCount);
    const lastZero = new Int32Array(this.#sectorCount);
    const certainAt = loss === 'kill' ? this.#answeredAt : this.#durableAt;
    for (const [host, { kind, firstSector, sectors }] of this.#requests.entries()) {
      if (kind === 'flush' || this.#askedAt[host]! >= place) continue;
      const end = firstSector + sectors;
      if (certainAt[host]! < place) floor.fill(host, firstSector, end);
      if (kind === 'zero') lastZero.fill(host, firstSector, end);
    }
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const wrong: string[] = [];
    for (let sector = 0; sector < this.#sectorCount; sector++) {
      const found = writerOf(words, (sector * sectorBytes) / 4, sector);
      const least = floor[sector]!;
      const isRight =
        found === 0 ? lastZero[sector]! >= least : this.#mayHold(sector, found, least, place);
      if (!isRight)
        wrong.push(
          `sector ${sector} should hold ${this.#tell(least)}, or later, but holds ${this.#tell(found)}`,
        );
    }
    return wrong;
  }

  #mayHold(sector: number, found: number | null, least: number, place: number): boolean {
    const request = found === null ? undefined : this.#requests[found];
    if (found === null || request === undefined || request.kind !== 'write') return false;
    const isThere = sector >= request.firstSector && sector < request.firstSector + request.sectors;
    return isThere && found >= least && this.#askedAt[found]! < place;
  }

  #tell(host: number | null): string {
    if (host === null) return 'something that was never written, or a mix';
    if (host === 0) return 'zeroes';
    const { kind, isFua } = this.#requests[host] ?? { kind: 'an unknown', isFua: false };
    const fua = isFua ? ' with FUA' : '';
    return `${kind} ${host}${fua} (asked at ${this.#askedAt[host]}, answered at ${this.#answeredAt[host]})`;
  }
}
