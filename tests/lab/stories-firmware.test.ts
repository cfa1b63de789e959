/** All disks of a volume are flashed by one command, under a file system at work. */

import { testStories } from './lab.ts';

testStories('firmware');
