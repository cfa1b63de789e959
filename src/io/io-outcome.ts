/**
 * How opening and creating drives answer. The shape is that of `Outcome` in core/problems.ts, and
 * the codes are among its codes, so that an answer passes upwards as it is; this layer does not
 * know core.
 */

export type DriveProblemCode =
  | 'drive-path-missing'
  | 'drive-not-a-drive'
  | 'drive-not-writable'
  | 'drive-busy'
  | 'drive-mounted'
  | 'drive-has-data'
  | 'drive-open-failed'
  | 'space-missing';

export interface DriveProblem {
  readonly code: DriveProblemCode;
  readonly detail: Readonly<Record<string, string | number>>;
}

export type IoOutcome<T> = { readonly ok: true; readonly value: T } | Refusal;
export type Refusal = { readonly ok: false; readonly problem: DriveProblem };

export const opened = <T>(value: T): IoOutcome<T> => ({ ok: true, value });
export const refused = (code: DriveProblemCode, detail: DriveProblem['detail']): Refusal => ({
  ok: false,
  problem: { code, detail },
});
