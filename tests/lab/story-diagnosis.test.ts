/** Self-test and read scan of a disk that is away. The story says the rest. */

import { testStory } from './lab.ts';
import { diagnosis } from './stories/diagnosis.ts';

testStory(diagnosis);
