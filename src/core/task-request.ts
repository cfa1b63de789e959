/** What is asked of a task when nothing in particular is: everything a request has, to be narrowed down by who makes one. */

import type { TaskRequest } from './run-report.ts';

/** Limits for a drive that only has to answer. */
const ANSWER_MS = 60_000;

export const plainRequest: TaskRequest = {
  purpose: 'firmware',
  imagePath: null,
  imageSha256: null,
  version: null,
  model: null,
  command: null,
  commandDirectory: null,
  test: null,
  newDrivePath: null,
  commandLimitMs: ANSWER_MS,
  answerLimitMs: ANSWER_MS,
};
