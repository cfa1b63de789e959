/**
 * How a command ends early. Inside the command line a failed request is thrown as `Stop`, because there is one thing
 * to do with it, in one place (`run`): print it and exit with the code that the catalogue gives it.
 */

import { catalogue, type ExitCode, exitCodes, explain } from '../api/errors.ts';
import type { ProblemReply } from '../api/schema.ts';
import type { ProblemCode } from '../core/problems.ts';

export class Stop extends Error {
  readonly exitCode: ExitCode;
  /** Null when everything has been said already. */
  readonly problem: ProblemReply | null;

  constructor(exitCode: ExitCode, problem: ProblemReply | null) {
    super(problem?.message ?? '');
    this.exitCode = exitCode;
    this.problem = problem;
  }
}

export const stopQuietly = (exitCode: ExitCode): Stop => new Stop(exitCode, null);

const known = new Set<number>(Object.values(exitCodes));

export const stopWith = (problem: ProblemReply): Stop =>
  new Stop(
    known.has(problem.exitCode) ? (problem.exitCode as ExitCode) : exitCodes.failed,
    problem,
  );

/** A problem found on this side of the API. */
export function stopFor(code: ProblemCode, detail: Record<string, string | number> = {}): Stop {
  const { httpStatus, exitCode } = catalogue[code];
  return stopWith({
    type: `urn:locum:problem:${code}`,
    title: code.replaceAll('-', ' '),
    status: httpStatus,
    code,
    ...explain({ code, detail }),
    exitCode,
    detail,
    checks: [],
  });
}
