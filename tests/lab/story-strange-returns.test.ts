/** What may come back instead of the disk that left. The story says the rest. */

import { testStory } from './lab.ts';
import { strangeReturns } from './stories/strange-returns.ts';

testStory(strangeReturns);
