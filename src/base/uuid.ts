/**
 * UUIDs as text in the dashed lower-case form, `8c9f3b0a-…`; the one form used in code, JSON and messages. On the
 * drives they are the same 16 bytes in the same order. mdadm prints those bytes in four groups: `mdadmUuid`.
 */

import { assert } from './assert.ts';

export type Uuid = string;

export const UUID_BYTES = 16;
export const NIL_UUID: Uuid = '00000000-0000-0000-0000-000000000000';

/** A label has dozens of them, and a start reads many labels. */
const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isUuid = (text: string): boolean => pattern.test(text);

/** The 16 bytes from `from` on; also how a fresh uuid is made from 16 random bytes. */
export function uuidFromBytes(bytes: Uint8Array, from = 0): Uuid {
  assert(bytes.length >= from + UUID_BYTES, 'a uuid has 16 bytes');
  let text = '';
  for (let index = 0; index < UUID_BYTES; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) text += '-';
    text += hexPairs[bytes[from + index]!];
  }
  return text;
}

const DASH = 0x2d;
const UUID_LENGTH = 36;
/** The value of each hexadecimal digit, by its code; what is none makes a byte negative. */
const NO_DIGIT = -256;
const digits = Int16Array.from({ length: 128 }, (_, code) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return digit < 0 ? NO_DIGIT : digit;
});
const digitAt = (text: string, at: number): number => digits[text.charCodeAt(at)] ?? NO_DIGIT;

/** Stores the 16 bytes from `from` on. */
export function writeUuid(uuid: Uuid, bytes: Uint8Array, from = 0): void {
  assert(bytes.length >= from + UUID_BYTES, 'a uuid has 16 bytes');
  let isHex = uuid.length === UUID_LENGTH;
  let at = 0;
  for (let index = 0; index < UUID_BYTES; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10)
      isHex = uuid.charCodeAt(at++) === DASH && isHex;
    const byte = digitAt(uuid, at) * 16 + digitAt(uuid, at + 1);
    isHex = byte >= 0 && isHex;
    bytes[from + index] = byte;
    at += 2;
  }
  assert(isHex, 'not a uuid in the dashed form');
}

/** The form mdadm prints: `8c9f3b0a:11f24c6e:…`. */
export const mdadmUuid = (uuid: Uuid): string =>
  uuid.replaceAll('-', '').replace(/(.{8})(?=.)/g, '$1:');
