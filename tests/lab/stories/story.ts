/** What a story of the lab is; each is in a file of its own, and catalogue.ts lists them. */

import type { Program } from '../programs.ts';
import type { Stage } from './stage.ts';

/** A file each, so that both processors have some of it, and none comes near the limit of a file on a busy machine. */
export type Suite = 'firmware' | 'tasks' | 'faults' | 'returns';

export interface Story {
  readonly name: string;
  /** One sentence. */
  readonly title: string;
  /** Beside those of every story (`alwaysNeeded`). */
  readonly needs: readonly Program[];
  /** The file of the everyday test run that it is in; null: it is told by `npm run lab` only. */
  readonly suite: Suite | null;
  tell(stage: Stage): Promise<void>;
}

export const alwaysNeeded: readonly Program[] = [
  'linux.uml',
  'modprobe',
  'nbd-client',
  'mkfs.ext4',
  'mdadm',
  'sg_write_buffer',
];
