/**
 * Writes reply headers into the buffer pool. Each function returns how many bytes it wrote; data
 * follows from its own buffer, so nothing is copied.
 */

import type { Errno } from '../base/errno.ts';
import {
  EACCES,
  EINVAL,
  EIO,
  ENOMEM,
  ENOSPC,
  ENOTSUP,
  EOVERFLOW,
  EPERM,
  EROFS,
  ESHUTDOWN,
} from '../base/errno.ts';
import type { Address } from '../base/units.ts';
import type { Extent } from '../io/block-device.ts';
import {
  ALLOCATION_HOLE,
  ALLOCATION_ZERO,
  CHUNK_BLOCK_STATUS,
  CHUNK_ERROR,
  CHUNK_ERROR_OFFSET,
  CHUNK_FLAG_DONE,
  CHUNK_HEADER_BYTES,
  CHUNK_MAGIC,
  CHUNK_OFFSET_DATA,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
} from './protocol.ts';
import type { Request } from './request.ts';

const EDQUOT = 122;
const EFBIG = 27;

const TEXTS: ReadonlyMap<Errno, string> = new Map([
  [EPERM, 'not permitted'],
  [EIO, 'the volume cannot read or write this range'],
  [ENOMEM, 'out of memory'],
  [EINVAL, 'the request is invalid'],
  [ENOSPC, 'beyond the end of the volume, or out of space'],
  [EOVERFLOW, 'too long for an unfragmented reply'],
  [ENOTSUP, 'not faster than writing zeroes'],
  [ESHUTDOWN, 'the volume is being shut down'],
]);
const encoder = new TextEncoder();
const TEXT_BYTES: ReadonlyMap<Errno, Uint8Array> = new Map(
  Array.from(TEXTS, ([errno, text]) => [errno, encoder.encode(text)]),
);
const NO_TEXT = new Uint8Array(0);

/**
 * Errors on the wire are a closed set; ENOTSUP belongs to FAST_ZERO and EOVERFLOW to DF alone, see
 * the session.
 */
export const wireErrno = (errno: Errno): Errno => {
  switch (errno) {
    case EACCES:
    case EROFS:
      return EPERM;
    case EDQUOT:
    case EFBIG:
      return ENOSPC;
    default:
      return TEXTS.has(errno) || errno === 0 ? errno : EIO;
  }
};

export const encodeSimple = (
  view: DataView,
  at: Address,
  request: Request,
  errno: Errno,
): number => {
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, errno);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
  return SIMPLE_REPLY_BYTES;
};

/** An OFFSET_DATA chunk, without its data. */
export const encodeData = (
  view: DataView,
  at: Address,
  request: Request,
  offsetBytes: number,
  dataBytes: number,
  done: boolean,
): number => {
  encodeChunk(view, at, request, done ? CHUNK_FLAG_DONE : 0, CHUNK_OFFSET_DATA, 8 + dataBytes);
  encodeOffset(view, at + CHUNK_HEADER_BYTES, offsetBytes);
  return CHUNK_HEADER_BYTES + 8;
};

/** `offsetBytes` −1: an error of the whole request, not of a place. */
export const encodeError = (
  view: DataView,
  at: Address,
  request: Request,
  errno: Errno,
  offsetBytes: number,
): number => {
  const text = TEXT_BYTES.get(errno) ?? NO_TEXT;
  const placed = offsetBytes >= 0;
  const payloadBytes = 6 + text.length + (placed ? 8 : 0);
  const type = placed ? CHUNK_ERROR_OFFSET : CHUNK_ERROR;
  encodeChunk(view, at, request, CHUNK_FLAG_DONE, type, payloadBytes);
  const payloadAt = at + CHUNK_HEADER_BYTES;
  view.setUint32(payloadAt, errno);
  view.setUint16(payloadAt + 4, text.length);
  new Uint8Array(view.buffer, payloadAt + 6, text.length).set(text);
  if (placed) encodeOffset(view, payloadAt + 6 + text.length, offsetBytes);
  return CHUNK_HEADER_BYTES + payloadBytes;
};

/**
 * As many extents as fit into `roomBytes`, neighbours of a kind merged, never beyond what was
 * asked; 0 when there is none.
 */
export const encodeStatus = (
  view: DataView,
  at: Address,
  roomBytes: number,
  request: Request,
  contextId: number,
  extents: readonly Extent[],
  countMax: number,
): number => {
  let end = at + CHUNK_HEADER_BYTES + 4;
  let count = 0;
  let leftBytes = request.lengthBytes;
  let lastStatus = -1;
  for (const extent of extents) {
    const lengthBytes = Math.min(extent.lengthBytes, leftBytes);
    if (lengthBytes <= 0) break;
    const status = (extent.hole ? ALLOCATION_HOLE : 0) | (extent.zero ? ALLOCATION_ZERO : 0);
    if (status === lastStatus) {
      view.setUint32(end - 8, view.getUint32(end - 8) + lengthBytes);
    } else {
      if (count === countMax || end + 8 > at + roomBytes) break;
      view.setUint32(end, lengthBytes);
      view.setUint32(end + 4, status);
      end += 8;
      count += 1;
      lastStatus = status;
    }
    leftBytes -= lengthBytes;
  }
  if (count === 0) return 0;
  const payloadBytes = end - at - CHUNK_HEADER_BYTES;
  encodeChunk(view, at, request, CHUNK_FLAG_DONE, CHUNK_BLOCK_STATUS, payloadBytes);
  view.setUint32(at + CHUNK_HEADER_BYTES, contextId);
  return end - at;
};

const encodeChunk = (
  view: DataView,
  at: number,
  request: Request,
  flags: number,
  type: number,
  payloadBytes: number,
): void => {
  view.setUint32(at, CHUNK_MAGIC);
  view.setUint16(at + 4, flags);
  view.setUint16(at + 6, type);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
  view.setUint32(at + 16, payloadBytes);
};

const encodeOffset = (view: DataView, at: number, offsetBytes: number): void => {
  view.setUint32(at, Math.floor(offsetBytes / 2 ** 32));
  view.setUint32(at + 4, offsetBytes % 2 ** 32);
};
