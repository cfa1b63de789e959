/** What an administrator asks a rollout for, complete: the API has filled in what was left out. */

import type { TaskRequest } from '../../core/run-report.ts';
import type { RunWindow } from '../runs/run-service.ts';

export interface RolloutRequest {
  readonly volumes: readonly string[];
  /** Slot numbers, paths, or beginnings of uuids; empty: all drives of the volumes, spares too. */
  readonly drives: readonly string[];
  readonly task: TaskRequest & { readonly imagePath: string };
  readonly window: RunWindow;
  readonly canary: number;
  readonly soakMs: number;
  readonly stopOnError: boolean;
  readonly requestedBy: string;
}

export interface ResumeRequest {
  /** Drives that failed or came back unchanged are tried again. */
  readonly retry: boolean;
  /** Go on although a drive is gone since. */
  readonly allowDegraded: boolean;
}
