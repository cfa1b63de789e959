/** The two forms in which a handler answers: a value with the version of the API, or a problem with the volume's name. */

import { API_VERSION } from '../api/schema.ts';
import { done, type Outcome, type Problem } from '../core/problems.ts';

export const reply = <T extends object>(
  value: T,
): Outcome<T & { apiVersion: typeof API_VERSION }> => done({ apiVersion: API_VERSION, ...value });

/** The engine does not always say which volume it is about; its sentence should. */
export const named = (
  volume: string,
  { problem }: { readonly problem: Problem },
): { readonly ok: false; readonly problem: Problem } => ({
  ok: false,
  problem: { ...problem, detail: { volume, ...problem.detail } },
});
