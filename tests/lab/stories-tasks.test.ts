/** Drive tasks on real disks under a file system at work: examined, exchanged, shared by two volumes. */

import { testStories } from './lab.ts';

testStories('tasks');
