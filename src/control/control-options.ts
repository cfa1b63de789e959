/** What the control plane needs of the process around it: the composition root (daemon/) fills it in, tests fake it. */

import type { ServerReply } from '../api/schema.ts';
import type { EventLog } from './event-log.ts';
import type { KnownVolumes } from './known-volumes.ts';
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
  readonly timing?: Partial<Timing>;
}
