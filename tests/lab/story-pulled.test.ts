/** A second disk is pulled while one is flashed. The story says the rest. */

import { testStory } from './lab.ts';
import { pulled } from './stories/pulled.ts';

testStory(pulled);
