/**
 * What a volume may read as. Every sector is a register of its own; what was asked of it and answered is a short list of
 * writes with the moments of call and answer, and from that alone follows what a read may return.
 *
 *   a read may return    a write that had begun, unless another one that was answered before the read was asked for began
 *                        after it was answered; and nothing that an earlier read has shown to be replaced
 *   when a drive fails   also what was there before a write that is still under way, though a read has shown that write:
 *                        it may have been on that drive's copy only, so far
 *   after a kill         the same; a write that was never answered may be there or not
 *   after a power cut    also everything since the last write that a flush (or FUA) made safe
 *   the first read after a crash decides, and it never changes again by itself
 *
 * Moments are numbers that rise with every call and every answer; a flush covers what was answered before it was called.
 */

import { assert } from '../src/base/assert.ts';
import { SECTOR_BYTES } from '../src/base/units.ts';
import { Objection } from './objection.ts';
import { fillSector, isSector, isZeroes, lookAt, type Seen, wordsOf } from './sectors.ts';
import { mix } from './streams.ts';

interface Entry {
  readonly write: number;
  readonly zero: boolean;
  calledAt: number;
  /** NEVER while it is under way. */
  answeredAt: number;
  /** Answered with success: it was there at that moment. */
  certain: boolean;
  /** A read has shown another one in its place; NEVER: not yet. */
  goneAt: number;
  /** The one that it showed. */
  goneFor: Entry | null;
  /** A flush has made a later one safe: no power cut brings it back. Kept for reads that were called before. */
  washed: boolean;
}

export interface OpenWrite {
  readonly lba: number;
  readonly sectors: number;
  readonly write: number;
  readonly calledAt: number;
}

export type CrashKind = 'kill' | 'power';

export interface ForkKind {
  readonly kind: CrashKind;
  /** A drive was taken out as well (see `copyLost`). */
  readonly copyLost: boolean;
}

/** Of an entry among all of its sector; made once for many sectors, as there are many. */
type Judge = (entry: Entry, list: readonly Entry[]) => boolean;

/** Later than any moment; a small integer like those, as there are several in each of a million entries. */
const NEVER = 2 ** 31 - 1;

export class Oracle {
  readonly sectors: number;
  readonly seed: number;
  /** Bytes that nobody answers for any more: rot on a member's data, which only checksums could find. */
  readonly tainted = new Set<number>();
  /** For sectors with nothing open: the write that is there, safe. 0: zeroes. */
  readonly #settled: Int32Array;
  /** What is not settled, by sector; null for all the others. */
  readonly #lists: (Entry[] | null)[];
  /** By sector: when its list last changed, and the call of the last flush that looked at all of it. */
  readonly #changedAt: Int32Array;
  readonly #judgedAt: Int32Array;
  /** The sectors that have a list, each once, in the order in which they got it. */
  #open: number[] = [];
  #moment = 1;
  /** When a drive was last out. */
  #lostAt = 0;
  #writes = 0;
  #openWrites = 0;
  #openReads = 0;

  constructor(sectors: number, seed: number) {
    this.sectors = sectors;
    this.seed = seed;
    this.#settled = new Int32Array(sectors);
    this.#changedAt = new Int32Array(sectors);
    this.#judgedAt = new Int32Array(sectors);
    this.#lists = new Array<Entry[] | null>(sectors).fill(null);
  }

  now(): number {
    return this.#moment++;
  }

  /** The moment of the call of a read; pair with `endRead`. */
  beginRead(): number {
    this.#openReads++;
    return this.now();
  }

  endRead(): void {
    this.#openReads--;
  }

  get openWrites(): number {
    return this.#openWrites;
  }

  /** New contents for a write of `sectors` sectors at `lba`; `zero` for trim and write-zeroes. */
  begin(lba: number, sectors: number, zero: boolean): OpenWrite {
    const calledAt = this.now();
    const write = ++this.#writes;
    for (let sector = lba; sector < lba + sectors; sector++) {
      const entry: Entry = {
        write,
        zero,
        calledAt,
        answeredAt: NEVER,
        certain: false,
        goneAt: NEVER,
        goneFor: null,
        washed: false,
      };
      this.#changedAt[sector] = calledAt;
      const list = this.#lists[sector];
      if (list) list.push(entry);
      else {
        this.#lists[sector] = [this.#settledAt(sector), entry];
        this.#open.push(sector);
      }
    }
    this.#openWrites++;
    return { lba, sectors, write, calledAt };
  }

  /** Some write of it was under way at this moment, or came later. */
  wroteSince(sector: number, moment: number): boolean {
    return this.#lists[sector]?.some(({ answeredAt }) => answeredAt > moment) === true;
  }

  /** What the write stores. */
  fill({ lba, sectors, write }: OpenWrite, data: Uint8Array): void {
    const words = wordsOf(data);
    for (let i = 0; i < sectors; i++) fillSector(words, i * 128, lba + i, write, this.seed);
  }

  /** `ok` false: an error was answered, and it may be there or not. */
  answered(open: OpenWrite, ok: boolean, fua: boolean): void {
    const at = this.now();
    this.#openWrites--;
    for (let sector = open.lba; sector < open.lba + open.sectors; sector++) {
      const list = this.#lists[sector];
      const entry = list ? entryOf(list, open.write) : null;
      if (!list || entry === null) continue;
      entry.answeredAt = at;
      entry.certain = ok;
      this.#changedAt[sector] = at;
      if (ok && fua) this.#drop(list, (each) => each.answeredAt < open.calledAt);
    }
  }

  flushed(calledAt: number): void {
    // A read may have shown a write that was still under way when the flush was called: that one it does not cover.
    const isWashed: Judge = (entry, list) =>
      (entry.goneAt < calledAt && entry.goneFor !== null && entry.goneFor.answeredAt < calledAt) ||
      isReplaced(entry, list, calledAt);
    const anyReads = this.#openReads > 0;
    this.#eachOpen((list, sector) => {
      if ((this.#changedAt[sector] as number) < (this.#judgedAt[sector] as number)) return;
      if (!anyReads) this.#judgedAt[sector] = calledAt;
      // As most end: no need to look at each against each of the others.
      const last = lastStanding(list, calledAt);
      if (last === undefined) this.#drop(list, isWashed);
      else if (anyReads) for (const entry of list) entry.washed = entry !== last;
      const only = last !== undefined && !anyReads ? last : onlyOne(list);
      // One that may or may not be there is not settled before somebody has looked.
      if (only === undefined || !only.certain || only.answeredAt >= calledAt) return;
      this.#settled[sector] = only.zero ? 0 : only.write;
      this.#lists[sector] = null;
    });
  }

  /** A drive is out: what only it had of writes that nobody has answered is not there yet. */
  copyLost(): void {
    const at = this.now();
    this.#lostAt = at;
    this.#eachOpen((list, sector) => {
      this.#changedAt[sector] = at;
      for (const entry of list) {
        if (entry.goneFor?.answeredAt !== NEVER) continue;
        entry.goneAt = NEVER;
        entry.goneFor = null;
      }
    });
  }

  crashed(kind: CrashKind): void {
    const at = this.now();
    this.#openWrites = 0;
    this.#openReads = 0;
    this.#eachOpen((list, sector) => {
      this.#changedAt[sector] = at;
      if (kind === 'power') this.#drop(list, ({ washed }) => washed);
      for (const entry of list) {
        if (entry.answeredAt === NEVER) entry.answeredAt = at;
        if (kind === 'kill') continue;
        // Any of them may be what the media hold, however old: nothing replaced it for certain.
        entry.calledAt = at;
        entry.answeredAt = at;
        entry.goneAt = NEVER;
        entry.goneFor = null;
        entry.certain = false;
      }
    });
  }

  /** What was read from `lba` on, by a read that was called at `calledAt`. Remembers what it shows. */
  check(lba: number, data: Uint8Array, calledAt: number, where: string): void {
    const words = wordsOf(data);
    const at = this.now();
    const isLegal: Judge = (entry, list) => legalFor(entry, list, calledAt);
    for (let i = 0; i * SECTOR_BYTES < data.length; i++) {
      const sector = lba + i;
      const list = this.#lists[sector];
      if (!list && this.#isSettled(sector, words, i * 128)) continue;
      const seen = lookAt(words, i * 128);
      if (!list) {
        this.#object(sector, seen, calledAt, where);
        continue;
      }
      const found = this.#find(list, sector, seen, isLegal);
      if (found === undefined) {
        this.#object(sector, seen, calledAt, where);
        continue;
      }
      this.#changedAt[sector] = at;
      for (const other of list) {
        const sameZeroes = other.zero && found.zero;
        const before = other.answeredAt < found.calledAt || other.answeredAt < calledAt;
        if (other === found || sameZeroes || !before || other.goneAt !== NEVER) continue;
        // Read from the copy that is lost by now.
        if (found.answeredAt === NEVER && calledAt < this.#lostAt) continue;
        other.goneAt = at;
        other.goneFor = found;
      }
      const isOnlyOne =
        !found.zero ||
        !list.some((other) => other !== found && other.zero && legalFor(other, list, calledAt));
      // A trim that did nothing is not the one whose zeroes these are when a later one wrote them.
      if (found.answeredAt < calledAt && isOnlyOne) found.certain = true;
    }
  }

  /** What would be legal if the server ended now like this; nothing is remembered. */
  checkFork(lba: number, data: Uint8Array, fork: ForkKind, where: string): void {
    const words = wordsOf(data);
    const isLegal: Judge = (entry, list) => this.#legalInFork(entry, list, fork);
    for (let i = 0; i * SECTOR_BYTES < data.length; i++) {
      const sector = lba + i;
      const list = this.#lists[sector];
      if (!list && this.#isSettled(sector, words, i * 128)) continue;
      const seen = lookAt(words, i * 128);
      const found = list ? this.#find(list, sector, seen, isLegal) : undefined;
      if (found === undefined) this.#object(sector, seen, this.#moment, where);
    }
  }

  /** All that `checkFork` takes, as a word: two moments with the same word take the same. */
  takenInFork(fork: ForkKind): string {
    let settled = 0;
    for (let sector = 0; sector < this.sectors; sector++) {
      const write = this.#settled[sector] as number;
      if (write !== 0 && !this.#lists[sector]) settled = mix(settled, sector, write);
    }
    const open = [...this.#open].sort((a, b) => a - b);
    const words = open.map((sector) => {
      const list = this.#lists[sector] ?? [];
      const legal = list.filter((entry) => this.#legalInFork(entry, list, fork));
      const writes = legal.map(({ write, zero }) => (zero ? 0 : write)).sort((a, b) => a - b);
      return `${sector}:${[...new Set(writes)].join('|')}`;
    });
    return `${settled} ${words.join(' ')}`;
  }

  #legalInFork(entry: Entry, list: readonly Entry[], fork: ForkKind): boolean {
    if (fork.kind === 'power') return !entry.washed;
    return legalFor(fork.copyLost ? asBeforeIt(entry) : entry, list, this.#moment);
  }

  #find(list: readonly Entry[], sector: number, seen: Seen, isLegal: Judge): Entry | undefined {
    if (seen.kind === 'garbage') return undefined;
    if (seen.kind === 'write' && (seen.lba !== sector || seen.seed !== this.seed)) return undefined;
    // Zeroes do not say whose they are. The first that may be meant shows the least: what came behind it may still appear.
    for (const entry of list) {
      const isMeant =
        seen.kind === 'zeroes' ? entry.zero : !entry.zero && entry.write === seen.write;
      if (isMeant && isLegal(entry, list)) return entry;
    }
    return undefined;
  }

  #isSettled(sector: number, words: Int32Array, at: number): boolean {
    const write = this.#settled[sector] as number;
    return write === 0 ? isZeroes(words, at) : isSector(words, at, sector, write, this.seed);
  }

  /** What is settled there, as the oldest of a list. */
  #settledAt(sector: number): Entry {
    const write = this.#settled[sector] as number;
    const zero = write === 0;
    return {
      write,
      zero,
      calledAt: 0,
      answeredAt: 0,
      certain: true,
      goneAt: NEVER,
      goneFor: null,
      washed: false,
    };
  }

  /** `visit` may take a list away. */
  #eachOpen(visit: (list: Entry[], sector: number) => void): void {
    let kept = 0;
    for (const sector of this.#open) {
      const list = this.#lists[sector];
      if (list) visit(list, sector);
      if (this.#lists[sector]) this.#open[kept++] = sector;
    }
    this.#open.length = kept;
  }

  #drop(list: Entry[], isDropped: Judge): void {
    let dropped: Entry[] | null = null;
    // What one flush has washed the next one would: nothing takes that back.
    for (const entry of list)
      if (entry.washed || isDropped(entry, list)) (dropped ??= []).push(entry);
    if (dropped === null) return;
    if (this.#openReads > 0) {
      for (const entry of dropped) entry.washed = true;
      return;
    }
    let kept = 0;
    for (const entry of list) if (!dropped.includes(entry)) list[kept++] = entry;
    list.length = kept;
    assert(list.length > 0, 'what replaces the others stays');
  }

  #object(sector: number, seen: Seen, calledAt: number, where: string): void {
    if (this.tainted.has(sector)) return;
    const list = this.#lists[sector];
    const legal = list
      ? list
          .filter((entry) => legalFor(entry, list, calledAt))
          .map(({ write, zero }) => nameOf(write, zero))
          .join(' or ')
      : nameOf(this.#settled[sector] as number, this.#settled[sector] === 0);
    throw new Objection(
      'data',
      `${where}: sector ${sector} reads as ${said(seen, sector)}, not as ${legal}`,
    );
  }
}

/** What a read has shown of a write under way does not count. */
const asBeforeIt = (entry: Entry): Entry =>
  entry.goneFor?.answeredAt === NEVER ? { ...entry, goneAt: NEVER, goneFor: null } : entry;

/** From the end: those that are under way are the last. */
function entryOf(list: readonly Entry[], write: number): Entry | null {
  for (let at = list.length - 1; at >= 0; at--) {
    const entry = list[at] as Entry;
    if (entry.write === write) return entry;
  }
  return null;
}

const onlyOne = (list: readonly Entry[]): Entry | undefined =>
  list.length === 1 ? list[0] : undefined;

/** The last one of a list, if it was answered before this moment and has replaced all the others. */
function lastStanding(list: readonly Entry[], moment: number): Entry | undefined {
  const last = list.at(-1);
  if (last === undefined || !last.certain || last.answeredAt >= moment || last.goneAt !== NEVER)
    return undefined;
  for (const other of list)
    if (other !== last && other.answeredAt >= last.calledAt) return undefined;
  return last;
}

function legalFor(entry: Entry, list: readonly Entry[], calledAt: number): boolean {
  return entry.goneAt >= calledAt && !isReplaced(entry, list, calledAt);
}

/** By one that began after it was answered, and was itself answered before this moment. */
function isReplaced(entry: Entry, list: readonly Entry[], moment: number): boolean {
  for (const other of list)
    if (other.certain && other.answeredAt < moment && entry.answeredAt < other.calledAt)
      return true;
  return false;
}

const nameOf = (write: number, zero: boolean): string => (zero ? 'zeroes' : `write ${write}`);

function said(seen: Seen, sector: number): string {
  if (seen.kind !== 'write') return seen.kind;
  return seen.lba === sector ? `write ${seen.write}` : `write ${seen.write} of sector ${seen.lba}`;
}
