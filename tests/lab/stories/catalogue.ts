/** All stories of the lab, in the order in which they are told. */

import { badSectors } from './bad-sectors.ts';
import { blank } from './blank.ts';
import { diagnosis } from './diagnosis.ts';
import { flash } from './flash.ts';
import { largeBlocks } from './large-blocks.ts';
import { partitions } from './partitions.ts';
import { pulled } from './pulled.ts';
import type { Story } from './story.ts';
import { strangeReturns } from './strange-returns.ts';
import { troubles } from './troubles.ts';

export const stories: readonly Story[] = [
  flash,
  pulled,
  diagnosis,
  partitions,
  badSectors,
  blank,
  strangeReturns,
  troubles,
  largeBlocks,
];
