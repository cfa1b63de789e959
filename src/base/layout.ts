/**
 * Bytes have one description: a table of fields, from which encoding, decoding, checking and the page in docs/format
 * are made. All integers are little-endian.
 *
 * A layout covers its block completely: fields follow each other without hole or overlap (asserted when the layout is
 * defined, so that a mistake stops the first test that imports the file). Bytes without meaning are declared:
 *
 *   zero     reserved by us: written as zero, and anything else is a finding of `check`
 *   pad      reserved by somebody else: written as zero, ignored when read
 *   region   described by another layout or by code: neither written nor read here
 *
 * Numbers are `number`. A u64 of all ones is Infinity in both directions (md's "no limit"); any other value above
 * 2^53−1 is a finding of `check`, and an assertion in `decode`. So bytes from a drive are first checked, then decoded.
 */

import { assert } from './assert.ts';
import { type Uuid, uuidFromBytes, writeUuid } from './uuid.ts';

interface Values {
  u8: number;
  u16: number;
  u24: number;
  u32: number;
  u40: number;
  u64: number;
  i32: number;
  uuid: Uuid;
  /** Text of printable ASCII, NUL padded; full width is allowed. */
  ascii: string;
  bytes: Uint8Array;
  zero: never;
  pad: never;
  region: never;
}

export type FieldKind = keyof Values;

const fixedBytes: Partial<Record<FieldKind, number>> = {
  u8: 1,
  u16: 2,
  u24: 3,
  u32: 4,
  u40: 5,
  u64: 8,
  i32: 4,
  uuid: 16,
};

export interface Field<Kind extends FieldKind> {
  readonly kind: Kind;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly doc: string;
}

type Fields = Readonly<Record<string, Field<FieldKind>>>;

export type Decoded<F extends Fields> = {
  [Name in keyof F as F[Name]['kind'] extends 'zero' | 'pad' | 'region'
    ? never
    : Name]: Values[F[Name]['kind']];
};

type NumberKind = 'u8' | 'u16' | 'u24' | 'u32' | 'u40' | 'u64' | 'i32';

/** One line of the table. `lengthBytes` is given for the kinds without a fixed size. */
export function field<Kind extends NumberKind | 'uuid'>(
  offset: number,
  kind: Kind,
  doc: string,
): Field<Kind>;
export function field<Kind extends 'ascii' | 'bytes' | 'zero' | 'pad' | 'region'>(
  offset: number,
  kind: Kind,
  doc: string,
  lengthBytes: number,
): Field<Kind>;
export function field<Kind extends FieldKind>(
  offset: number,
  kind: Kind,
  doc: string,
  lengthBytes?: number,
): Field<Kind> {
  const size = lengthBytes ?? fixedBytes[kind];
  assert(size !== undefined && size > 0, 'a field without a fixed size needs a length');
  return { kind, offset, lengthBytes: size, doc };
}

type Entries = readonly (readonly [string, Field<FieldKind>])[];

const doubtfulKinds: ReadonlySet<FieldKind> = new Set(['zero', 'u64', 'ascii']);
const meaninglessKinds: ReadonlySet<FieldKind> = new Set(['zero', 'pad', 'region']);

export class Layout<F extends Fields> {
  readonly name: string;
  readonly sizeBytes: number;
  readonly fields: F;
  readonly #entries: Entries;
  /** Those that not every run of bytes can be. */
  readonly #doubtful: Entries;
  /** Those that have a value. */
  readonly #meant: Entries;

  constructor(name: string, sizeBytes: number, fields: F) {
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.fields = fields;
    this.#entries = Object.entries(fields);
    this.#doubtful = this.#entries.filter(([, { kind }]) => doubtfulKinds.has(kind));
    this.#meant = this.#entries.filter(([, { kind }]) => !meaninglessKinds.has(kind));
    let end = 0;
    for (const [fieldName, { offset, lengthBytes }] of this.#entries) {
      assert(offset === end, `${name}.${fieldName} leaves a hole or overlaps`);
      end += lengthBytes;
    }
    assert(end === sizeBytes, `${name} does not fill its size`);
  }

  /** Writes every field at `at`; only regions keep what was there. */
  encode(values: Decoded<F>, bytes: Uint8Array, at = 0): void {
    assert(bytes.length >= at + this.sizeBytes, 'no room for the layout');
    for (const [name, { kind, offset, lengthBytes }] of this.#entries) {
      const from = at + offset;
      if (kind === 'region') continue;
      if (kind === 'zero' || kind === 'pad') bytes.fill(0, from, from + lengthBytes);
      else encodeField(kind, (values as Record<string, unknown>)[name], bytes, from, lengthBytes);
    }
  }

  /** The first field that cannot be what we or md wrote, in words; null when all can be decoded. */
  check(bytes: Uint8Array, at = 0): string | null {
    assert(bytes.length >= at + this.sizeBytes, 'fewer bytes than the layout');
    for (const [name, { kind, offset, lengthBytes }] of this.#doubtful) {
      const from = at + offset;
      if (kind === 'zero' && !isZero(bytes, from, lengthBytes)) return `${name} is not zero`;
      if (kind === 'u64' && Number.isNaN(decodeU64(bytes, from)))
        return `${name} is impossibly large`;
      if (kind === 'ascii' && !isText(bytes, from, lengthBytes)) return `${name} is not text`;
    }
    return null;
  }

  decode(bytes: Uint8Array, at = 0): Decoded<F> {
    assert(bytes.length >= at + this.sizeBytes, 'fewer bytes than the layout');
    const values: Record<string, unknown> = {};
    for (const [name, { kind, offset, lengthBytes }] of this.#meant) {
      values[name] = decodeField(kind, bytes, at + offset, lengthBytes);
    }
    return values as Decoded<F>;
  }

  /** The table of docs/format, as Markdown. */
  table(): string {
    const rows = Object.entries(this.fields).map(
      ([name, { kind, offset, lengthBytes, doc }]) =>
        `| 0x${offset.toString(16).padStart(3, '0')} | ${name} | ` +
        `${fixedBytes[kind] ? kind : `${kind} ${lengthBytes}`} | ${doc} |`,
    );
    return ['| offset | field | type | meaning |', '|---|---|---|---|', ...rows].join('\n');
  }
}

/** Reserved areas are most of a block: by words, as far as these lie on word boundaries. */
export function isZero(bytes: Uint8Array, from: number, lengthBytes: number): boolean {
  const end = from + lengthBytes;
  const start = bytes.byteOffset + from;
  let index = from;
  if (start % 4 === 0 && lengthBytes >= 64) {
    const words = new Uint32Array(bytes.buffer, start, lengthBytes >>> 2);
    for (let at = 0; at < words.length; at++) if (words[at] !== 0) return false;
    index = from + words.length * 4;
  }
  for (; index < end; index++) if (bytes[index] !== 0) return false;
  return true;
}

const integerRanges: Readonly<Record<NumberKind, readonly [least: number, most: number]>> = {
  u8: [0, 2 ** 8 - 1],
  u16: [0, 2 ** 16 - 1],
  u24: [0, 2 ** 24 - 1],
  u32: [0, 2 ** 32 - 1],
  u40: [0, 2 ** 40 - 1],
  u64: [0, 2 ** 53 - 1],
  i32: [-(2 ** 31), 2 ** 31 - 1],
};

function encodeField(
  kind: FieldKind,
  value: unknown,
  bytes: Uint8Array,
  from: number,
  lengthBytes: number,
): void {
  if (kind === 'uuid') writeUuid(value as Uuid, bytes, from);
  else if (kind === 'bytes') {
    assert((value as Uint8Array).length === lengthBytes, 'bytes of another length than the field');
    bytes.set(value as Uint8Array, from);
  } else if (kind === 'ascii') {
    const text = value as string;
    assert(text.length <= lengthBytes && /^[ -~]*$/.test(text), 'text does not fit its field');
    bytes.fill(0, from, from + lengthBytes);
    for (let index = 0; index < text.length; index++) bytes[from + index] = text.charCodeAt(index);
  } else if (kind === 'u64' && value === Number.POSITIVE_INFINITY) {
    bytes.fill(0xff, from, from + lengthBytes);
  } else encodeInteger(kind as NumberKind, value as number, bytes, from, lengthBytes);
}

function encodeInteger(
  kind: NumberKind,
  value: number,
  bytes: Uint8Array,
  from: number,
  lengthBytes: number,
): void {
  const [least, most] = integerRanges[kind];
  assert(Number.isInteger(value) && value >= least && value <= most, 'integer out of its range');
  let low = (value % 2 ** 32) | 0;
  const lowEnd = Math.min(from + 4, from + lengthBytes);
  for (let index = from; index < lowEnd; index++) {
    bytes[index] = low;
    low >>>= 8;
  }
  let rest = lengthBytes > 4 ? Math.floor(value / 2 ** 32) : 0;
  for (let index = lowEnd; index < from + lengthBytes; index++) {
    bytes[index] = rest;
    rest >>>= 8;
  }
}

function decodeField(
  kind: FieldKind,
  bytes: Uint8Array,
  from: number,
  lengthBytes: number,
): unknown {
  if (kind === 'uuid') return uuidFromBytes(bytes, from);
  if (kind === 'bytes') return bytes.slice(from, from + lengthBytes);
  if (kind === 'ascii') return decodeText(bytes, from, lengthBytes);
  if (kind === 'u64') {
    const value = decodeU64(bytes, from);
    assert(!Number.isNaN(value), 'decoded without a check: a 64-bit field above 2^53');
    return value;
  }
  const value = decodeInteger(bytes, from, lengthBytes);
  return kind === 'i32' && value >= 2 ** 31 ? value - 2 ** 32 : value;
}

function decodeText(bytes: Uint8Array, from: number, lengthBytes: number): string {
  let text = '';
  for (let index = from; index < from + lengthBytes && bytes[index] !== 0; index++) {
    text += String.fromCharCode(bytes[index]!);
  }
  return text;
}

function decodeInteger(bytes: Uint8Array, from: number, lengthBytes: number): number {
  let value = 0;
  for (let index = from + lengthBytes - 1; index >= from; index--) {
    value = value * 256 + bytes[index]!;
  }
  return value;
}

/** Infinity for all ones, NaN for what a number cannot hold. */
function decodeU64(bytes: Uint8Array, from: number): number {
  const low = decodeInteger(bytes, from, 4);
  const high = decodeInteger(bytes, from + 4, 4);
  if (low === 0xffff_ffff && high === 0xffff_ffff) return Number.POSITIVE_INFINITY;
  return high < 2 ** 21 ? high * 2 ** 32 + low : Number.NaN;
}

/** Printable ASCII up to the first NUL, and nothing but NUL behind it. */
function isText(bytes: Uint8Array, from: number, lengthBytes: number): boolean {
  let ended = false;
  for (let index = from; index < from + lengthBytes; index++) {
    const byte = bytes[index]!;
    if (byte === 0) ended = true;
    else if (ended || byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}
