/**
 * Bytes as an NBD client sends them, sound or not: a growing big-endian writer, and the numbers of the protocol that the
 * fuzzer and its oracle need. Written down here a second time, from the protocol document and not from src/nbd, so that
 * a wrong number there is a difference here.
 */

export const wire = {
  nbdMagicHigh: 0x4e42444d,
  nbdMagicLow: 0x41474943,
  optionMagicHigh: 0x49484156,
  optionMagicLow: 0x454f5054,
  optionReplyHigh: 0x0003e889,
  optionReplyLow: 0x045565a9,
  requestMagic: 0x25609513,
  simpleReplyMagic: 0x67446698,
  chunkMagic: 0x668e33ef,
  requestBytes: 28,
  optionHeaderBytes: 16,
} as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMeta: 9,
  setMeta: 10,
} as const;

export const answer = {
  ack: 1,
  server: 2,
  info: 3,
  meta: 4,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
  tooBig: 0x80000009,
} as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  zeroes: 6,
  status: 7,
} as const;

export const flag = { fua: 1, noHole: 2, df: 4, one: 8, fast: 16 } as const;

/** Of one option's data, by docs/protocol/nbd.md; a longer one ends the connection. */
export const optionBytesMax = 65_536;
export const optionCountMax = 64;
export const stringBytesMax = 4096;
export const queryCountMax = 256;
/** Of a payload; a longer WRITE ends the connection, a longer READ is refused. */
export const payloadBytesMax = 67_108_864;
/** A DF read up to here must be served whole; above, it may be EOVERFLOW. */
export const unfragmentedBytesMax = 1_048_576;

const encoder = new TextEncoder();

export class WireWriter {
  #bytes = new Uint8Array(65_536);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Everything written since the last call. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  u16(value: number): this {
    this.#reserve(2);
    this.#view.setUint16(this.#length - 2, value);
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length - 4, value);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length - bytes.length);
    return this;
  }

  text(text: string): this {
    return this.bytes(encoder.encode(text));
  }

  /** Its length first. */
  counted(text: string): this {
    const bytes = encoder.encode(text);
    return this.u32(bytes.length).bytes(bytes);
  }

  option(code: number, data: Uint8Array, claimedBytes = data.length): this {
    this.u32(wire.optionMagicHigh).u32(wire.optionMagicLow);
    return this.u32(code).u32(claimedBytes).bytes(data);
  }

  request(
    type: number,
    flags: number,
    cookie: readonly [number, number],
    offset: readonly [number, number],
    lengthBytes: number,
  ): this {
    this.u32(wire.requestMagic).u16(flags).u16(type);
    return this.u32(cookie[0]).u32(cookie[1]).u32(offset[0]).u32(offset[1]).u32(lengthBytes);
  }

  #reserve(lengthBytes: number): void {
    this.#length += lengthBytes;
    if (this.#length <= this.#bytes.length) return;
    const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length)));
    larger.set(this.#bytes.subarray(0, this.#length - lengthBytes));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** A 64-bit field from a number below 2^53. */
export const halves = (value: number): readonly [number, number] => [
  Math.floor(value / 2 ** 32),
  value % 2 ** 32,
];

/** As a person reads it: 16 bytes a line. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const shown = Array.from(row, (byte) =>
      byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.',
    ).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${shown}`);
  }
  return lines.join('\n');
}
