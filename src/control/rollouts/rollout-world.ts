/** What rollouts need, made of the parts of this control plane. */

import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { VolumeStatus } from '../../core/status.ts';
import { checkImage } from '../../tasks/image.ts';
import type { Asking } from '../asking.ts';
import { driveHandlers } from '../handlers/drives.ts';
import type { RunTools } from '../runs/run-tools.ts';
import type { Runs } from '../runs/runs.ts';
import type { SharedDrives } from '../runs/shared-drive.ts';
import type { WindowGroups } from '../runs/window-groups.ts';
import type { VolumeTable } from '../volume-table.ts';
import type { RolloutTools, RolloutVolumes } from './rollout-tools.ts';

const LOOK_MS = 1_000;

export interface RolloutWorld {
  readonly table: VolumeTable;
  readonly asking: Asking;
  readonly drives: SharedDrives;
  readonly groups: WindowGroups;
  readonly runs: Runs;
  readonly tools: RunTools;
  readonly lookMs?: number;
}

export function rolloutTools(world: RolloutWorld): RolloutTools {
  const { table, runs, tools } = world;
  return {
    volumes: volumesOf(world),
    runs,
    taskFor: async (path, request) => {
      const whole = await tools.wholeDrive(path);
      if (!whole.ok) return whole;
      const { transport } = whole.value;
      return done({ task: tools.taskOf(transport, request), transport });
    },
    stateDirectory: () => table.options.server().stateDirectory,
    findCommand: tools.findCommand,
    isRunning: tools.isRunning,
    taskOf: tools.taskOf,
    findDrive: tools.findDrive,
    imageOf: checkImage,
    waitForCommand: tools.waitForCommand,
    announce: (...event) => table.announce(...event),
    onTrouble: table.options.onTrouble,
    wallMs: table.options.wallMs,
    lookMs: world.lookMs ?? LOOK_MS,
  };
}

function volumesOf({ table, asking, drives, groups, tools }: RolloutWorld): RolloutVolumes {
  const { driveRemove } = driveHandlers(table, asking);
  const { claims } = table;
  const ask = { query: {} } as const;
  const work = 'firmware update of a spare';
  return {
    names: () => [...table.entries.keys()],
    status: async (volume): Promise<Outcome<VolumeStatus>> => {
      const running = asking.running(volume);
      if (!running.ok) return running;
      const found = await running.value.status();
      return found ? done(found) : refuse('volume-not-running', { volume });
    },
    find: (volume, path) => drives.find(volume, path),
    wholeOf: async (path) => {
      const whole = await tools.wholeDrive(path);
      return whole.ok
        ? { key: whole.value.key, wholePath: whole.value.path }
        : { key: path, wholePath: path };
    },
    planWindow: async (volume, drive, window) => {
      const planned = await groups.plan(volume, { ...window, drive, purpose: 'firmware' });
      return planned.ok ? done([...planned.value.plan.checks]) : planned;
    },
    checksOfSpare: (volume, path) => drives.checksOfSpare(volume, path),
    whyInUse: (path) => drives.whyInUse(path, []),
    memberAt: tools.memberAt,
    hold: async (owner, volume, path) => {
      claims.hold(owner, { volumes: [volume], paths: [path], work });
      const rest = await drives.restOf(path, []);
      claims.hold(owner, { volumes: [volume], paths: [...new Set([path, ...rest])], work });
    },
    holdAsRecorded: (owner, volume, path) =>
      claims.hold(owner, { volumes: [volume], paths: [path], work, isRemembered: true }),
    letGo: (owner) => claims.letGo(owner),
    heedOrphan: (atWork) => claims.heedOrphan(atWork),
    addSpare: async (volume, path, force, owner) => {
      const free = await claims.check(volume, [path], owner);
      if (!free.ok) return free;
      const added = await table.expecting(volume, { drives: [path], logs: [] }, () =>
        asking.change(volume, 'addDrive', [path, true, force]),
      );
      return added.ok ? done(undefined) : added;
    },
    removeSpare: async (volume, path) => {
      const removed = await driveRemove({ ...ask, params: { volume }, body: { drive: path } });
      return removed.ok ? done(undefined) : removed;
    },
  };
}
