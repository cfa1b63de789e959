/**
 * What a correct server says to the bytes of a handshake: every reply in order, where the handshake ends and how. Written
 * from the protocol document and docs/protocol/nbd.md, as one pass over all the bytes; the server works on fragments.
 *
 * Where the protocol leaves a choice between errors the model allows each; it never allows a success.
 */

import {
  answer,
  option,
  optionBytesMax,
  optionCountMax,
  queryCountMax,
  stringBytesMax,
  wire,
} from './fuzz-wire.ts';

export interface FuzzExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
}

export type ExpectedReply =
  /** Exactly these bytes. */
  | { readonly option: number; readonly type: number; readonly data: Uint8Array }
  /** One of these errors, with any short text. */
  | { readonly option: number; readonly errors: readonly number[] };

export interface Expectation {
  /** `open`: it waits for more than was sent. */
  readonly end: 'open' | 'finished' | 'dropped' | 'transmission';
  /** How much of the wire was used; transmission begins there. */
  readonly usedBytes: number;
  readonly replies: readonly ExpectedReply[];
  /** What EXPORT_NAME is answered with, which has no reply header. */
  readonly raw: Uint8Array | null;
  readonly export: FuzzExport | null;
  readonly structured: boolean;
  readonly allocation: boolean;
  readonly aligned: boolean;
  readonly optionCount: number;
  /** An option that was announced longer than allowed. */
  readonly tooLong: boolean;
}

const encoder = new TextEncoder();

export const transmissionFlagsExpected = (structured: boolean): number =>
  // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO; DF only with structured replies.
  1 | 4 | 8 | 32 | 64 | 256 | 1024 | 2048 | (structured ? 128 : 0);

/** Reads one option's data; after the first mistake `errors` says which answers are right. */
class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  errors: readonly number[] | null = null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  number(lengthBytes: 2 | 4): number {
    if (this.errors !== null) return 0;
    if (this.#bytes.length - this.#at < lengthBytes) return this.fail(answer.invalid);
    const at = this.#at;
    this.#at += lengthBytes;
    return lengthBytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  string(): string {
    const lengthBytes = this.number(4);
    if (this.errors !== null) return '';
    const left = this.#bytes.length - this.#at;
    if (lengthBytes > left) {
      this.fail(answer.invalid, ...(lengthBytes > stringBytesMax ? [answer.tooBig] : []));
      return '';
    }
    return this.text(lengthBytes);
  }

  text(lengthBytes: number): string {
    const bytes = this.#bytes.subarray(this.#at, this.#at + lengthBytes);
    if (lengthBytes > stringBytesMax) this.fail(answer.invalid, answer.tooBig);
    else if (bytes.includes(0)) this.fail(answer.invalid);
    this.#at += lengthBytes;
    // Byte for byte, so that only the very bytes of a name are that name.
    return Buffer.from(bytes).toString('latin1');
  }

  list<Item>(count: number, read: () => Item): Item[] {
    const items: Item[] = [];
    while (this.errors === null && items.length < count) items.push(read());
    return items;
  }

  end(): void {
    if (this.errors === null && this.#at < this.#bytes.length) this.fail(answer.invalid);
  }

  fail(...errors: number[]): 0 {
    this.errors ??= errors;
    return 0;
  }
}

/** A name or query as `Fields.text` gives it back. */
const asBytes = (text: string): string => Buffer.from(text).toString('latin1');

class Model {
  readonly #exports: readonly FuzzExport[];
  readonly replies: ExpectedReply[] = [];
  structured = false;
  selection: string | null = null;
  raw: Uint8Array | null = null;
  chosen: FuzzExport | null = null;
  chosenName = '';
  aligned = false;
  noZeroes = false;

  constructor(exports: readonly FuzzExport[]) {
    this.#exports = exports;
  }

  /** What the option leads to; null: the next option. */
  run(code: number, data: Uint8Array): 'finished' | 'dropped' | 'transmission' | null {
    const fields = new Fields(data);
    switch (code) {
      case option.exportName:
        return this.#exportName(fields, data.length);
      case option.abort:
        this.#ack(code);
        return 'finished';
      case option.list:
        if (data.length > 0) return this.#errors(code, [answer.invalid]);
        for (const { name, description } of this.#exports) {
          const length = numbers([4, encoder.encode(name).length]);
          this.#data(code, answer.server, length, text(name), text(description));
        }
        return this.#ack(code);
      case option.startTls:
        return this.#errors(code, [answer.unsupported, answer.invalid]);
      case option.structuredReply:
        if (data.length > 0) return this.#errors(code, [answer.invalid]);
        this.structured = true;
        return this.#ack(code);
      case option.info:
      case option.go:
        return this.#info(code, fields);
      case option.listMeta:
      case option.setMeta:
        return this.#meta(code, fields);
      default:
        return this.#errors(code, [answer.unsupported]);
    }
  }

  #exportName(fields: Fields, lengthBytes: number): 'dropped' | 'transmission' {
    const name = fields.text(lengthBytes);
    const found = fields.errors === null ? this.#find(name) : null;
    if (found === null) return 'dropped';
    this.#choose(found, name);
    const flags = numbers([8, found.sizeBytes], [2, transmissionFlagsExpected(this.structured)]);
    this.raw = joined(flags, new Uint8Array(this.noZeroes ? 0 : 124));
    return 'transmission';
  }

  #info(code: number, fields: Fields): 'transmission' | null {
    const name = fields.string();
    const types = fields.list(fields.number(2), () => fields.number(2));
    fields.end();
    if (fields.errors !== null) return this.#errors(code, fields.errors);
    const found = this.#find(name);
    if (found === null) return this.#errors(code, [answer.unknown]);
    const flags = transmissionFlagsExpected(this.structured);
    this.#data(code, answer.info, numbers([2, 0], [8, found.sizeBytes], [2, flags]));
    if (types.includes(1)) this.#data(code, answer.info, numbers([2, 1]), text(found.name));
    if (types.includes(2)) this.#data(code, answer.info, numbers([2, 2]), text(found.description));
    // Minimum 512, preferred 4096 (all exports here say so), payload 32 MiB.
    const sizes = numbers([2, 3], [4, 512], [4, 4096], [4, 33_554_432]);
    if (types.includes(3)) this.#data(code, answer.info, sizes);
    this.#ack(code);
    if (code === option.info) return null;
    this.#choose(found, name);
    this.aligned = types.includes(3);
    return 'transmission';
  }

  #meta(code: number, fields: Fields): null {
    const set = code === option.setMeta;
    if (set) this.selection = null;
    const name = fields.string();
    const count = fields.number(4);
    if (count > queryCountMax) fields.fail(answer.tooBig, answer.invalid);
    const queries = fields.list(count, () => fields.string());
    fields.end();
    if (fields.errors !== null) return this.#errors(code, fields.errors);
    const found = this.#find(name);
    if (set && !this.structured) return this.#errors(code, [answer.invalid]);
    if (found === null) return this.#errors(code, [answer.unknown]);
    const all = !set && (queries.length === 0 || queries.includes('base:'));
    if (all || queries.includes('base:allocation')) {
      this.#data(code, answer.meta, numbers([4, set ? 1 : 0]), text('base:allocation'));
      if (set) this.selection = name;
    }
    return this.#ack(code);
  }

  /** By exact bytes; the empty name is the only export. */
  #find(name: string): FuzzExport | null {
    if (name === '') return this.#exports.length === 1 ? this.#exports[0]! : null;
    return this.#exports.find((each) => asBytes(each.name) === name) ?? null;
  }

  #choose(found: FuzzExport, name: string): void {
    this.chosen = found;
    this.chosenName = name;
  }

  #ack(code: number): null {
    return this.#data(code, answer.ack);
  }

  #data(code: number, type: number, ...parts: readonly Uint8Array[]): null {
    this.replies.push({ option: code, type, data: joined(...parts) });
    return null;
  }

  #errors(code: number, errors: readonly number[]): null {
    this.replies.push({ option: code, errors });
    return null;
  }
}

export function expectHandshake(bytes: Uint8Array, exports: readonly FuzzExport[]): Expectation {
  const model = new Model(exports);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 4;
  let optionCount = 0;
  const over = (end: Expectation['end'], tooLong = false): Expectation => ({
    end,
    usedBytes: Math.min(at, bytes.length),
    replies: model.replies,
    raw: model.raw,
    export: model.chosen,
    structured: model.structured,
    allocation: model.structured && model.selection === model.chosenName,
    aligned: model.aligned,
    optionCount,
    tooLong,
  });
  if (bytes.length < 4) return over('open');
  const flags = view.getUint32(0);
  if (flags > 3) return over('dropped');
  model.noZeroes = (flags & 2) !== 0;
  for (;;) {
    if (bytes.length - at < wire.optionHeaderBytes) return over('open');
    const soundMagic =
      view.getUint32(at) === wire.optionMagicHigh && view.getUint32(at + 4) === wire.optionMagicLow;
    const code = view.getUint32(at + 8);
    const lengthBytes = view.getUint32(at + 12);
    at += wire.optionHeaderBytes;
    if (!soundMagic) return over('dropped');
    if (lengthBytes > optionBytesMax) return over('dropped', true);
    optionCount += 1;
    if (optionCount > optionCountMax) return over('dropped');
    if ((flags & 1) === 0 && code !== option.exportName) return over('dropped');
    if (bytes.length - at < lengthBytes) {
      at = bytes.length;
      return over('open');
    }
    const end = model.run(code, bytes.subarray(at, at + lengthBytes));
    at += lengthBytes;
    if (end !== null) return over(end);
  }
}

/**
 * Null when `output` begins with what is expected, else what is wrong. `cut`: the connection broke, so the end may be
 * missing. `blind`: of a real server, whose exports are described otherwise; the kinds of replies are compared.
 * `usedBytes` is where transmission's replies begin.
 */
export function checkHandshake(
  expected: Expectation,
  output: Uint8Array,
  cut: boolean,
  blind = false,
): { readonly problem: string | null; readonly usedBytes: number } {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  let at = 0;
  const result = (problem: string | null) => ({ problem, usedBytes: at });
  const missing = (problem: string) => {
    at = output.length;
    return result(cut ? null : problem);
  };
  for (const [index, reply] of expected.replies.entries()) {
    const where = `reply ${index} to option ${reply.option}`;
    if (output.length - at < 20) return missing(`${where} is missing`);
    const lengthBytes = view.getUint32(at + 16);
    const data = output.subarray(at + 20, at + 20 + lengthBytes);
    if (view.getUint32(at) !== wire.optionReplyHigh) return result(`${where}: wrong magic`);
    if (view.getUint32(at + 4) !== wire.optionReplyLow) return result(`${where}: wrong magic`);
    if (view.getUint32(at + 8) !== reply.option) return result(`${where} names another option`);
    const type = view.getUint32(at + 12);
    if (data.length < lengthBytes) return missing(`${where} is cut`);
    at += 20 + lengthBytes;
    if ('errors' in reply) {
      if (!reply.errors.includes(type)) return result(`${where}: unexpected answer ${type}`);
      if (!isText(data)) return result(`${where}: an error text that is none`);
    } else if (type !== reply.type || (!blind && Buffer.compare(data, reply.data) !== 0)) {
      return result(`${where}: answer ${type} with ${Buffer.from(data).toString('hex')}`);
    }
  }
  const raw = expected.raw ?? new Uint8Array(0);
  const found = output.subarray(at, at + raw.length);
  if (found.length < raw.length) return missing('the answer to EXPORT_NAME is cut');
  at += raw.length;
  return result(blind || Buffer.compare(raw, found) === 0 ? null : 'a wrong answer to EXPORT_NAME');
}

/** UTF-8, short, and nothing that could steer a terminal. */
function isText(bytes: Uint8Array): boolean {
  if (bytes.length > stringBytesMax) return false;
  try {
    return !/\p{Cc}/u.test(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return false;
  }
}

const text = (value: string): Uint8Array => encoder.encode(value);

function numbers(...parts: readonly (readonly [2 | 4 | 8, number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(parts.reduce((sum, [length]) => sum + length, 0)));
  let at = 0;
  for (const [length, value] of parts) {
    if (length === 2) view.setUint16(at, value);
    else if (length === 4) view.setUint32(at, value);
    else view.setBigUint64(at, BigInt(value));
    at += length;
  }
  return new Uint8Array(view.buffer);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
