/**
 * Error numbers as the drives and NBD speak them: 0 is success, everything else a positive Linux errno.
 * Expected trouble of a drive is such a value, never an exception.
 */

export type Errno = number;

export const OK = 0;
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENOSPC = 28;
export const EROFS = 30;
export const EOVERFLOW = 75;
export const ENOSYS = 38;
export const ENOTSUP = 95;
export const ECONNRESET = 104;
export const ENOTCONN = 107;
export const ESHUTDOWN = 108;
export const ETIMEDOUT = 110;
export const ESTALE = 116;
export const ECANCELED = 125;

/** Does the error say that the drive itself is not there or does not answer, rather than that a sector is bad? */
export function isDriveGone(errno: Errno): boolean {
  switch (errno) {
    case ETIMEDOUT:
    case ENODEV:
    case ENOENT:
    case ENXIO:
    case EBADF:
    case ECONNRESET:
    case ENOTCONN:
    case ESHUTDOWN:
    case ESTALE:
    case ECANCELED:
      return true;
    default:
      return false;
  }
}

/** The same for a person: a drive that hangs may be there, and come to itself. */
export const whyGone = (errno: Errno): string =>
  errno === ETIMEDOUT ? 'it does not answer' : `it is gone (errno ${errno})`;
