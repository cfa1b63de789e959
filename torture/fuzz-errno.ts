/** What an error of the device is on the wire, for the oracle of the fuzzer (docs/protocol/nbd.md). */

import { type BookedRequest, EINVAL, EIO, ENOTSUP, ESHUTDOWN } from './fuzz-book.ts';
import { command, flag } from './fuzz-wire.ts';

/** Errors on the wire are a closed set: ENOTSUP belongs to FAST_ZERO, EOVERFLOW to DF. */
export function wireErrno(request: BookedRequest, errno: number): number {
  const { trim, cache } = command;
  const fast = (request.flags & flag.fast) !== 0;
  switch (errno) {
    case 0:
      return 0;
    case 1:
    case 13:
    case 30:
      return 1;
    case 12:
    case EINVAL:
    case ESHUTDOWN:
      return errno;
    case 27:
    case 28:
    case 122:
      return 28;
    case ENOTSUP:
      if (request.type === trim || request.type === cache) return 0;
      return fast ? ENOTSUP : EIO;
    default:
      return EIO;
  }
}
