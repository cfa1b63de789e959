/** Results of steps that start no command. */

import type { CommandResult } from './task.ts';

export const nothingToDo = (note: string): CommandResult => ({
  command: '',
  result: 'done',
  exitStatus: null,
  output: note,
  reason: '',
});

/** `check` refuses before it comes to this. */
export const impossible = (what: string): CommandResult => ({
  command: '',
  result: 'not-started',
  exitStatus: null,
  output: '',
  reason: `${what} is not possible on this device`,
});
