/**
 * What runs and updates of spares have in common where a drive is asked who it is: how often, before it is believed to be
 * silent; and how a command ends that is not begun for it.
 */

import type { CommandResult } from '../../tasks/task.ts';

/** A drive may be silent for a moment after the step before, or open for somebody who only looks. */
export const TRIES_TO_ASK = 5;

export const notStarted = (reason: string): CommandResult => ({
  command: '',
  result: 'not-started',
  exitStatus: null,
  output: '',
  reason,
});
