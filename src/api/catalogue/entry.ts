/**
 * What an entry of the catalogue of errors is, and the kinds of trouble there are (api/errors.ts puts the parts together).
 *
 * Sentences are for an administrator at three in the morning: what happened, why, and in `fix` what to do next.
 *   {name}      a placeholder, filled from the problem's `detail`; `defaultWords` stands in when it is missing
 *               (sizes, whose names end in Bytes, are printed with their unit)
 *   [ … {x} …]  a part that is left out when `x` is missing
 * What `detail` knows and the sentence does not use is appended in parentheses, so that nothing known is lost.
 *
 * Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a safety check, 5 no server, 6 wait timed out.
 */

import { EBUSY, EINVAL, EIO, ENOENT, type Errno, ESHUTDOWN } from '../../base/errno.ts';
import type { ProblemCode } from '../../core/problems.ts';

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  noServer: 5,
  timedOut: 6,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export interface CatalogueEntry {
  readonly message: string;
  readonly fix: string;
  readonly httpStatus: number;
  readonly exitCode: ExitCode;
  readonly errno: Errno;
}

/** A part of the catalogue; together the parts have every code, which the compiler holds in api/errors.ts. */
export type CataloguePart = Readonly<Partial<Record<ProblemCode, CatalogueEntry>>>;

type Kind = Pick<CatalogueEntry, 'httpStatus' | 'exitCode' | 'errno'>;

// What kinds of trouble there are; an entry names one and, where it differs, its own errno.
export const usage: Kind = { httpStatus: 400, exitCode: exitCodes.usage, errno: EINVAL };
export const notFound: Kind = { httpStatus: 404, exitCode: exitCodes.notFound, errno: ENOENT };
export const refused: Kind = { httpStatus: 409, exitCode: exitCodes.refused, errno: EBUSY };
export const failed: Kind = { httpStatus: 500, exitCode: exitCodes.failed, errno: EIO };
export const noServer: Kind = { httpStatus: 503, exitCode: exitCodes.noServer, errno: ESHUTDOWN };

export const entry = (
  kind: Kind,
  message: string,
  fix: string,
  errno = kind.errno,
): CatalogueEntry => ({
  ...kind,
  message,
  fix,
  errno,
});
