/** Real disks that come back late, changed or not at all, and tools that hang, flood and fail. */

import { testStories } from './lab.ts';

testStories('returns');
