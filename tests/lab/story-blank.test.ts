/** Erased and new disks. The story says the rest. */

import { testStory } from './lab.ts';
import { blank } from './stories/blank.ts';

testStory(blank);
