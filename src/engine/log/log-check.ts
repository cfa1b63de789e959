/**
 * Reads every segment of the window on every leg and verifies it; repairs nothing. Runs beside
 * appends, up to the position that was acknowledged when it began.
 */

import { BLOCK_BYTES } from '../../base/units.ts';
import type { Segment } from '../../core/format/segment.ts';
import type { LogCheck } from '../../core/status.ts';
import type { Leg, Legs, LogEnvironment } from './legs.ts';
import { EMPTY_LOG, type LogPosition } from './log-position.ts';
import { continuesChain, truthOf } from './recover-records.ts';
import { verifyPayload } from './segment-copy.ts';
import { type SegmentArea, SegmentCursor } from './segment-cursor.ts';

interface Tally {
  path: string;
  damagedRecords: number;
  missingRecords: number;
}

export async function checkLog(
  environment: LogEnvironment,
  legs: Legs,
  area: SegmentArea,
  end: LogPosition,
): Promise<LogCheck> {
  const online = legs.online();
  const cursors: SegmentCursor[] = [];
  for (const leg of online) cursors.push(await SegmentCursor.open(environment, legs, leg, area));
  const tallies = online.map((leg): Tally => {
    return { path: leg.drive?.path ?? '', damagedRecords: 0, missingRecords: 0 };
  });
  let damagedOnAllLegs = 0;
  let records = 0;
  let last: LogPosition = EMPTY_LOG;
  while (last.endBlocks < end.endBlocks) {
    const position = last.endBlocks;
    const found = await Promise.all(cursors.map((cursor) => cursor.at(position)));
    const here = found.map(({ segment }) =>
      segment && continuesChain(last, segment) ? segment : null,
    );
    const segment = truthOf(here);
    if (segment === null || segment === 'conflict') {
      // Nothing says where the next one begins: all that is left is missing everywhere.
      const rest = end.records - records;
      for (const tally of tallies) tally.missingRecords += rest;
      damagedOnAllLegs += rest;
      break;
    }
    const bad: ReadonlySet<number>[] = [];
    for (const [i, leg] of online.entries()) {
      const records =
        here[i]?.headerCrc !== segment.headerCrc
          ? null
          : await badRecords(environment, legs, leg, area, segment);
      const tally = tallies[i]!;
      if (records === null) tally.missingRecords += segment.records.length;
      else tally.damagedRecords += records.size;
      bad.push(records ?? new Set(segment.records.keys()));
    }
    for (const index of segment.records.keys()) {
      if (bad.every((each) => each.has(index))) damagedOnAllLegs++;
    }
    records += segment.records.length;
    const { sequence, headerCrc, run, totalBlocks } = segment;
    last = { ...last, sequence, headerCrc, run, endBlocks: position + totalBlocks };
  }
  for (const cursor of cursors) cursor.close();
  return {
    records: end.records,
    bytes: end.endBlocks * BLOCK_BYTES,
    legs: tallies,
    damagedOnAllLegs,
  };
}

/** Indexes of the records that have a bad block on this leg. */
async function badRecords(
  environment: LogEnvironment,
  legs: Legs,
  leg: Leg,
  area: SegmentArea,
  segment: Segment,
): Promise<Set<number>> {
  const { bad } = await verifyPayload(environment, legs, leg, area, segment);
  const records = new Set<number>();
  for (const block of bad) {
    const index = segment.records.findIndex(
      ({ payloadBlock, payloadBlocks }) =>
        block >= payloadBlock && block < payloadBlock + payloadBlocks,
    );
    if (index >= 0) records.add(index);
  }
  return records;
}
