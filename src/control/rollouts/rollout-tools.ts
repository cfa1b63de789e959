/**
 * What rollouts need of the rest of the server and of the world: the volumes, the runs, the tasks. The control plane fills
 * it in; tests have volumes and drives of their own.
 */

import type { Transport } from '../../core/drive-facts.ts';
import type { Outcome } from '../../core/problems.ts';
import type { ImageReport, TaskRequest } from '../../core/run-report.ts';
import type { Check, LocumEvent, VolumeStatus } from '../../core/status.ts';
import type { DriveTask } from '../../tasks/task.ts';
import type { RunService, RunWindow } from '../runs/run-service.ts';
import type { RunTools } from '../runs/run-tools.ts';

/** A whole drive, and every member on it. */
export interface FoundDrive {
  /** Equal for everything that is on the same drive. */
  readonly key: string;
  readonly wholePath: string;
  /** The one that was asked for first. */
  readonly members: readonly { readonly volume: string }[];
}

export interface RolloutVolumes {
  names(): string[];
  /** As it is now; refused when there is no such volume, or it does not run. */
  status(volume: string): Promise<Outcome<VolumeStatus>>;
  /** The drive of a member, by path. */
  find(volume: string, memberPath: string): Promise<Outcome<FoundDrive>>;
  /** The whole drive of any path, and what makes two paths the same drive. */
  wholeOf(path: string): Promise<{ readonly key: string; readonly wholePath: string }>;
  /** The checks of every volume with a member on the drive. */
  planWindow(volume: string, memberPath: string, window: RunWindow): Promise<Outcome<Check[]>>;
  /** What speaks against working on the drive of a spare, outside of any window. */
  checksOfSpare(volume: string, path: string): Promise<Check[]>;
  removeSpare(volume: string, path: string): Promise<Outcome<void>>;
  addSpare(volume: string, path: string, force: boolean): Promise<Outcome<void>>;
}

export interface RolloutTools {
  readonly volumes: RolloutVolumes;
  readonly runs: RunService;
  readonly taskFor: (
    path: string,
    request: TaskRequest,
  ) => Promise<Outcome<{ readonly task: DriveTask; readonly transport: Transport }>>;
  /** Readable, not empty, of a sane size, and of this checksum where one is given. */
  readonly imageOf: (path: string, sha256: string | null) => Promise<Outcome<ImageReport>>;
  /** Waits for a command that a server before this one began; null: nothing is known of it, not even whether it ran. */
  readonly waitForCommand: RunTools['waitForCommand'];
  readonly announce: (
    volume: string,
    kind: string,
    severity: LocumEvent['severity'],
    message: string,
    detail: LocumEvent['detail'],
  ) => void;
  /** Something that no reply can carry. */
  readonly onTrouble: (reason: string) => void;
  readonly wallMs: () => number;
  /** How often a rollout looks at its volumes and runs, and how long a drive is given between two tries to reach it. */
  readonly lookMs: number;
}
