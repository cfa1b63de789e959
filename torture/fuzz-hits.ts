/** Which of the network faults a connection of the fuzzer has met: what the coverage table counts. */

import { type Book, EINVAL } from './fuzz-book.ts';
import type { Expectation } from './fuzz-handshake-model.ts';
import type { ConnectionPlan } from './fuzz-plan.ts';
import { command, payloadBytesMax } from './fuzz-wire.ts';

export type Hit = readonly [fault: string, state: 'handshake' | 'transmission'];

export const faults = {
  halfSent: 'N-1 half-sent request or payload',
  vanished: 'N-2 disconnect with writes in flight',
  deaf: 'N-3 client does not read replies',
  flood: 'N-4 connection flood',
  huge: 'N-5 huge length',
  range: 'N-6 offset overflow, beyond the end, zero length, unaligned',
  magic: 'N-7 bad magic, unknown command, reserved flags',
  cookies: 'N-8 cookie reuse, many outstanding',
  flush: 'N-9 flush on B for writes acknowledged on A',
  duplicate: 'N-10 late duplicate from a dead connection',
  reset: 'N-11 half-open and RST storms',
} as const;

export function hitsOf(
  expected: Expectation,
  book: Book,
  plan: ConnectionPlan,
  sentBytes: number,
  served: boolean,
): Hit[] {
  const hits: Hit[] = [];
  const add = (is: boolean, fault: string, state: Hit[1] = 'transmission'): void => {
    if (is) hits.push([fault, state]);
  };
  if (!served) {
    add(expected.end === 'open' && expected.usedBytes > 0, faults.halfSent, 'handshake');
    add(expected.tooLong, faults.huge, 'handshake');
    add(expected.end === 'dropped' && !expected.tooLong, faults.magic, 'handshake');
    add(
      expected.replies.some((reply) => 'errors' in reply),
      faults.magic,
      'handshake',
    );
    return hits;
  }
  const { requests } = book;
  const delivered = requests.slice(0, book.deliveredCount);
  const refused = delivered.filter(({ errors }) => errors.length > 0);
  const known = (type: number): boolean => type <= command.status;
  const stopped = plan.ending === 'silent' || book.end === 'half-sent';
  add(stopped && sentBytes > (delivered.at(-1)?.endAt ?? expected.usedBytes), faults.halfSent);
  const writes = delivered.some(
    ({ type, errors }) => type === command.write && errors.length === 0,
  );
  add(plan.ending === 'vanish' && writes, faults.vanished);
  add(plan.ending === 'deaf', faults.deaf);
  add(book.end === 'violation' || refused.some(({ type }) => !known(type)), faults.magic);
  add(
    delivered.some(({ lengthBytes }) => lengthBytes > payloadBytesMax),
    faults.huge,
  );
  add(
    refused.some(({ type, errors }) => known(type) && errors.some((each) => each !== EINVAL)) ||
      refused.some(({ lengthBytes, type }) => lengthBytes === 0 && known(type)),
    faults.range,
  );
  const shared = delivered.filter(({ cookieLow }) => cookieLow === 7);
  add(shared.length > 1 || delivered.length >= 1000, faults.cookies);
  return hits;
}
