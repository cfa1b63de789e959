/**
 * Which schema validates which part of which operation's request. Exhaustive by type: an operation without its line
 * here does not compile. Replies are not serialised through a schema: their types are checked at build time, and a
 * serialiser that drops what it does not know would hide exactly the mistakes that matter.
 */

import type { TSchema } from 'typebox';
import { Type } from 'typebox';
import type { OperationName } from '../api/operations.ts';
import * as rolloutSchema from '../api/rollout-schema.ts';
import * as runSchema from '../api/run-schema.ts';
import * as schema from '../api/schema.ts';

export interface RequestSchemas {
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  readonly body?: TSchema;
}

const nothing = Type.Object({}, { additionalProperties: false });
const get = { querystring: nothing };
const getOfVolume = { params: schema.VolumeParams, querystring: nothing };
const post = (body: TSchema): RequestSchemas => ({ querystring: nothing, body });
const postToVolume = (body: TSchema): RequestSchemas => ({
  params: schema.VolumeParams,
  querystring: nothing,
  body,
});

const postToRollout = (body: TSchema): RequestSchemas => ({
  params: rolloutSchema.RolloutParams,
  querystring: nothing,
  body,
});

export const requestSchemas: Readonly<Record<OperationName, RequestSchemas>> = {
  server: get,
  status: get,
  volumeStatus: getOfVolume,
  volumeCreate: post(schema.CreateBody),
  volumeAssemble: post(schema.AssembleBody),
  volumeStop: postToVolume(schema.StopBody),
  volumeDestroy: postToVolume(schema.DestroyBody),
  volumeExport: getOfVolume,
  driveAdd: postToVolume(schema.DriveAddBody),
  driveFail: postToVolume(schema.DriveBody),
  driveRemove: postToVolume(schema.DriveBody),
  driveReplace: postToVolume(schema.DriveReplaceBody),
  windowPlan: postToVolume(schema.WindowBody),
  windowOpen: postToVolume(schema.WindowBody),
  windowShow: { params: schema.VolumeParams, querystring: runSchema.WindowQuery },
  windowClose: postToVolume(schema.CloseBody),
  windowAbort: postToVolume(nothing),
  windowExtend: postToVolume(schema.ExtendBody),
  windowRun: postToVolume(runSchema.RunBody),
  runList: get,
  runShow: { params: runSchema.RunParams, querystring: nothing },
  runRecall: { ...post(runSchema.RecallBody), params: runSchema.RunParams },
  windowList: get,
  windowHistory: { querystring: schema.HistoryQuery },
  rolloutStart: post(rolloutSchema.RolloutBody),
  rolloutList: get,
  rolloutShow: { params: rolloutSchema.RolloutParams, querystring: nothing },
  rolloutPause: postToRollout(nothing),
  rolloutResume: postToRollout(rolloutSchema.ResumeBody),
  rolloutStop: postToRollout(nothing),
  firmwareInventory: { querystring: rolloutSchema.InventoryQuery },
  scrubStart: postToVolume(schema.ScrubBody),
  scrubStop: postToVolume(nothing),
  scrubStatus: getOfVolume,
  logShow: getOfVolume,
  logCheck: postToVolume(nothing),
  logReplace: postToVolume(schema.LogReplaceBody),
  logAdd: postToVolume(schema.LogAddBody),
  events: { querystring: schema.EventsQuery },
};
