/** What the control plane needs of the process around it: the composition root (daemon/) fills it in, tests fake it. */

import type { ServerReply } from '../api/schema.ts';
import type { EventLog } from './event-log.ts';
import type { KnownVolumes } from './known-volumes.ts';
import type { RolloutStore } from './rollouts/rollout-store.ts';
import type { RunStore } from './runs/run-store.ts';
import type { RunTiming, RunTools } from './runs/run-tools.ts';
import type { Timing, VolumeThread } from './volume-handle.ts';
import type { WindowHistory } from './window-history.ts';

export interface ControlOptions {
  readonly server: () => Omit<ServerReply, 'apiVersion'>;
  readonly known: KnownVolumes;
  readonly events: EventLog;
  readonly history: WindowHistory;
  readonly startThread: (name: string) => VolumeThread;
  /** The connection ended; the volume's thread does not hold it any more. */
  readonly onDisconnected: (id: number, reason: string) => void;
  /** A volume's thread has crashed: whoever holds its connections cuts them. */
  readonly onVolumeLost: (name: string) => void;
  /** Something that no reply can carry: volumes.json could not be written. */
  readonly onTrouble: (reason: string) => void;
  readonly wallMs: () => number;
  /** How often a list of volumes that could not be written is tried again; for tests. */
  readonly saveRetryMs?: number;
  readonly timing?: Partial<Timing>;
  readonly runs: RunStore;
  readonly rollouts: RolloutStore;
  readonly tools: RunTools;
  readonly runTiming?: Partial<RunTiming>;
  /** Where groups of volumes that froze together are kept; null where nothing outlives the process. */
  readonly windowGroupsFile: string | null;
  /** A fault of ours in what runs by itself. */
  readonly onFault: (error: unknown) => void;
}
