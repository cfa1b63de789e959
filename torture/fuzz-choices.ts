/**
 * Ways not taken, for the reader of replies (fuzz-replies.ts). A simple reply does not say how long it is: where requests of
 * several lengths share a cookie, more than one may fit by chance, as 32 replies without data are as long as 512 bytes of
 * data. The longest is believed first; when what follows makes no sense, the newest choice is made anew.
 */

import type { BookedRequest } from './fuzz-book.ts';

interface Choice {
  /** Where in the output the reply begins. */
  readonly at: number;
  readonly rest: readonly BookedRequest[];
  /** Changes that were made before it. */
  readonly changes: number;
}

/** The output of a server that is wrong has no sense either way; it is not worth more. */
const RETRIES_MAX = 10_000;

export class Choices {
  readonly #choices: Choice[] = [];
  readonly #undo: (() => void)[] = [];
  #retriesLeft = RETRIES_MAX;

  /** Changes what is known of a request, until a choice before this is made anew. */
  change(request: BookedRequest, to: { answered?: true; givenErrno?: number }): void {
    const { answered, givenErrno } = request;
    this.#undo.push(() => Object.assign(request, { answered, givenErrno }));
    Object.assign(request, to);
  }

  /** Before the change that the way taken makes. */
  offer(at: number, rest: readonly BookedRequest[]): void {
    if (rest.length > 0) this.#choices.push({ at, rest, changes: this.#undo.length });
  }

  /** The newest way not taken, with everything as it was there; null: there is none. */
  next(): { readonly at: number; readonly request: BookedRequest } | null {
    const choice = this.#choices.pop();
    if (choice === undefined || this.#retriesLeft-- === 0) return null;
    while (this.#undo.length > choice.changes) this.#undo.pop()?.();
    const [request, ...rest] = choice.rest;
    if (request === undefined) return null;
    this.offer(choice.at, rest);
    return { at: choice.at, request };
  }
}
