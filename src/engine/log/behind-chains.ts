/**
 * Segments of the stripe log that no chain leads to. A damaged header looks like the end of its chain, and a damaged start
 * like a half that was never used: what lies behind it says that it is neither.
 *
 * A torn tail is never taken for that. The writer flushes each segment on every leg that is online before it begins the next
 * one, so a power cut tears the last one only: where a later one is whole in its header, all before it were durable. What is
 * older than the chains, or released, is what a pass of before has left.
 *
 *   half   │ 21 │ 22 │ ?? │ 24 │ 25 │ 8 │ 9 │      25 says that 24 was committed: 23 is lost, 24 and 25 are redone
 *          │ 21 │ 22 │ ?? │ 6 │ 7 │ 8 │ 9 │        nothing newer than 22: torn, and never answered
 *
 * That of a last segment is all that cannot be told: its header damaged, or torn.
 */

import { HEADER_BLOCKS_MAX } from '../../core/format/segment.ts';
import { stripePayloadMax } from './log-areas.ts';
import type { ChainEnd, FoundSegment } from './recover-stripes.ts';
import type { SegmentCursor } from './segment-cursor.ts';

/** Blocks of the area, from and to. */
type Place = readonly [number, number];

/**
 * Where segments may lie that are newer than all that the chains lead to, the newest of which is `newest`:
 *
 *   behind the end of the newest chain, unless all was released in it: what comes then begins at the start of a half
 *   in a half without a start, where the writer would have overwritten it first
 *
 * Not in a second half that was never used: not while the first one has room for the largest segment, nor when its newest
 * one is the last that was released.
 */
function placesOfNewer(
  ends: readonly ChainEnd[],
  halfBlocks: number,
  newest: number,
  releasedInHeader: number,
): Place[] {
  const last = ends.find(({ lastSequence }) => lastSequence > 0 && lastSequence === newest);
  const isOpen = newest > releasedInHeader;
  const isRoomy =
    isOpen && (last?.roomBlocks ?? 0) >= stripePayloadMax(halfBlocks) + HEADER_BLOCKS_MAX;
  const isFirstLast = last?.startBlocks === 0 && (isRoomy || newest === releasedInHeader);
  return ends
    .filter(({ startBlocks, lastSequence, isKnown }) => {
      if (lastSequence > 0) return isOpen && lastSequence === newest;
      return startBlocks === 0 || !isKnown || !(last === undefined || isFirstLast);
    })
    .map(({ startBlocks, endBlocks }) => [endBlocks, startBlocks + halfBlocks]);
}

/** Does some leg have a segment above this where only a damaged header would hide it? */
export async function hasNewer(
  cursors: readonly SegmentCursor[],
  ends: readonly ChainEnd[],
  halfBlocks: number,
  newest: number,
  released: { readonly inHeader: number; readonly through: number },
): Promise<boolean> {
  const above = Math.max(newest, released.through);
  const places = placesOfNewer(ends, halfBlocks, newest, released.inHeader);
  const asked = cursors.filter(({ isSetAside }) => !isSetAside);
  const has = await Promise.all(asked.map((cursor) => holdsAbove(cursor, places, above)));
  return has.includes(true);
}

async function holdsAbove(
  cursor: SegmentCursor,
  places: readonly Place[],
  above: number,
): Promise<boolean> {
  for (const [from, to] of places)
    for await (const { sequence } of cursor.search(from, to)) if (sequence > above) return true;
  return false;
}

/** Adds what is not released in the whole area, wherever it lies. Only after damage: it reads all of it. */
export async function addUnlinked(
  cursors: readonly SegmentCursor[],
  areaBlocks: number,
  releasedThrough: number,
  found: Map<number, FoundSegment>,
): Promise<void> {
  const linked = new Set(found.keys());
  for (const cursor of cursors) {
    for await (const segment of cursor.search(0, areaBlocks)) {
      const { sequence, headerCrc } = segment;
      if (sequence <= releasedThrough || linked.has(sequence)) continue;
      const known = found.get(sequence);
      if (known === undefined)
        found.set(sequence, { segment, present: [cursor.leg], unasked: [], isMissedBySome: false });
      else if (known.segment.headerCrc === headerCrc)
        found.set(sequence, { ...known, present: [...known.present, cursor.leg] });
    }
  }
}
