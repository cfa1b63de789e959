/**
 * Builds what the server says in the handshake, from the greeting to the reply that ends it. A few
 * short messages for each connection, so plain arrays will do.
 */

import { assert } from '../base/assert.ts';
import {
  GREETING_BYTES,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  NBD_MAGIC,
  OPTION_MAGIC,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  REPLY_ERR_INVALID,
} from './protocol.ts';

const encoder = new TextEncoder();

export const utf8Bytes = (text: string): Uint8Array => encoder.encode(text);

export const greeting = (): Uint8Array => {
  const view = new DataView(new ArrayBuffer(GREETING_BYTES));
  view.setUint32(0, NBD_MAGIC[0]);
  view.setUint32(4, NBD_MAGIC[1]);
  view.setUint32(8, OPTION_MAGIC[0]);
  view.setUint32(12, OPTION_MAGIC[1]);
  view.setUint16(16, HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES);
  return new Uint8Array(view.buffer);
};

/** Big-endian fields: [bytes, value]; 8-byte values are numbers below 2^53. */
export const fields = (...parts: readonly (readonly [2 | 4 | 8, number])[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, [length]) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [length, value] of parts) {
    if (length === 2) view.setUint16(at, value);
    else if (length === 4) view.setUint32(at, value);
    else {
      view.setUint32(at, Math.floor(value / 2 ** 32));
      view.setUint32(at + 4, value % 2 ** 32);
    }
    at += length;
  }
  return bytes;
};

export class OptionWriter {
  #parts: Uint8Array[] = [];
  #lengthBytes = 0;

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#lengthBytes += bytes.length;
  }

  reply(option: number, type: number, ...data: readonly Uint8Array[]): void {
    const lengthBytes = data.reduce((sum, part) => sum + part.length, 0);
    const header = new DataView(new ArrayBuffer(OPTION_REPLY_HEADER_BYTES));
    header.setUint32(0, OPTION_REPLY_MAGIC[0]);
    header.setUint32(4, OPTION_REPLY_MAGIC[1]);
    header.setUint32(8, option);
    header.setUint32(12, type);
    header.setUint32(16, lengthBytes);
    this.raw(new Uint8Array(header.buffer));
    for (const part of data) this.raw(part);
  }

  error(option: number, type: number, message: string): void {
    assert(type > REPLY_ERR_INVALID - 3, 'an error reply has bit 31 set');
    this.reply(option, type, utf8Bytes(message));
  }

  /** Everything written since the last call. */
  take(): Uint8Array {
    const bytes = new Uint8Array(this.#lengthBytes);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#lengthBytes = 0;
    return bytes;
  }
}
