/**
 * What rollouts need of the rest of the server and of the world: the volumes, the runs, the tasks. The control plane fills
 * it in; tests have volumes and drives of their own.
 */

import type { Transport } from '../../core/drive-facts.ts';
import type { Outcome } from '../../core/problems.ts';
import type { ImageReport, TaskRequest } from '../../core/run-report.ts';
import type { Check, LocumEvent, VolumeStatus } from '../../core/status.ts';
import type { DriveTask } from '../../tasks/task.ts';
import type { LostTool } from '../lost-tools.ts';
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
  /** Null: nobody uses anything of the drive of a spare that has been released. Else why not, in a sentence. */
  whyInUse(path: string): Promise<string | null>;
  /** The uuid of the member or spare that a path carries, while no volume has it open; null: none. */
  memberAt(path: string): Promise<Outcome<string | null>>;
  /** Nobody but `owner` is given the drive of this path, or a part of it, until it lets go. Replaces its last hold. */
  hold(owner: string, volume: string, path: string): Promise<void>;
  /** The same as far as a record says it, at a start; nobody has looked yet whether names have moved. */
  holdAsRecorded(owner: string, volume: string, path: string): void;
  letGo(owner: string): void;
  /** A tool of which nobody knows the drive any more: while there is one, only who knows his own drive is given it. */
  heedOrphan(unseen: () => LostTool | null): void;
  removeSpare(volume: string, path: string): Promise<Outcome<void>>;
  /** `owner` may hold the drive. */
  addSpare(volume: string, path: string, force: boolean, owner: string): Promise<Outcome<void>>;
}

export interface RolloutTools {
  readonly volumes: RolloutVolumes;
  readonly runs: RunService;
  readonly taskFor: (
    path: string,
    request: TaskRequest,
  ) => Promise<Outcome<{ readonly task: DriveTask; readonly transport: Transport }>>;
  /** Where records are kept, for a sentence. */
  readonly stateDirectory: () => string;
  readonly findCommand: RunTools['findCommand'];
  readonly isRunning: RunTools['isRunning'];
  /** Also for a drive that is not there at the moment. */
  readonly taskOf: RunTools['taskOf'];
  /** A drive that came back under another name, by what it says of itself; null: none here is it. */
  readonly findDrive: RunTools['findDrive'];
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
