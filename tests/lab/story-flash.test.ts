/** All disks of a volume are flashed by one command. The story says the rest. */

import { testStory } from './lab.ts';
import { flash } from './stories/flash.ts';

testStory(flash);
