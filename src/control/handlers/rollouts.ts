/** The operations on firmware updates of many drives, and the inventory that goes before them. */

import type { Handlers } from '../../api/operations.ts';
import type { RolloutBody } from '../../api/rollout-schema.ts';
import { DOUBLE_ABSENCE_WAIT_MS } from '../../api/units.ts';
import { reply } from '../replies.ts';
import type { RolloutRequest } from '../rollouts/rollout-request.ts';
import type { Rollouts } from '../rollouts/rollouts.ts';
import { ANSWER_LIMIT_MS, COMMAND_LIMIT_MS } from './runs.ts';
import { WINDOW_MAX_MS } from './windows.ts';

const SOAK_MS = 10 * 60_000;

type RolloutOperation =
  | 'rolloutStart'
  | 'rolloutList'
  | 'rolloutShow'
  | 'rolloutPause'
  | 'rolloutResume'
  | 'rolloutStop'
  | 'firmwareInventory';

export function rolloutHandlers(rollouts: Rollouts): Pick<Handlers, RolloutOperation> {
  return {
    rolloutStart: async ({ body }) => {
      const request = requestOf(body);
      if (body.dryRun === true) {
        const plan = await rollouts.plan(request);
        return plan.ok ? reply({ plan: plan.value, rollout: null }) : plan;
      }
      const started = await rollouts.start(request);
      return started.ok ? reply({ plan: null, rollout: started.value }) : started;
    },
    rolloutList: async () => reply({ rollouts: rollouts.all() }),
    rolloutShow: async ({ params }) => {
      const found = rollouts.get(params.rollout);
      return found.ok ? reply({ rollout: found.value }) : found;
    },
    rolloutPause: async ({ params }) => {
      const paused = await rollouts.pause(params.rollout);
      return paused.ok ? reply({ rollout: paused.value }) : paused;
    },
    rolloutResume: async ({ params, body }) => {
      const { retry = false, allowDegraded = false } = body;
      const resumed = await rollouts.resume(params.rollout, { retry, allowDegraded });
      return resumed.ok ? reply({ rollout: resumed.value }) : resumed;
    },
    rolloutStop: async ({ params }) => {
      const stopped = await rollouts.stop(params.rollout);
      return stopped.ok ? reply({ rollout: stopped.value }) : stopped;
    },
    firmwareInventory: async ({ query }) => {
      const drives = await rollouts.inventory(query.volume === undefined ? null : [query.volume]);
      return drives.ok ? reply({ drives: drives.value }) : drives;
    },
  };
}

function requestOf(body: RolloutBody): RolloutRequest {
  const maxMs = body.maxMs ?? WINDOW_MAX_MS;
  return {
    volumes: [...new Set(body.volumes)],
    drives: body.drives,
    task: {
      purpose: 'firmware',
      imagePath: body.image,
      imageSha256: body.sha256 ?? null,
      version: body.version ?? null,
      model: body.model ?? null,
      command: body.command ?? null,
      commandDirectory: body.commandDirectory ?? null,
      test: null,
      newDrivePath: null,
      // A command of the user's own takes what it takes: within the window.
      commandLimitMs: body.commandLimitMs ?? (body.command ? maxMs : COMMAND_LIMIT_MS),
      answerLimitMs: body.answerLimitMs ?? ANSWER_LIMIT_MS,
    },
    window: {
      maxMs,
      onDoubleAbsence: 'wait',
      waitMs: DOUBLE_ABSENCE_WAIT_MS,
      allowDegraded: body.allowDegraded === true,
      allowSingleLog: body.allowSingleLog === true,
      verify: 'recent',
    },
    canary: body.canary ?? 1,
    soakMs: body.soakMs ?? SOAK_MS,
    stopOnError: body.stopOnError ?? true,
    requestedBy: body.requestedBy ?? '',
  };
}
