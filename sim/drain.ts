/**
 * Empties the queue of microtasks on the spot. JavaScript has no word for that; node's own loop does it between two
 * callbacks with a function that it keeps on `process` for its prompt. Whether it works here is tried out before each run
 * of a world and not believed; where it does not, a turn of node's loop for every event does the same, more slowly.
 */

const runsTicks = (): (() => void) | null => {
  const tick: unknown = Reflect.get(process, '_tickCallback');
  return typeof tick === 'function' ? () => Reflect.apply(tick, process, []) : null;
};

const nothingToDo = (): void => {};

/** What drains, or null. Only from a turn of node's loop: the continuation of a promise cannot drain its own queue. */
export function drainHere(): (() => void) | null {
  const drain = runsTicks();
  if (drain === null) return null;
  let steps = 0;
  const step = (): void => {
    steps++;
  };
  void Promise.resolve().then(step).then(step).then(nothingToDo);
  drain();
  return steps === 2 ? drain : null;
}
