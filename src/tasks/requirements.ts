/** What every transport wants before a task, in the order in which an administrator would find it out. */

import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { needRoot, needTools, type TaskContext, type Tool } from './context.ts';
import { checkFirmware } from './image.ts';
import { type SelfTestTransport, selfTestTools } from './self-test.ts';

export interface Requirements {
  readonly transport: SelfTestTransport;
  readonly firmware: readonly Tool[];
  readonly reset: readonly Tool[];
  /** False where a slot of the drive can be made current without an image. */
  readonly needsImage: boolean;
}

export async function checkRequirements(
  context: TaskContext,
  facts: DriveFacts,
  request: TaskRequest,
  wanted: Requirements,
): Promise<Outcome<void>> {
  const tools = toolsFor(request, wanted);
  const present = needTools(context, facts.path, tools);
  if (!present.ok) return present;
  if (request.purpose !== 'replacement') {
    const allowed = needRoot(context, facts.path);
    if (!allowed.ok) return allowed;
  }
  return request.purpose === 'firmware'
    ? checkFirmware(facts, request, wanted.needsImage)
    : done(undefined);
}

function toolsFor(request: TaskRequest, wanted: Requirements): readonly Tool[] {
  switch (request.purpose) {
    case 'firmware':
      return wanted.firmware;
    case 'reset':
      return wanted.reset;
    case 'diagnostics':
      return request.test === 'scan' ? [] : selfTestTools[wanted.transport];
    case 'replacement':
      return [];
  }
}
