/**
 * Labels as blocks: encode, judge, choose the newer copy. Digest first, then version, then the body, in the order in
 * which label.ts lists what makes a label valid.
 */

import { assert } from '../../base/assert.ts';
import { DIGEST_BYTES, digest128 } from '../../base/digest.ts';
import type { Uuid } from '../../base/uuid.ts';
import { LABEL_BYTES, LABEL_MAGIC, LABEL_VERSION, type Label, type LabelResult } from './label.ts';
import { decodeLabelBody, encodeHolder, encodeLabelBody, labelLayout } from './label-tables.ts';

/** Which of MemberLayout.labelOffsets the label with this number goes to. */
export const labelCopyIndex = (sequence: number): 0 | 1 => (sequence % 2 === 1 ? 0 : 1);

export function encodeLabel(label: Label): Uint8Array {
  const bytes = new Uint8Array(LABEL_BYTES);
  encodeLabelBody(label, bytes);
  bytes.set(digestOf(bytes), labelLayout.fields.digest.offset);
  return bytes;
}

/** The same label as it goes to another member: only whose it is differs. */
export function labelFor(encoded: Uint8Array, memberUuid: Uuid, slot: number | null): Uint8Array {
  const bytes = encoded.slice();
  encodeHolder(memberUuid, slot, bytes);
  bytes.set(digestOf(bytes), labelLayout.fields.digest.offset);
  return bytes;
}

/** `bytes` is one 4 KiB copy, borrowed for the call. */
export function decodeLabel(bytes: Uint8Array): LabelResult {
  assert(bytes.length === LABEL_BYTES, 'a label has 4096 bytes');
  const { magic, version, digest } = labelLayout.fields;
  for (let index = 0; index < magic.lengthBytes; index++)
    if (bytes[index] !== LABEL_MAGIC.charCodeAt(index)) return { kind: 'none' };
  const stored = bytes.subarray(digest.offset, digest.offset + DIGEST_BYTES);
  const computed = digestOf(bytes);
  if (computed.some((byte, index) => byte !== stored[index])) {
    return { kind: 'corrupt', reason: 'the checksum does not match' };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const writtenBy = view.getUint32(version.offset, true);
  if (writtenBy > LABEL_VERSION) return { kind: 'newer-version', version: writtenBy };
  if (writtenBy !== LABEL_VERSION) return { kind: 'corrupt', reason: 'version 0' };
  const body = decodeLabelBody(bytes);
  if (typeof body === 'string') return { kind: 'corrupt', reason: body };
  return { kind: 'label', value: body };
}

/**
 * What a member says, from its two copies: the newer valid one. A copy written by newer software wins over everything,
 * a corrupt copy loses to a valid one, and only when neither is valid is it reported. Beside a place that never had one,
 * a corrupt copy is the first label of a new member, torn by a crash: as if it had not been written.
 */
export function newestLabel(a: LabelResult, b: LabelResult): LabelResult {
  if (a.kind === 'newer-version') return a;
  if (b.kind === 'newer-version') return b;
  if (a.kind === 'label' && b.kind === 'label') {
    return a.value.sequence >= b.value.sequence ? a : b;
  }
  if (a.kind === 'label') return a;
  if (b.kind === 'label') return b;
  return b.kind === 'none' ? b : a;
}

/** Used within one call only. */
const scratch = new Uint8Array(LABEL_BYTES);

function digestOf(bytes: Uint8Array): Uint8Array {
  const { offset, lengthBytes } = labelLayout.fields.digest;
  scratch.set(bytes);
  scratch.fill(0, offset, offset + lengthBytes);
  return digest128(scratch);
}
