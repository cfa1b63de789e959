/**
 * Reads the data of one handshake option out of a buffer that holds exactly that option, never
 * more: no length a client sends can make it look outside, and what is left over afterwards is an
 * error. (Ignoring the left-over bytes is what kills other servers: the stream runs out of step
 * with its option headers.)
 *
 * The first mistake sticks in `problem`; later reads then return empty values, so the caller checks
 * once, at the end.
 */

import { META_QUERY_COUNT_MAX, STRING_BYTES_MAX } from './limits.ts';
import { REPLY_ERR_INVALID, REPLY_ERR_TOO_BIG } from './protocol.ts';

export interface OptionProblem {
  readonly reply: number;
  readonly message: string;
}

/**
 * Names are UTF-8. Bytes that are not decode to replacement characters, and so to a name that
 * nothing has. A byte order mark is part of the name: without it the name is another one.
 */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export class OptionReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #problem: OptionProblem | null = null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * Of everything read so far, the left-over bytes included: ask when the option should be used up.
   */
  finish(): OptionProblem | null {
    if (this.#problem === null && this.#left() > 0) this.#fail('extra bytes behind the option');
    return this.#problem;
  }

  /** u32 length, then that many bytes: names and queries. */
  string(): string {
    const lengthBytes = this.#integer(4);
    if (this.#problem !== null) return '';
    if (lengthBytes > this.#left()) return this.#fail('a string runs past the end of the option');
    return this.#text(lengthBytes);
  }

  /** All of the option as one string: EXPORT_NAME. */
  rest(): string {
    return this.#text(this.#left());
  }

  /** u16 count, then as many u16. */
  informationTypes(): number[] {
    const count = this.#integer(2);
    if (this.#problem === null && count * 2 !== this.#left()) {
      this.#fail('the count of information types does not match the option length');
    }
    const types: number[] = [];
    while (this.#problem === null && types.length < count) types.push(this.#integer(2));
    return types;
  }

  /** u32 count, then as many strings. */
  queries(): string[] {
    const count = this.#integer(4);
    if (this.#problem === null && count > META_QUERY_COUNT_MAX) {
      this.#fail(`more than ${META_QUERY_COUNT_MAX} queries`, REPLY_ERR_TOO_BIG);
    }
    const queries: string[] = [];
    while (this.#problem === null && queries.length < count) queries.push(this.string());
    return queries;
  }

  #integer(lengthBytes: 2 | 4): number {
    if (this.#problem === null && this.#left() < lengthBytes) this.#fail('the option is too short');
    if (this.#problem !== null) return 0;
    const at = this.#position;
    this.#position += lengthBytes;
    return lengthBytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #text(lengthBytes: number): string {
    if (lengthBytes > STRING_BYTES_MAX) {
      return this.#fail(`a string is longer than ${STRING_BYTES_MAX} bytes`, REPLY_ERR_TOO_BIG);
    }
    const bytes = this.#bytes.subarray(this.#position, this.#position + lengthBytes);
    if (bytes.includes(0)) return this.#fail('a string contains a NUL byte');
    this.#position += lengthBytes;
    return utf8.decode(bytes);
  }

  #left(): number {
    return this.#bytes.length - this.#position;
  }

  #fail(message: string, reply = REPLY_ERR_INVALID): '' {
    this.#problem ??= { reply, message };
    return '';
  }
}
