/** All stories of the lab, in the order in which they are told. */

import { flash } from './flash.ts';
import { pulled } from './pulled.ts';
import type { Story } from './story.ts';

export const stories: readonly Story[] = [flash, pulled];
