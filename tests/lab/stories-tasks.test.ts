/** Drive tasks on real disks: flashed, examined, exchanged, under a file system at work. */

import { testStories } from './lab.ts';

testStories('tasks');
