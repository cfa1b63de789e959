/**
 * Every way in which a request can be refused or fail, as a closed list of codes. The one catalogue that gives each code
 * its sentence, its next step, its HTTP status and its exit code is api/errors.ts (entries in api/catalogue/); a test
 * keeps the two in step.
 * `detail` fills the placeholders of the sentence.
 */

import type { Check } from './status.ts';

export const problemCodes = [
  // names and arguments
  'argument-invalid',
  'volume-name-invalid',
  'volume-unknown',
  'volume-exists',
  'volume-not-running',
  'volume-in-use',
  'confirm-mismatch',
  'level-unknown',
  'chunk-invalid',
  // drives as they are found
  'drive-path-missing',
  'drive-not-a-drive',
  'drive-not-writable',
  'drive-busy',
  'drive-mounted',
  'drive-in-other-volume',
  'drive-at-work',
  'drive-perhaps-at-work',
  'drive-has-data',
  'drive-too-small',
  'drive-given-twice',
  'drive-count',
  'drive-open-failed',
  'space-missing',
  // drives of a volume
  'drive-unknown',
  'drive-ambiguous',
  'drive-wrong-state',
  'drive-last-copy',
  'drive-foreign',
  'drive-stale',
  'drive-changed',
  'drive-smaller',
  'drive-blank',
  'no-free-slot',
  // assembling
  'member-not-found',
  'superblock-corrupt',
  'label-corrupt',
  'md-unsupported',
  'md-no-room-for-label',
  'members-missing',
  'members-disagree',
  'member-cloned',
  'history-split',
  'dirty-and-degraded',
  'owned-elsewhere',
  // the log
  'leg-count',
  'leg-on-member-drive',
  'leg-too-small',
  'leg-in-use',
  'leg-unknown',
  'leg-online',
  'leg-unrecorded',
  'leg-cloned',
  'log-missing',
  'log-foreign',
  'log-stale',
  'log-ahead',
  'log-damaged',
  'log-none',
  'log-lost',
  'log-exists',
  // windows
  'window-exists',
  'window-none',
  'window-refused',
  'window-wrong-state',
  'window-verify-mismatch',
  'window-known-mismatch',
  'window-drive-absent',
  'window-others-absent',
  'window-rebuild-others-absent',
  // drive tasks
  'tool-missing',
  'not-permitted',
  'drive-no-answer',
  'task-impossible',
  'image-none',
  'image-unreadable',
  'image-empty',
  'image-too-large',
  'image-wrong-checksum',
  'drive-wrong-model',
  // rollouts
  'rollout-refused',
  'rollout-exists',
  'rollout-drives',
  'rollout-unknown',
  'rollout-wrong-state',
  'rollout-unrecorded',
  // runs
  'run-unknown',
  'run-ended',
  'run-exists',
  'run-at-work',
  'tool-at-work',
  'run-limit',
  // jobs
  'job-running',
  'job-none',
  'volume-wrong-state',
  // the server
  'server-unreachable',
  'server-running',
  'server-busy',
  'state-unusable',
  'state-not-locked',
  'volume-list-damaged',
  'listen-failed',
  'volume-stalled',
  'volume-crashed',
  'request-invalid',
  'request-unknown',
  'wait-timeout',
  'io-error',
  'internal',
] as const;
export type ProblemCode = (typeof problemCodes)[number];

export interface Problem {
  readonly code: ProblemCode;
  readonly detail: Readonly<Record<string, string | number>>;
  readonly checks?: readonly Check[];
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

export const done = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const refuse = (
  code: ProblemCode,
  detail: Problem['detail'] = {},
  checks?: readonly Check[],
): { readonly ok: false; readonly problem: Problem } => ({
  ok: false,
  problem: checks ? { code, detail, checks } : { code, detail },
});
