/** Bad sectors as the second fault. The story says the rest. */

import { testStory } from './lab.ts';
import { badSectors } from './stories/bad-sectors.ts';

testStory(badSectors);
