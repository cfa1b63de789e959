/** Two volumes on partitions of the same disks. The story says the rest. */

import { testStory } from './lab.ts';
import { partitions } from './stories/partitions.ts';

testStory(partitions);
