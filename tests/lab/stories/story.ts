/** What a story of the lab is; each is in a file of its own, and catalogue.ts lists them. */

import type { Program } from '../programs.ts';
import type { Stage } from './stage.ts';

export interface Story {
  readonly name: string;
  /** One sentence. */
  readonly title: string;
  /** Beside those of every story (`alwaysNeeded`). */
  readonly needs: readonly Program[];
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
