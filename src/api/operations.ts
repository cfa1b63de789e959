/**
 * The one table of what the control API can do: a name, its HTTP method and path. The HTTP edge registers it, the
 * control plane implements it (`Handlers`), the command line calls it, and docs/commands.md describes it.
 *
 * It carries no schema objects, so that the command line starts without loading a schema library; the pairing with
 * schemas is http/routes.ts, and `Operations` below gives each name its types.
 */

import type { Outcome } from '../core/problems.ts';
import type { LocumEvent } from '../core/status.ts';
import type * as rolloutSchema from './rollout-schema.ts';
import type * as runSchema from './run-schema.ts';
import type * as schema from './schema.ts';

export const operations = {
  server: { method: 'GET', path: '/v1/server' },
  status: { method: 'GET', path: '/v1/volumes' },
  volumeStatus: { method: 'GET', path: '/v1/volumes/:volume' },
  volumeCreate: { method: 'POST', path: '/v1/volumes' },
  volumeAssemble: { method: 'POST', path: '/v1/assemblies' },
  volumeStop: { method: 'POST', path: '/v1/volumes/:volume/stop' },
  volumeDestroy: { method: 'POST', path: '/v1/volumes/:volume/destroy' },
  volumeExport: { method: 'GET', path: '/v1/volumes/:volume/export' },
  driveAdd: { method: 'POST', path: '/v1/volumes/:volume/drives' },
  driveFail: { method: 'POST', path: '/v1/volumes/:volume/drives/fail' },
  driveRemove: { method: 'POST', path: '/v1/volumes/:volume/drives/remove' },
  driveReplace: { method: 'POST', path: '/v1/volumes/:volume/drives/replace' },
  windowPlan: { method: 'POST', path: '/v1/volumes/:volume/window/plan' },
  windowOpen: { method: 'POST', path: '/v1/volumes/:volume/window' },
  windowShow: { method: 'GET', path: '/v1/volumes/:volume/window' },
  windowClose: { method: 'POST', path: '/v1/volumes/:volume/window/close' },
  windowAbort: { method: 'POST', path: '/v1/volumes/:volume/window/abort' },
  windowExtend: { method: 'POST', path: '/v1/volumes/:volume/window/extend' },
  windowRun: { method: 'POST', path: '/v1/volumes/:volume/window/run', status: 202 },
  runList: { method: 'GET', path: '/v1/runs' },
  runShow: { method: 'GET', path: '/v1/runs/:run' },
  runRecall: { method: 'POST', path: '/v1/runs/:run/recall' },
  windowList: { method: 'GET', path: '/v1/windows' },
  windowHistory: { method: 'GET', path: '/v1/windows/history' },
  rolloutStart: { method: 'POST', path: '/v1/rollouts' },
  rolloutList: { method: 'GET', path: '/v1/rollouts' },
  rolloutShow: { method: 'GET', path: '/v1/rollouts/:rollout' },
  rolloutPause: { method: 'POST', path: '/v1/rollouts/:rollout/pause' },
  rolloutResume: { method: 'POST', path: '/v1/rollouts/:rollout/resume' },
  rolloutStop: { method: 'POST', path: '/v1/rollouts/:rollout/stop' },
  firmwareInventory: { method: 'GET', path: '/v1/firmware' },
  scrubStart: { method: 'POST', path: '/v1/volumes/:volume/scrub' },
  scrubStop: { method: 'POST', path: '/v1/volumes/:volume/scrub/stop' },
  scrubStatus: { method: 'GET', path: '/v1/volumes/:volume/scrub' },
  logShow: { method: 'GET', path: '/v1/volumes/:volume/log' },
  logCheck: { method: 'POST', path: '/v1/volumes/:volume/log/check' },
  logReplace: { method: 'POST', path: '/v1/volumes/:volume/log/replace' },
  logAdd: { method: 'POST', path: '/v1/volumes/:volume/log' },
  events: { method: 'GET', path: '/v1/events' },
} as const satisfies Record<string, { method: 'GET' | 'POST'; path: string; status?: number }>;

/** Server-sent events: not a request with a reply, so it stands beside the table. */
export const EVENT_STREAM_PATH = '/v1/events/stream';

export type OperationName = keyof typeof operations;

interface Empty {}
type OnVolume<Body, Reply> = {
  params: schema.VolumeParams;
  query: Empty;
  body: Body;
  reply: Reply;
};

type OnRollout<Body> = {
  params: rolloutSchema.RolloutParams;
  query: Empty;
  body: Body;
  reply: rolloutSchema.RolloutReply;
};

/** What each operation takes and answers. A GET has an empty body. */
export interface Operations {
  server: { params: Empty; query: Empty; body: Empty; reply: schema.ServerReply };
  status: { params: Empty; query: Empty; body: Empty; reply: schema.StatusReply };
  volumeStatus: OnVolume<Empty, schema.StatusReply>;
  volumeCreate: { params: Empty; query: Empty; body: schema.CreateBody; reply: schema.StatusReply };
  volumeAssemble: {
    params: Empty;
    query: Empty;
    body: schema.AssembleBody;
    reply: schema.StatusReply;
  };
  volumeStop: OnVolume<schema.StopBody, schema.DoneReply>;
  volumeDestroy: OnVolume<schema.DestroyBody, schema.DoneReply>;
  volumeExport: OnVolume<Empty, schema.ExportReply>;
  driveAdd: OnVolume<schema.DriveAddBody, schema.StatusReply>;
  driveFail: OnVolume<schema.DriveBody, schema.StatusReply>;
  driveRemove: OnVolume<schema.DriveBody, schema.StatusReply>;
  driveReplace: OnVolume<schema.DriveReplaceBody, schema.StatusReply>;
  windowPlan: OnVolume<schema.WindowBody, schema.PlanReply>;
  windowOpen: OnVolume<schema.WindowBody, schema.WindowReply>;
  windowShow: {
    params: schema.VolumeParams;
    query: runSchema.WindowQuery;
    body: Empty;
    reply: runSchema.WindowShowReply;
  };
  windowClose: OnVolume<schema.CloseBody, schema.WindowReply>;
  windowAbort: OnVolume<Empty, schema.AbortReply>;
  windowExtend: OnVolume<schema.ExtendBody, schema.WindowReply>;
  windowRun: OnVolume<runSchema.RunBody, runSchema.RunReply>;
  runList: { params: Empty; query: Empty; body: Empty; reply: runSchema.RunsReply };
  runShow: { params: runSchema.RunParams; query: Empty; body: Empty; reply: runSchema.RunReply };
  runRecall: {
    params: runSchema.RunParams;
    query: Empty;
    body: runSchema.RecallBody;
    reply: runSchema.RunReply;
  };
  windowList: { params: Empty; query: Empty; body: Empty; reply: schema.WindowsReply };
  windowHistory: {
    params: Empty;
    query: schema.HistoryQuery;
    body: Empty;
    reply: schema.WindowsReply;
  };
  rolloutStart: {
    params: Empty;
    query: Empty;
    body: rolloutSchema.RolloutBody;
    reply: rolloutSchema.RolloutStartReply;
  };
  rolloutList: { params: Empty; query: Empty; body: Empty; reply: rolloutSchema.RolloutsReply };
  rolloutShow: OnRollout<Empty>;
  rolloutPause: OnRollout<Empty>;
  rolloutResume: OnRollout<rolloutSchema.ResumeBody>;
  rolloutStop: OnRollout<Empty>;
  firmwareInventory: {
    params: Empty;
    query: rolloutSchema.InventoryQuery;
    body: Empty;
    reply: rolloutSchema.InventoryReply;
  };
  scrubStart: OnVolume<schema.ScrubBody, schema.JobReply>;
  scrubStop: OnVolume<Empty, schema.JobReply>;
  scrubStatus: OnVolume<Empty, schema.JobReply>;
  logShow: OnVolume<Empty, schema.LogReply>;
  logCheck: OnVolume<Empty, schema.LogCheckReply>;
  logReplace: OnVolume<schema.LogReplaceBody, schema.StatusReply>;
  logAdd: OnVolume<schema.LogAddBody, schema.StatusReply>;
  events: { params: Empty; query: schema.EventsQuery; body: Empty; reply: schema.EventsReply };
}

/** One input for all three parts: their names never collide, and a handler reads better with one bag of arguments. */
export interface Input<N extends OperationName> {
  readonly params: Operations[N]['params'];
  readonly query: Operations[N]['query'];
  readonly body: Operations[N]['body'];
}

export type Reply<N extends OperationName> = Operations[N]['reply'];

export type Handlers = {
  readonly [N in OperationName]: (input: Input<N>) => Promise<Outcome<Reply<N>>>;
};

/** What the HTTP edge needs of the control plane: the operations and the live events. */
export interface ControlPlane {
  readonly handlers: Handlers;
  /** Events after `sequence` first, then live ones, in order. The returned function ends the subscription. */
  subscribe(
    afterSequence: number,
    volume: string | null,
    send: (event: LocumEvent) => void,
  ): () => void;
}
