/** What goes wrong meanwhile, on real disks: one is pulled, sectors go bad, another one comes back. */

import { testStories } from './lab.ts';

testStories('faults');
