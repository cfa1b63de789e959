/**
 * What a volume must read as: for each sector the value of the last answered write, plus, for writes that a crash cut
 * off, the values that may be there instead. The first read after a crash decides, and it must never change again.
 *
 * A sector's content is made from one number (0: zeroes), so the model keeps numbers, not bytes.
 */

import assert from 'node:assert/strict';

export const SECTOR = 512;

export function contentOf(value: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  if (value === 0) return bytes;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < SECTOR; at += 8) {
    view.setUint32(at, value);
    view.setUint32(at + 4, Math.imul(value, 0x9e3779b1) ^ at);
  }
  return bytes;
}

const valueOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

export class FlatModel {
  readonly sectors: number;
  /** Last answered value. */
  readonly #acked: Uint32Array;
  /** Values that a flush has made safe against power loss. */
  readonly #durable: Uint32Array;
  /** Answered since the last flush: any of them may be what a power cut leaves. */
  readonly #sinceFlush = new Map<number, Set<number>>();
  /** Writes under way, by sector. */
  readonly #open = new Map<number, Set<number>>();
  /** After a crash: what may be there. Decided by the first read. */
  readonly #undecided = new Map<number, Set<number>>();
  #next = 1;
  /** What happened to the sector in question, for a person: LOCUM_SECTOR=n. */
  readonly #watched = Number(process.env['LOCUM_SECTOR'] ?? -1);
  readonly story: string[] = [];

  constructor(sectors: number) {
    this.sectors = sectors;
    this.#acked = new Uint32Array(sectors);
    this.#durable = new Uint32Array(sectors);
  }

  /** New content for a write; `begin` and `answered` (or a crash) follow. */
  invent(sectors: number): { values: number[]; data: Uint8Array } {
    const values: number[] = [];
    const data = new Uint8Array(sectors * SECTOR);
    for (let i = 0; i < sectors; i++) {
      const value = this.#next++;
      values.push(value);
      data.set(contentOf(value), i * SECTOR);
    }
    return { values, data };
  }

  note(start: number, sectors: number, text: (sector: number) => string): void {
    if (this.#watched >= start && this.#watched < start + sectors)
      this.story.push(text(this.#watched - start));
  }

  begin(start: number, values: readonly number[]): void {
    this.note(start, values.length, (i) => `begin ${values[i]} (${start}+${values.length})`);
    values.forEach((value, i) => add(this.#open, start + i, value));
  }

  answered(start: number, values: readonly number[], durable: boolean): void {
    this.note(start, values.length, (i) => `answered ${values[i]}`);
    values.forEach((value, i) => {
      const sector = start + i;
      this.#open.get(sector)?.delete(value);
      // What a crash may have left is under this write now; a power cut before the next flush may bring it back.
      for (const left of this.#undecided.get(sector) ?? []) add(this.#sinceFlush, sector, left);
      this.#undecided.delete(sector);
      this.#acked[sector] = value;
      add(this.#sinceFlush, sector, value);
      if (durable) this.#settle(sector);
    });
  }

  /** An answered flush covers what was answered before it was asked for. */
  flushed(): void {
    this.note(0, this.sectors, () => 'flushed');
    for (const sector of [...this.#sinceFlush.keys()]) this.#settle(sector);
  }

  #settle(sector: number): void {
    this.#durable[sector] = this.#acked[sector] as number;
    this.#sinceFlush.delete(sector);
  }

  crash(power: boolean): void {
    this.note(0, this.sectors, () => (power ? 'power cut' : 'kill'));
    for (let sector = 0; sector < this.sectors; sector++) {
      const may = new Set<number>([this.#acked[sector] as number]);
      for (const value of this.#open.get(sector) ?? []) may.add(value);
      if (power) {
        for (const value of this.#sinceFlush.get(sector) ?? []) may.add(value);
        if (this.#sinceFlush.has(sector)) may.add(this.#durable[sector] as number);
      }
      for (const value of this.#undecided.get(sector) ?? []) may.add(value);
      if (may.size > 1) this.#undecided.set(sector, may);
    }
    this.#open.clear();
  }

  check(start: number, data: Uint8Array, where: string): void {
    for (let i = 0; i * SECTOR < data.length; i++) {
      const sector = start + i;
      const bytes = data.subarray(i * SECTOR, (i + 1) * SECTOR);
      const value = valueOf(bytes);
      this.note(sector, 1, () => `read ${value} (${where})`);
      const open = this.#open.get(sector);
      if (open !== undefined && open.size > 0) continue;
      const may = this.#undecided.get(sector);
      const legal = may ? may.has(value) : value === this.#acked[sector];
      const expected = may ? [...may].join(' or ') : String(this.#acked[sector]);
      assert.ok(legal, `${where}: sector ${sector} reads as write ${value}, expected ${expected}`);
      assert.deepEqual(
        bytes,
        contentOf(value),
        `${where}: sector ${sector} is torn (write ${value})`,
      );
      if (may) {
        for (const left of may) add(this.#sinceFlush, sector, left);
        this.#undecided.delete(sector);
        this.#acked[sector] = value;
        // What was read once must not change; whether it is on stable storage is not known before the next flush.
        add(this.#sinceFlush, sector, value);
      }
    }
  }
}

function add(map: Map<number, Set<number>>, key: number, value: number): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}
