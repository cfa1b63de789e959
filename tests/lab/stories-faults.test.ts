/** Second failures while a real disk is away: another one is pulled, sectors of another one go bad. */

import { testStories } from './lab.ts';

testStories('faults');
