/**
 * A plan: everything that will happen to a volume, spelled out, so that it can be made smaller step by step and kept as a
 * file. What a step cannot do at its moment (a window on a volume that has one, a fault that the promises do not cover) it
 * leaves undone; that is part of a plan's meaning, and the same each time.
 *
 * `waitUs` is the virtual time between the step before and this one. A step with `when` does not happen at its place but
 * waits from there on for its moment (ambush.ts), while the plan goes on. A path may be a role (roles.ts).
 */

import type { Purpose, VerifyMode } from '../src/core/status.ts';
import type { DriveFault } from './faults.ts';
import type { Stage } from './stages.ts';

export interface Config {
  readonly level: number;
  readonly members: number;
  readonly chunkBytes: number | null;
  readonly memberBytes: number;
  readonly legs: number;
  readonly legBytes: number;
  readonly blockBytes: number;
  /** How long drives take: nothing, always the same, up to this, or rarely very much longer. */
  readonly latency: 'none' | 'constant' | 'uniform' | 'heavy';
  readonly latencyUs: number;
  readonly limits: Readonly<Record<string, number>>;
}

/**
 * The log of a volume of a few stripes: it flushes, and writes checkpoints, after as many bytes as such a volume sees, and
 * a start looks only as far behind the end for later segments as they can lie.
 */
export const smallLog = {
  recordBytes: 64 * 1024,
  segmentBlocks: 16,
  selfSyncBytes: 128 * 1024,
  checkpointBytes: 256 * 1024,
} as const;

/** How a drive is when it is back; `blocks`: with the other size of blocks, `elsewhere`: written to by another server. */
export type Return =
  | 'same'
  | 'snapshot'
  | 'blank'
  | 'smaller'
  | 'larger'
  | 'cloned'
  | 'blocks'
  | 'elsewhere';
export type CrashFate = 'nothing' | 'everything' | 'chance';

export type Action =
  | { readonly do: 'write'; readonly lba: number; readonly sectors: number; readonly fua: boolean }
  | {
      readonly do: 'zero' | 'trim';
      readonly lba: number;
      readonly sectors: number;
      readonly fua: boolean;
    }
  | { readonly do: 'read'; readonly lba: number; readonly sectors: number }
  | { readonly do: 'flush' }
  | {
      readonly do: 'open-window';
      readonly slot: number;
      readonly purpose: Purpose;
      readonly maxMs: number;
      readonly onDoubleAbsence: 'wait' | 'error';
      readonly waitMs: number;
    }
  | { readonly do: 'close-window'; readonly verify: VerifyMode; readonly rebuild: boolean }
  | { readonly do: 'abort-window' }
  | { readonly do: 'extend-window'; readonly byMs: number }
  | { readonly do: 'fail' | 'remove'; readonly slot: number }
  /** By a new drive, or by one that is there. */
  | { readonly do: 'replace'; readonly slot: number; readonly with?: string }
  | { readonly do: 'add-spare' }
  | { readonly do: 'add-back'; readonly path: string }
  | { readonly do: 'replace-leg'; readonly leg: number }
  | { readonly do: 'scrub'; readonly repair: boolean }
  | { readonly do: 'check-log' }
  | { readonly do: 'restart' }
  /** After so many operations of drives from here on. */
  | { readonly do: 'kill'; readonly afterOperations: number; readonly downUs: number }
  | {
      readonly do: 'power-cut';
      readonly afterOperations: number;
      readonly downUs: number;
      readonly fate: CrashFate;
    }
  | { readonly do: 'fault'; readonly path: string; readonly fault: DriveFault; readonly harm: Harm }
  | {
      readonly do: 'rot';
      readonly path: string;
      readonly offset: number;
      readonly lengthBytes: number;
      readonly harm: Harm;
    }
  | { readonly do: 'vanish'; readonly path: string }
  | { readonly do: 'reappear'; readonly path: string; readonly as: Return }
  /** Without a path: of all that are members or legs. */
  | { readonly do: 'snapshot'; readonly path?: string }
  | { readonly do: 'hang'; readonly path: string }
  | { readonly do: 'slow'; readonly path: string; readonly factor: number }
  | { readonly do: 'read-only'; readonly path: string }
  | { readonly do: 'mend'; readonly path: string }
  /** Somebody sets the time of day; what the engine measures time by goes on as before. */
  | { readonly do: 'clock-jump'; readonly byMs: number }
  /** The process stands still: a long collection, a stopped virtual machine. Drives go on. */
  | { readonly do: 'stall'; readonly forMs: number }
  /** Everything comes to rest and is looked at. */
  | { readonly do: 'check' };

/**
 * What a fault may cost, for the budget: `nothing` (the engine must get over it alone), `member` (the drive may have to be
 * given up), `sector` (a block of it is gone), `silent` (wrong data that only checksums could find).
 */
export type Harm = 'nothing' | 'member' | 'sector' | 'silent';

/** So many operations of drives after the volume is in that stage, and while it still is. */
export interface When {
  readonly stage: Stage;
  readonly operations: number;
}

export type Step = { readonly waitUs: number; readonly when?: When } & Action;

export interface Plan {
  readonly seed: number;
  /** `covered`: only faults that the promises cover. `beyond`: any; then loss is allowed, wrong data is not. */
  readonly promise: 'covered' | 'beyond';
  readonly config: Config;
  readonly steps: readonly Step[];
}
