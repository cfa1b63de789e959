/** The operations on runs: begun in a volume, and after that known by their own id. */

import type { Handlers } from '../../api/operations.ts';
import type { RunBody } from '../../api/run-schema.ts';
import { DOUBLE_ABSENCE_WAIT_MS } from '../../api/units.ts';
import { refuse } from '../../core/problems.ts';
import { reply } from '../replies.ts';
import type { RunRequest } from '../runs/run-service.ts';
import type { Runs } from '../runs/runs.ts';
import { WINDOW_MAX_MS } from './windows.ts';

/** A drive may take this long to answer after its task. */
export const ANSWER_LIMIT_MS = 300_000;
/** A tool that takes longer hangs; sg_write_buffer gives a drive as much. A self-test says its own time. */
export const COMMAND_LIMIT_MS = 300_000;
/** The newest ones. */
const LISTED_MAX = 100;
/** The window of a test that reads all of a drive, in the drive or here. */
export const LONG_TEST_MAX_MS = 24 * 3_600_000;
/** Of the window's time; a test ends this long before it, so that the drive is back in time. */
const TEST_RESERVE_MS = 300_000;

export function runHandlers(
  runs: Runs,
): Pick<Handlers, 'windowRun' | 'runList' | 'runShow' | 'runRecall'> {
  return {
    windowRun: async ({ params: { volume }, body }) => {
      const started = await runs.start(requestOf(volume, body));
      return started.ok ? reply({ run: started.value }) : started;
    },
    runList: async () => reply({ runs: runs.all().slice(-LISTED_MAX) }),
    runShow: async ({ params: { run: id } }) => {
      const run = await runs.whole(id);
      return run === null ? refuse('run-unknown', { run: id }) : reply({ run });
    },
    runRecall: async ({ params: { run: id }, body }) => {
      const recalled = runs.recall(id, body.why ?? 'somebody asked for it.');
      return recalled.ok ? reply({ run: recalled.value }) : recalled;
    },
  };
}

function requestOf(volume: string, body: RunBody): RunRequest {
  const { purpose } = body;
  const test = body.test ?? (purpose === 'diagnostics' && !body.command ? 'short' : null);
  // A drive is tested for hours; the log, a second failure and its own limit still end the test.
  const isLong = test === 'long' || test === 'scan';
  const maxMs = body.maxMs ?? (isLong ? LONG_TEST_MAX_MS : WINDOW_MAX_MS);
  // A command of the user's own, or a test, takes what it takes: within the window.
  const testMs = Math.max(maxMs - TEST_RESERVE_MS, Math.ceil(maxMs / 2));
  const usual = test !== null ? testMs : body.command ? maxMs : COMMAND_LIMIT_MS;
  return {
    volume,
    drive: body.drive,
    task: {
      purpose,
      imagePath: body.image ?? null,
      imageSha256: body.sha256 ?? null,
      version: body.version ?? null,
      model: body.model ?? null,
      ...(body.activation === undefined ? {} : { activation: body.activation }),
      ...(body.firmwareSlot === undefined ? {} : { firmwareSlot: body.firmwareSlot }),
      command: body.command ?? null,
      commandDirectory: body.commandDirectory ?? null,
      test,
      newDrivePath: body.with ?? null,
      commandLimitMs: body.commandLimitMs ?? usual,
      answerLimitMs: body.answerLimitMs ?? ANSWER_LIMIT_MS,
    },
    window: {
      maxMs,
      onDoubleAbsence: body.onDoubleAbsence ?? 'wait',
      waitMs: body.waitMs ?? DOUBLE_ABSENCE_WAIT_MS,
      allowDegraded: body.allowDegraded === true,
      allowSingleLog: body.allowSingleLog === true,
      verify: body.verify ?? 'recent',
    },
    rehearsal: body.rehearsal === true,
    requestedBy: body.requestedBy ?? '',
    rolloutId: null,
  };
}
