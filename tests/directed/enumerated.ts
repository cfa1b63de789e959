/** All that is enumerated, with how many cases of each the everyday run takes. */

import type { Enumeration } from './enumeration.ts';
import { logAndDegraded } from './l04-log-and-degraded.ts';
import { writeHole } from './l05-write-hole.ts';
import { failReadd } from './l06-fail-readd.ts';
import { damagedRecord } from './l07-damaged-record.ts';
import { rollback } from './l08-rollback.ts';
import { secondFailure } from './l09-second-failure.ts';
import { flushError } from './l10-flush-error.ts';

const each = (all: readonly Enumeration[], sampled: number) =>
  all.map((enumeration) => ({ enumeration, sampled }));

export const enumerated: readonly { enumeration: Enumeration; sampled: number }[] = [
  ...each(logAndDegraded, 8),
  ...each(writeHole, 3),
  ...each([failReadd], 12),
  ...each(damagedRecord, 8),
  ...each(rollback, 6),
  ...each(secondFailure, 8),
  ...each(flushError, 6),
];
