/**
 * How often each character of a script ran, over many processes: the merge of V8's block coverage.
 *
 * With NODE_V8_COVERAGE each process leaves a file. For each script it lists functions, and for each function ranges
 * with a count; the first range is the whole function, the others are blocks in it. Ranges nest, and the innermost one
 * that holds a character tells how often that character ran. A block that ran as often as what surrounds it is left
 * out, so two processes list different ranges for the same function, and nothing may be added range by range.
 * Instead each process becomes a step function over the offsets, and the step functions are added:
 *
 *   process 1     ├──────── 2 ─────────┤      process 2     ├──── 1 ────┤0├─ 1 ──┤       a block that never ran there
 *   sum           ├──── 3 ────┤2├─ 3 ──┤
 *
 * Offsets are UTF-16 units from the start of the script.
 */

export interface V8Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

export interface V8Function {
  readonly functionName: string;
  readonly ranges: readonly V8Range[];
}

export interface V8Script {
  readonly url: string;
  readonly functions: readonly V8Function[];
}

/** From `offset` up to the next step: this often. */
interface Step {
  readonly offset: number;
  count: number;
}

/** One process: the innermost range decides. */
function stepsOf(functions: readonly V8Function[]): Step[] {
  // Outer before inner. Of two alike (a class and the initialiser of its fields) the later one is the inner one, and
  // the sort is stable.
  const ranges = functions
    .flatMap(({ ranges }) => ranges)
    .sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  const steps: Step[] = [];
  const open: V8Range[] = [];
  const step = (offset: number, count: number): void => {
    const last = steps.at(-1);
    if (last?.offset === offset) last.count = count;
    else steps.push({ offset, count });
  };
  const closeUpTo = (offset: number): void => {
    for (let top = open.at(-1); top && top.endOffset <= offset; top = open.at(-1)) {
      open.pop();
      step(top.endOffset, open.at(-1)?.count ?? 0);
    }
  };
  for (const range of ranges) {
    closeUpTo(range.startOffset);
    step(range.startOffset, range.count);
    open.push(range);
  }
  closeUpTo(Number.POSITIVE_INFINITY);
  return steps;
}

export class Counts {
  #steps: readonly Step[] = [];
  /** By "start-end", how often it was called. */
  readonly #functions = new Map<string, V8Range>();

  /** Adds what one process did. */
  add(script: V8Script): void {
    this.#steps = sum(this.#steps, stepsOf(script.functions));
    for (const { ranges } of script.functions) {
      const whole = ranges[0];
      if (whole === undefined) continue;
      const key = `${whole.startOffset}-${whole.endOffset}`;
      const count = (this.#functions.get(key)?.count ?? 0) + whole.count;
      this.#functions.set(key, { ...whole, count });
    }
  }

  /** How often the character ran; 0 for what no process loaded. */
  at(offset: number): number {
    let low = 0;
    let high = this.#steps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#steps[middle] as Step).offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : (this.#steps[low - 1] as Step).count;
  }

  /** Each function of the script, the script itself left out. */
  functions(): V8Range[] {
    return [...this.#functions.values()].filter(({ startOffset }) => startOffset > 0);
  }
}

function sum(a: readonly Step[], b: readonly Step[]): Step[] {
  const total: Step[] = [];
  let [atA, atB, countA, countB] = [0, 0, 0, 0];
  while (atA < a.length || atB < b.length) {
    const offset = Math.min(a[atA]?.offset ?? Infinity, b[atB]?.offset ?? Infinity);
    if (a[atA]?.offset === offset) countA = (a[atA++] as Step).count;
    if (b[atB]?.offset === offset) countB = (b[atB++] as Step).count;
    total.push({ offset, count: countA + countB });
  }
  return total;
}
