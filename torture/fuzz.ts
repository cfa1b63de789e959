/**
 * The part of the torture run that is about NBD: bytes that no client should send, and clients that behave as none should
 * (faults N-1 to N-11).
 *
 *   inside    the real handshake and sessions on a volume in memory, millions of messages, every reply checked
 *   siege     a real server, both kinds of I/O: rough clients and a share of the same bytes beside verified good ones
 */

import type { Part, PartOptions, PartResult } from './evidence.ts';
import { fuzzInside } from './fuzz-inside.ts';
import { besiege } from './fuzz-siege.ts';
import type { Io } from './fuzz-yard.ts';
import { Tally } from './tally.ts';

/** Of the part's time; a siege takes what it takes, about a minute and a half. */
const INSIDE_SHARE = 0.6;
const FULL = { idle: 1024, resets: 500, deaths: 10, fuzzConnections: 400 };

export const fuzzPart: Part = { name: 'nbd', weight: 2, run: runFuzz };

async function runFuzz(options: PartOptions): Promise<PartResult> {
  const { seconds, seed, directory, say } = options;
  const tally = new Tally();
  const startedMs = performance.now();
  const inside = await fuzzInside({
    seed,
    messages: Number.POSITIVE_INFINITY,
    seconds: seconds * INSIDE_SHARE,
    directory,
  });
  say(`${inside.messages} NBD messages in ${inside.connections} connections, seed ${seed}`);
  tally.count('NBD messages fuzzed', inside.messages);
  tally.count('NBD connections fuzzed', inside.connections);
  for (const failure of inside.failures) tally.fail(failure);
  for (const [key, count] of inside.hits) {
    const [fault = '', state = ''] = key.split('\n');
    tally.hit(fault, state, count);
  }
  const io: readonly Io[] = seed % 2 === 0 ? ['uring', 'node'] : ['node', 'uring'];
  for (const kind of io) {
    // The second siege only when there is time left for it.
    if (kind === io[1] && performance.now() - startedMs > seconds * 1000) break;
    await besiege({ ...FULL, io: kind, seed, directory, seconds: seconds * 0.1, say }, tally);
  }
  return tally.result(fuzzPart.name);
}
