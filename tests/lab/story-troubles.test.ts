/** Flashing that goes wrong. The story says the rest. */

import { testStory } from './lab.ts';
import { troubles } from './stories/troubles.ts';

testStory(troubles);
