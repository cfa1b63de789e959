/**
 * Lets a write begin only when every write of an overlapping range that came before it, from any connection, is done. One
 * for all sessions of a volume.
 *
 * The protocol leaves the order of overlapping writes open, and for a client that is alive so does Locum's promise. But
 * a client may die with a write still held in the volume (a full log, a drive that hangs), come back on a new
 * connection, send that write again and a newer one behind it. The first one is late by then: executed after the newer
 * one was answered, it would bring back what had been overwritten. In the order of arrival it cannot.
 *
 * Whoever waits here holds its buffers, and whoever it waits for needs none of them: nobody waits in a circle.
 */

import { assert } from '../base/assert.ts';

export interface Ordered {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** It waits for an earlier one. */
  waiting: boolean;
  /** Its turn has come. Made once for each request. */
  readonly onTurn: () => void;
}

export class WriteOrder {
  /** Under way or waiting, in the order of arrival. */
  readonly #entries: Ordered[] = [];

  /** False: not yet, `onTurn` is called. */
  enter(write: Ordered): boolean {
    write.waiting = this.#overlapsBefore(write, this.#entries.length);
    this.#entries.push(write);
    return !write.waiting;
  }

  /** It is done, or it will never begin. */
  leave(write: Ordered): void {
    const index = this.#entries.indexOf(write);
    assert(index >= 0, 'who leaves had entered');
    this.#entries.splice(index, 1);
    const freed: Ordered[] = [];
    for (let at = index; at < this.#entries.length; at += 1) {
      const entry = this.#entries[at] as Ordered;
      if (!entry.waiting || this.#overlapsBefore(entry, at)) continue;
      entry.waiting = false;
      freed.push(entry);
    }
    // Only now: whose turn it is may leave at once.
    for (const entry of freed) entry.onTurn();
  }

  #overlapsBefore(write: Ordered, end: number): boolean {
    const writeEnd = write.offsetBytes + write.lengthBytes;
    for (let at = 0; at < end; at += 1) {
      const other = this.#entries[at] as Ordered;
      if (other.offsetBytes >= writeEnd) continue;
      if (other.offsetBytes + other.lengthBytes > write.offsetBytes) return true;
    }
    return false;
  }
}
