/**
 * Which part runs next, and for how long: each gets its share of the time by weight, in slices short enough that it meets
 * many seeds. Decides only; the clock and the processes are main.ts's.
 */

export interface Schedulable {
  readonly name: string;
  readonly weight: number;
  readonly leastSeconds?: number;
}

export interface Turn {
  readonly part: string;
  readonly seconds: number;
}

/** Seeds that each part meets at least when the run is long enough. */
const slicesWanted = 8;
const sliceLeastSeconds = 20;
const sliceMostSeconds = 300;

/**
 * `spent`: seconds so far by part, those that run now counted in full. `leftSeconds`: until the run ends. Null: nothing is
 * worth beginning any more.
 */
export function nextTurn(
  parts: readonly Schedulable[],
  spent: ReadonlyMap<string, number>,
  totalSeconds: number,
  leftSeconds: number,
): Turn | null {
  const weights = parts.reduce((sum, { weight }) => sum + weight, 0);
  const due = parts
    .map((part) => ({ part, used: (spent.get(part.name) ?? 0) / part.weight }))
    .sort((a, b) => a.used - b.used);
  for (const { part } of due) {
    const share = (totalSeconds * part.weight) / weights;
    const wanted = Math.min(sliceMostSeconds, Math.max(sliceLeastSeconds, share / slicesWanted));
    const least = part.leastSeconds ?? 0;
    const seconds = Math.min(leftSeconds, Math.max(wanted, least));
    // One that has not run at all is begun with whatever is left.
    const isFirst = (spent.get(part.name) ?? 0) === 0;
    if (seconds >= Math.min(5, totalSeconds / 4) && (seconds >= least || isFirst)) {
      return { part: part.name, seconds: Math.round(seconds) };
    }
  }
  return null;
}
