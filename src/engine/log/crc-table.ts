/**
 * The CRC of every payload block in the record area, by its place: 4 bytes for 4 KiB of log, in
 * pages that come as the log grows. Kept apart from the data, so a block that was lost, misdirected
 * or rotted on one leg is told from the right one whatever it holds. A log of 100 GiB that is full
 * takes 100 MiB here.
 */

const PAGE_ENTRIES = 16 * 1024;

export class CrcTable {
  readonly #pages: (Uint32Array | undefined)[] = [];

  set(block: number, crc: number): void {
    const page = Math.floor(block / PAGE_ENTRIES);
    const entries = (this.#pages[page] ??= new Uint32Array(PAGE_ENTRIES));
    entries[block % PAGE_ENTRIES] = crc;
  }

  /**
   * 0 for a block nobody has set: no payload, so whatever is there will not match (but for one in
   * 2^32).
   */
  get(block: number): number {
    return this.#pages[Math.floor(block / PAGE_ENTRIES)]?.[block % PAGE_ENTRIES] ?? 0;
  }

  clear(): void {
    this.#pages.length = 0;
  }

  get memoryBytes(): number {
    let pages = 0;
    this.#pages.forEach(() => pages++);
    return pages * PAGE_ENTRIES * 4;
  }
}
