/** The accidents that are enumerated, a share of each (enumeration.ts says how to run all of them, or one). */

import { enumerated } from './enumerated.ts';
import { testEnumeration } from './run-enumeration.ts';

for (const { enumeration, sampled } of enumerated) testEnumeration(enumeration, sampled);
