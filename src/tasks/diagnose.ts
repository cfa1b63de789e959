/** Diagnostics and the read test of a drive with tools: the same for every transport but for the self-test. */

import type { TaskRequest } from '../core/run-report.ts';
import { runCommand } from './command.ts';
import type { TaskContext } from './context.ts';
import { readCommand, selfTestCommand } from './own-tools.ts';
import type { SelfTestTransport } from './self-test.ts';
import type { CommandResult, StepControl, TaskDrive } from './task.ts';

export function diagnose(
  transport: SelfTestTransport,
  { path }: TaskDrive,
  request: TaskRequest,
  control: StepControl,
  context: TaskContext,
): Promise<CommandResult> {
  const command =
    request.test === 'scan'
      ? readCommand('scan', [path])
      : selfTestCommand(transport, path, request.test ?? 'short', context.testEveryMs);
  return runCommand(command, control, context);
}

export const readTest = (
  { path }: TaskDrive,
  control: StepControl,
  context: TaskContext,
): Promise<CommandResult> => runCommand(readCommand('sample', [path]), control, context);
