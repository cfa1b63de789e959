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
/** 0–9 lie below a–f; the pattern lets nothing else through. */
const digitOf = (code: number): number => (code < 0x61 ? code - 0x30 : code - 0x57);

/** Stores the 16 bytes from `from` on. */
export function writeUuid(uuid: Uuid, bytes: Uint8Array, from = 0): void {
  assert(isUuid(uuid), 'not a uuid in the dashed form');
  assert(bytes.length >= from + UUID_BYTES, 'a uuid has 16 bytes');
  let at = 0;
  for (let index = 0; index < UUID_BYTES; index++) {
    if (uuid.charCodeAt(at) === DASH) at++;
    bytes[from + index] = digitOf(uuid.charCodeAt(at)) * 16 + digitOf(uuid.charCodeAt(at + 1));
    at += 2;
  }
}

/** The form mdadm prints: `8c9f3b0a:11f24c6e:…`. */
export const mdadmUuid = (uuid: Uuid): string =>
  uuid.replaceAll('-', '').replace(/(.{8})(?=.)/g, '$1:');
