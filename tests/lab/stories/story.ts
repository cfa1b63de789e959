/** What a story of the lab is; each is in a file of its own, and catalogue.ts lists them. */

import type { Program } from '../programs.ts';
import type { Stage } from './stage.ts';

/** What goes by itself, and what goes wrong: two files, so that both processors have some of it. */
export type Suite = 'tasks' | 'faults';

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
