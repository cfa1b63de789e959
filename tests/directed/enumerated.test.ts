/** The accidents that are enumerated, a share of each (enumeration.ts says how to run all of them, or one). */

import { testEnumeration } from './enumeration.ts';
import { logAndDegraded } from './l04-log-and-degraded.ts';
import { writeHole } from './l05-write-hole.ts';
import { failReadd } from './l06-fail-readd.ts';
import { damagedRecord } from './l07-damaged-record.ts';
import { rollback } from './l08-rollback.ts';
import { secondFailure } from './l09-second-failure.ts';
import { flushError } from './l10-flush-error.ts';

for (const enumeration of logAndDegraded) testEnumeration(enumeration, 16);
for (const enumeration of writeHole) testEnumeration(enumeration, 10);
for (const enumeration of secondFailure) testEnumeration(enumeration, 20);
for (const enumeration of flushError) testEnumeration(enumeration, 16);
testEnumeration(failReadd, 24);
for (const enumeration of damagedRecord) testEnumeration(enumeration, 16);
for (const enumeration of rollback) testEnumeration(enumeration, 20);
