/**
 * The client's side of a handshake, in bytes, and its replies taken apart: written from the
 * protocol, not from the server.
 */

export const bytes = (...parts: readonly (readonly number[] | Uint8Array | string)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));

export const u16 = (value: number): number[] => [value >>> 8, value & 255];
export const u32 = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
export const u64 = (value: number): number[] => [
  ...u32(Math.floor(value / 2 ** 32)),
  ...u32(value % 2 ** 32),
];

export const clientFlags = (flags: number): Uint8Array => bytes(u32(flags));

export const option = (code: number, data: Uint8Array = bytes()): Uint8Array =>
  bytes('IHAVEOPT', u32(code), u32(data.length), data);

/** INFO and GO. */
export const infoData = (name: string, types: readonly number[] = []): Uint8Array =>
  bytes(u32(Buffer.byteLength(name)), name, u16(types.length), ...types.map(u16));

/** LIST_META_CONTEXT and SET_META_CONTEXT. */
export const metaData = (name: string, queries: readonly string[]): Uint8Array =>
  bytes(
    u32(Buffer.byteLength(name)),
    name,
    u32(queries.length),
    ...queries.map((query) => bytes(u32(Buffer.byteLength(query)), query)),
  );

export interface Reply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** All replies in `wire`; throws when it does not hold whole replies. */
export const parseReplies = (wire: Uint8Array): Reply[] => {
  const buffer = Buffer.from(wire);
  const replies: Reply[] = [];
  for (let at = 0; at < buffer.length; ) {
    if (buffer.readBigUInt64BE(at) !== 0x0003e889045565a9n) throw new Error(`no reply at ${at}`);
    const length = buffer.readUInt32BE(at + 16);
    const data = buffer.subarray(at + 20, at + 20 + length);
    if (data.length < length) throw new Error('a cut reply');
    replies.push({ option: buffer.readUInt32BE(at + 8), type: buffer.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  return replies;
};

export const ACK = 1;
export const SERVER = 2;
export const INFO = 3;
export const META_CONTEXT = 4;
export const UNSUPPORTED = 0x80000001;
export const INVALID = 0x80000003;
export const UNKNOWN = 0x80000006;
export const TOO_BIG = 0x80000009;
