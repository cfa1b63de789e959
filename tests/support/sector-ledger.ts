/**
 * What a volume may hold, sector by sector, when several hosts write to the same places at the same time.
 *
 * Each sector of 512 bytes carries its own number, the operation that wrote it and a pattern made from both, so that a
 * stale, misplaced, torn or mixed sector cannot pass for a good one; a sector that was zeroed holds zeroes. A trim is a
 * hint: its sectors may hold zeroes from then on, or what they held.
 * Legal for a sector is what any operation left there that no later one replaced for certain: an operation replaces
 * another when it was answered, and began after the other had ended. Operations under way at the same time may land in
 * either order, and one that was never answered may have landed or not.
 *
 * After a crash nothing of before can land any more (`serverGone`), and what a sector is found to hold then is what it
 * holds from now on (`settle`): it may not change by itself afterwards.
 */

export const sectorBytes = 512;
const wordCount = sectorBytes / 4;
const magic = 0x5ec70001;

export interface Operation {
  readonly id: number;
  readonly kind: 'data' | 'zeroes' | 'trim';
  readonly first: number;
  readonly count: number;
  readonly startedAt: number;
  /** Infinity while it may still land. */
  endedAt: number;
  answered: boolean;
}

/** A read under way: what was legal when it began, and what began meanwhile. */
export interface Reading {
  readonly first: number;
  readonly count: number;
  readonly legal: readonly (readonly number[])[];
  readonly meanwhile: Operation[];
}

/** Fills the sector's contents for an operation's id into `words`. */
function fill(words: Uint32Array, at: number, sector: number, id: number): void {
  words[at] = magic;
  words[at + 1] = sector;
  words[at + 2] = id;
  let x = (Math.imul(sector + 1, 0x9e3779b1) ^ Math.imul(id, 0x85ebca6b)) | 1;
  for (let index = 3; index < wordCount; index++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[at + index] = x;
  }
}

export class SectorLedger {
  readonly sectorCount: number;
  /** The operation that each sector is known to hold; 0: never written. Valid where there are no contenders. */
  readonly #settled: Uint32Array;
  readonly #contenders = new Map<number, Operation[]>();
  readonly #zeroes = new Set<number>([0]);
  readonly #readings = new Set<Reading>();
  readonly #underWay = new Set<Operation>();
  readonly #scratch = new Uint32Array(wordCount);
  #now = 0;
  #lastId = 0;

  constructor(sectorCount: number) {
    this.sectorCount = sectorCount;
    this.#settled = new Uint32Array(sectorCount);
  }

  begin(kind: Operation['kind'], first: number, count: number): Operation {
    const operation: Operation = {
      id: ++this.#lastId,
      kind,
      first,
      count,
      startedAt: ++this.#now,
      endedAt: Number.POSITIVE_INFINITY,
      answered: false,
    };
    if (kind !== 'data') this.#zeroes.add(operation.id);
    this.#underWay.add(operation);
    for (let sector = first; sector < first + count; sector++) {
      this.#contendersOf(sector).push(operation);
    }
    for (const reading of this.#readings) reading.meanwhile.push(operation);
    return operation;
  }

  contents(operation: Operation): Buffer {
    const words = new Uint32Array(operation.count * wordCount);
    if (operation.kind === 'data') {
      for (let index = 0; index < operation.count; index++) {
        fill(words, index * wordCount, operation.first + index, operation.id);
      }
    }
    return Buffer.from(words.buffer);
  }

  /** It was acknowledged: whatever had ended before it began is replaced. */
  answered(operation: Operation): void {
    this.#end(operation);
    if (operation.kind === 'trim') return;
    operation.answered = true;
    for (let sector = operation.first; sector < operation.first + operation.count; sector++) {
      const all = this.#contenders.get(sector);
      if (all === undefined) continue;
      const left = all.filter(({ endedAt }) => endedAt >= operation.startedAt);
      const [only] = left;
      if (left.length === 1 && only?.answered === true) {
        this.#settled[sector] = only.id;
        this.#contenders.delete(sector);
      } else this.#contenders.set(sector, left);
    }
  }

  /** It was answered with an error: it may have landed or not, and does not land later. */
  refused(operation: Operation): void {
    this.#end(operation);
  }

  /** Nothing of before lands any more: the server is dead, or the volume was stopped. */
  serverGone(): void {
    for (const operation of [...this.#underWay]) this.#end(operation);
    this.#readings.clear();
  }

  beginRead(first: number, count: number): Reading {
    const legal = Array.from({ length: count }, (_, index) => this.#legal(first + index));
    const reading: Reading = { first, count, legal, meanwhile: [] };
    this.#readings.add(reading);
    return reading;
  }

  /** What is wrong with what a read returned; empty when nothing is. */
  endRead(reading: Reading, bytes: Buffer): string[] {
    this.#readings.delete(reading);
    const wrong: string[] = [];
    for (let index = 0; index < reading.count; index++) {
      const sector = reading.first + index;
      const since = reading.meanwhile
        .filter(({ first, count }) => sector >= first && sector < first + count)
        .map(({ id }) => id);
      const legal = [...(reading.legal[index] ?? []), ...since];
      const piece = bytes.subarray(index * sectorBytes, (index + 1) * sectorBytes);
      if (this.#match(sector, piece, legal) < 0) wrong.push(this.#complaint(sector, piece, legal));
    }
    return wrong;
  }

  /** A read that was not answered. */
  giveUpRead(reading: Reading): void {
    this.#readings.delete(reading);
  }

  /**
   * Nothing is under way and this is what the sectors hold: what is wrong with it. From now on each of them holds what
   * it was found to hold.
   */
  settle(first: number, bytes: Buffer): string[] {
    const wrong: string[] = [];
    for (let at = 0; at < bytes.length; at += sectorBytes) {
      const sector = first + at / sectorBytes;
      const piece = bytes.subarray(at, at + sectorBytes);
      const legal = this.#legal(sector);
      const found = this.#match(sector, piece, legal);
      if (found < 0) wrong.push(this.#complaint(sector, piece, legal));
      else if (this.#contenders.delete(sector)) this.#settled[sector] = found;
    }
    return wrong;
  }

  get operationsUnderWay(): number {
    return this.#underWay.size;
  }

  #end(operation: Operation): void {
    operation.endedAt = ++this.#now;
    this.#underWay.delete(operation);
  }

  #contendersOf(sector: number): Operation[] {
    const known = this.#contenders.get(sector);
    if (known !== undefined) return known;
    const id = this.#settled[sector] ?? 0;
    const kind = this.#zeroes.has(id) ? 'zeroes' : 'data';
    const base = {
      id,
      kind,
      first: sector,
      count: 1,
      startedAt: 0,
      endedAt: 0,
      answered: true,
    } as const;
    const list: Operation[] = [{ ...base }];
    this.#contenders.set(sector, list);
    return list;
  }

  #legal(sector: number): readonly number[] {
    const all = this.#contenders.get(sector);
    return all === undefined ? [this.#settled[sector] ?? 0] : all.map(({ id }) => id);
  }

  /** Which of the operations left these bytes; -1: none of them. */
  #match(sector: number, piece: Buffer, legal: readonly number[]): number {
    for (const id of legal) {
      if (this.#zeroes.has(id)) this.#scratch.fill(0);
      else fill(this.#scratch, 0, sector, id);
      if (Buffer.compare(Buffer.from(this.#scratch.buffer), piece) === 0) return id;
    }
    return -1;
  }

  #complaint(sector: number, piece: Buffer, legal: readonly number[]): string {
    const found =
      piece.readUInt32LE(0) === magic
        ? `sector ${piece.readUInt32LE(4)} of operation ${piece.readUInt32LE(8)}, or a mix`
        : piece.every((byte) => byte === 0)
          ? 'zeroes'
          : 'something that was never written';
    return `sector ${sector} may hold operation ${legal.join(' or ')} but holds ${found}`;
  }
}
