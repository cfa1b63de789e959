/**
 * May this request run? Every rule of the protocol about flags, ranges and lengths, as one pure
 * function; what passes is inside the volume, so that nothing below needs to check again.
 */

import type { Errno } from '../base/errno.ts';
import { EINVAL, ENOSPC, EOVERFLOW, OK } from '../base/errno.ts';
import { BLOCK_BYTES_MIN, PAYLOAD_BYTES_MAX, PIECE_BYTES } from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import {
  COMMAND_BLOCK_STATUS,
  COMMAND_CACHE,
  COMMAND_FLAG_DF,
  COMMAND_FLAG_FAST_ZERO,
  COMMAND_FLAG_FUA,
  COMMAND_FLAG_NO_HOLE,
  COMMAND_FLAG_REQ_ONE,
  COMMAND_FLUSH,
  COMMAND_READ,
  COMMAND_TRIM,
  COMMAND_WRITE,
  COMMAND_WRITE_ZEROES,
} from './protocol.ts';

export interface RequestFields {
  readonly type: number;
  readonly flags: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** By command number. FUA is tolerated everywhere: clients set it where it has no meaning. */
const ALLOWED_FLAGS: readonly number[] = Object.assign(new Array<number>(8).fill(-1), {
  [COMMAND_READ]: COMMAND_FLAG_FUA | COMMAND_FLAG_DF,
  [COMMAND_WRITE]: COMMAND_FLAG_FUA,
  [COMMAND_FLUSH]: COMMAND_FLAG_FUA,
  [COMMAND_TRIM]: COMMAND_FLAG_FUA,
  [COMMAND_CACHE]: COMMAND_FLAG_FUA,
  [COMMAND_WRITE_ZEROES]: COMMAND_FLAG_FUA | COMMAND_FLAG_NO_HOLE | COMMAND_FLAG_FAST_ZERO,
  [COMMAND_BLOCK_STATUS]: COMMAND_FLAG_FUA | COMMAND_FLAG_REQ_ONE,
});

/**
 * Besides the protocol's maximum, no payload may want more than a quarter of what clients share of the pool: the half that
 * BufferTaker keeps from long requests leaves room for it when the others have given back theirs.
 */
export const checkRequest = (
  request: RequestFields,
  negotiated: Negotiated,
  sizeBytes: number,
  shareableBytes: number,
): Errno => {
  const { type, flags, offsetBytes, lengthBytes } = request;
  const allowed = ALLOWED_FLAGS[type] ?? -1;
  if (allowed === -1 || (flags & ~allowed) !== 0) return EINVAL;
  if (type === COMMAND_FLUSH) return offsetBytes === 0 && lengthBytes === 0 ? OK : EINVAL;
  if (lengthBytes === 0) return EINVAL;
  if (offsetBytes > sizeBytes || lengthBytes > sizeBytes - offsetBytes) {
    return type === COMMAND_WRITE || type === COMMAND_WRITE_ZEROES ? ENOSPC : EINVAL;
  }
  const unaligned = offsetBytes % BLOCK_BYTES_MIN !== 0 || lengthBytes % BLOCK_BYTES_MIN !== 0;
  if (negotiated.aligned && unaligned) return EINVAL;
  if (type === COMMAND_WRITE) return lengthBytes > shareableBytes / 4 ? EINVAL : OK;
  if (type === COMMAND_BLOCK_STATUS) return negotiated.allocationContextId === 0 ? EINVAL : OK;
  if (type !== COMMAND_READ) return OK;
  if (lengthBytes > PAYLOAD_BYTES_MAX) return EINVAL;
  if ((flags & COMMAND_FLAG_DF) === 0) return OK;
  if (!negotiated.structured) return EINVAL;
  return lengthBytes > PIECE_BYTES ? EOVERFLOW : OK;
};
