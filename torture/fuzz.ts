/**
 * The part of the torture run that is about NBD: bytes that no client should send, and clients that behave as none should
 * (faults N-1 to N-11).
 *
 *   inside    the real handshake and sessions on a volume in memory, millions of messages, every reply checked
 */

import type { Coverage, Part, PartOptions, PartResult } from './evidence.ts';
import { fuzzInside } from './fuzz-inside.ts';

/** Of the part's time: what is left over goes to the real server. */
const INSIDE_SHARE = 0.7;

export const fuzzPart: Part = { name: 'nbd', weight: 2, run: runFuzz };

async function runFuzz(options: PartOptions): Promise<PartResult> {
  const { seconds, seed, directory, say } = options;
  const inside = await fuzzInside({
    seed,
    messages: Number.POSITIVE_INFINITY,
    seconds: seconds * INSIDE_SHARE,
    directory,
  });
  say(`${inside.messages} NBD messages in ${inside.connections} connections, seed ${seed}`);
  return {
    part: fuzzPart.name,
    counts: {
      'NBD messages fuzzed': inside.messages,
      'NBD connections fuzzed': inside.connections,
    },
    coverage: coverageOf(inside.hits),
    failures: inside.failures,
    notCovered: [],
  };
}

export function coverageOf(hits: ReadonlyMap<string, number>): Coverage {
  const coverage: Record<string, Record<string, number>> = {};
  for (const [key, count] of hits) {
    const [fault = '', state = ''] = key.split('\n');
    const states = (coverage[fault] ??= {});
    states[state] = (states[state] ?? 0) + count;
  }
  return coverage;
}
