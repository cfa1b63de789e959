/**
 * What the control plane may ask of the engine, and what the engine needs from its surroundings. The daemon builds an
 * `EngineEnvironment` (real drives, real time); tests and the simulator build another one.
 */

import type { Outcome } from '../core/problems.ts';
import type {
  JobStatus,
  LocumEvent,
  LogCheck,
  LogReport,
  Purpose,
  VerifyMode,
  VolumeStatus,
  WindowPlan,
  WindowReport,
} from '../core/status.ts';
import type { BlockDevice } from '../io/block-device.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Clock } from '../io/clock.ts';
import type { Drive } from '../io/drive.ts';
import type { Place } from '../io/place.ts';
import type { Kernels } from '../kernels/kernels.ts';

export interface EngineEnvironment {
  readonly ioName: VolumeStatus['io'];
  readonly clock: Clock;
  readonly buffers: Buffers;
  readonly kernels: Kernels;
  /** `length` random bytes; seeded in the simulator. */
  readonly random: (length: number) => Uint8Array;
  /** Opens for exclusive use by this process; refuses what is mounted, locked or not a drive. */
  readonly openDrive: (path: string) => Promise<Outcome<Drive>>;
  /** Creates a pre-allocated image file; `space-missing` when the file system cannot hold it. */
  readonly createImage: (path: string, sizeBytes: number) => Promise<Outcome<void>>;
  readonly exists: (path: string) => Promise<boolean>;
  /** Takes back images that a refused request has just made. */
  readonly removeImages: (paths: readonly string[]) => Promise<void>;
  /** Names what else is on the drive ("ext4 file system", "GPT partition table"); null when nothing is recognised. */
  readonly foreignContent: (drive: Drive) => Promise<string | null>;
  /**
   * What physical thing a path lives on: equal `disk` means the same disk (a leg there is refused); `file` is the file
   * system of an image file (shared with a member: a warning), null for block devices. `identity` is equal for two
   * names of one thing.
   */
  readonly place: (path: string) => Promise<Place>;
  readonly emit: (event: Omit<LocumEvent, 'sequence' | 'at'>) => void;
  /** Overrides of the defaults in engine/limits.ts and engine/log/limits.ts. */
  readonly limits?: Readonly<Record<string, number>>;
}

export interface CreateRequest {
  readonly name: string;
  readonly level: number;
  readonly drivePaths: readonly string[];
  readonly logPaths: readonly string[];
  readonly chunkBytes: number | null;
  readonly imageSizeBytes: number | null;
  readonly logSizeBytes: number | null;
  readonly assumeClean: boolean;
  readonly force: boolean;
}

export interface AssembleRequest {
  readonly name: string | null;
  readonly drivePaths: readonly string[];
  readonly logPaths: readonly string[];
  /** Start although members are missing that no record calls failed, or dirty and degraded without a log. */
  readonly force: boolean;
}

export interface WindowRequest {
  readonly drive: string;
  readonly purpose: Purpose;
  readonly maxMs: number;
  readonly onDoubleAbsence: 'wait' | 'error';
  readonly waitMs: number;
  readonly allowDegraded: boolean;
  readonly allowSingleLog: boolean;
}

export interface CloseRequest {
  readonly drivePath: string | null;
  readonly verify: VerifyMode;
  /** Take whatever drive is there as blank and rebuild it from the frozen survivors. */
  readonly rebuild: boolean;
  /** It was compared and differed, and with another drive out nothing tells any more: take it all the same. */
  readonly force?: boolean;
}

export interface ReplaceLegRequest {
  /** Number, path or uuid. */
  readonly leg: string;
  readonly path: string;
  /** A missing image is made of this size; null: it has to be there. */
  readonly sizeBytes: number | null;
  readonly force: boolean;
}

export interface AddLogRequest {
  readonly paths: readonly string[];
  readonly sizeBytes: number | null;
  readonly force: boolean;
}

/** A running volume. Every method answers with a value; none rejects. */
export interface RunningVolume extends BlockDevice {
  readonly uuid: string;
  status(): VolumeStatus;
  /** Paths of members and legs as last seen, for the server's list of known volumes. */
  paths(): { drives: string[]; logs: string[] };
  stop(): Promise<Outcome<void>>;
  destroy(): Promise<Outcome<void>>;
  /** `verify`: how much of a drive that its volume went on without in a window is compared; a sample when left out. */
  addDrive(
    path: string,
    spare: boolean,
    force: boolean,
    verify?: VerifyMode,
  ): Promise<Outcome<void>>;
  failDrive(drive: string): Promise<Outcome<void>>;
  removeDrive(drive: string): Promise<Outcome<void>>;
  replaceDrive(drive: string, path: string, force: boolean): Promise<Outcome<void>>;
  planWindow(request: WindowRequest): Promise<Outcome<WindowPlan>>;
  openWindow(request: WindowRequest): Promise<Outcome<WindowReport>>;
  /** Resolves when the drive is back and verified and replay has begun; replay goes on in the background. */
  closeWindow(request: CloseRequest): Promise<Outcome<WindowReport>>;
  /** Returns the drive and closes; refused once the drive has changed. Nothing is lost: what was logged is replayed. */
  abortWindow(): Promise<Outcome<WindowReport>>;
  extendWindow(byMs: number): Promise<Outcome<WindowReport>>;
  windowReport(): Outcome<WindowReport>;
  startScrub(repair: boolean): Promise<Outcome<JobStatus>>;
  stopScrub(): Promise<Outcome<JobStatus>>;
  scrubStatus(): Outcome<JobStatus>;
  logReport(): Outcome<LogReport>;
  checkLog(): Promise<Outcome<LogCheck>>;
  /** Resolves when the new leg holds everything. */
  replaceLeg(request: ReplaceLegRequest): Promise<Outcome<void>>;
  addLog(request: AddLogRequest): Promise<Outcome<void>>;
}

export type CreateVolume = (
  environment: EngineEnvironment,
  request: CreateRequest,
) => Promise<Outcome<RunningVolume>>;
export type AssembleVolume = (
  environment: EngineEnvironment,
  request: AssembleRequest,
) => Promise<Outcome<RunningVolume>>;
// engine/create.ts exports `createVolume: CreateVolume`, engine/assemble.ts exports `assembleVolume: AssembleVolume`.
