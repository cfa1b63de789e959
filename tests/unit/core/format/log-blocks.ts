/** Blocks of the log for the tests of their formats: whole ones, and ways to change one and seal it again. */

import { crc32 } from '../../../../src/base/crc32.ts';
import type { Field, FieldKind } from '../../../../src/base/layout.ts';
import { BLOCK_BYTES } from '../../../../src/base/units.ts';
import type { Uuid } from '../../../../src/base/uuid.ts';

export const uuidOf = (digit: string): Uuid =>
  '00000000-0000-4000-8000-000000000000'.replaceAll('0', digit) as Uuid;

export const nonceOf = (first: number): Uint8Array =>
  Uint8Array.from({ length: 8 }, (_, index) => first + index);

/** The block with these bytes of a field in place of its own, not sealed. Little-endian. */
export function changed(block: Uint8Array, at: Field<FieldKind>, value: number): Uint8Array {
  const bytes = block.slice();
  let rest = value;
  for (let index = 0; index < at.lengthBytes; index++) {
    bytes[at.offset + index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** With a right checksum in its last four bytes: what is wrong with it now, the CRC does not notice. */
export function sealed(block: Uint8Array): Uint8Array {
  const at = BLOCK_BYTES - 4;
  new DataView(block.buffer, block.byteOffset).setUint32(at, crc32(block.subarray(0, at)), true);
  return block;
}

/** Every bit of `bytes` flipped, one at a time; the same array each time, restored afterwards. */
export function* everyBitFlipped(bytes: Uint8Array): Generator<number> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const mask = 1 << (bit & 7);
    bytes[bit >> 3]! ^= mask;
    yield bit;
    bytes[bit >> 3]! ^= mask;
  }
}
