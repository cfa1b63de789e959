/**
 * The fuzzer over real sockets: the same bytes as inside (fuzz-plan.ts) to a real server, whose device nobody sees. What is
 * left of the oracle still holds it to its replies: each well formed, each request answered once, refusals as specified,
 * and the connection ended where it must be.
 */

import { connect } from 'node:net';
import { Book } from './fuzz-book.ts';
import { checkHandshake, expectHandshake, type FuzzExport } from './fuzz-handshake-model.ts';
import { type ConnectionPlan, planRound } from './fuzz-plan.ts';
import { checkReplies } from './fuzz-replies.ts';
import { hexDump } from './fuzz-wire.ts';
import { fuzzedVolume, volume, type Yard } from './fuzz-yard.ts';

const POOL_BYTES = 256 * 2 ** 20;
/** A connection that has not ended by then is a finding; the handshake's limit is 10 s. */
const END_MS = 60_000;
const GREETING_BYTES = 18;

export interface OutsideResult {
  readonly messages: number;
  readonly connections: number;
  readonly failures: readonly string[];
}

export async function fuzzOutside(
  yard: Yard,
  options: { readonly seed: number; readonly connections: number; readonly seconds: number },
): Promise<OutsideResult> {
  const untilMs = performance.now() + options.seconds * 1000;
  const sizeBytes = await sizeOf(yard);
  const exports = [volume, fuzzedVolume].map((name) => ({ name, description: '', sizeBytes }));
  const failures: string[] = [];
  let messages = 0;
  let connections = 0;
  for (let round = 0; connections < options.connections && performance.now() < untilMs; round++) {
    const { connections: plans } = planRound(options.seed, round);
    connections += plans.length;
    const results = await Promise.all(plans.map((plan, at) => one(yard, exports, plan, at)));
    for (const [at, result] of results.entries()) {
      messages += result.messages;
      if (result.failure === null) continue;
      const dump = hexDump((plans[at]?.wire ?? new Uint8Array(0)).subarray(0, 512));
      failures.push(
        `--io ${yard.io}, seed ${options.seed} round ${round} connection ${at}: ` +
          `${result.failure}\n${dump}`,
      );
    }
    if (failures.length > 3) break;
  }
  return { messages, connections, failures };
}

async function sizeOf(yard: Yard): Promise<number> {
  const client = await yard.locum.connect(fuzzedVolume);
  await client.close();
  return client.sizeBytes;
}

async function one(
  yard: Yard,
  exports: readonly FuzzExport[],
  plan: ConnectionPlan,
  at: number,
): Promise<{ messages: number; failure: string | null }> {
  const expected = expectHandshake(plan.wire, exports);
  const { structured, allocation, aligned } = expected;
  const sizeBytes = expected.export?.sizeBytes ?? 0;
  const terms = { structured, allocation, aligned, sizeBytes, poolBytes: POOL_BYTES, blind: true };
  const startAt = expected.end === 'transmission' ? expected.usedBytes : Number.POSITIVE_INFINITY;
  const book = new Book(plan.wire, startAt, terms);
  book.delivered(plan.wire.length);
  const messages = expected.optionCount + book.requests.length;
  const vanishes = plan.ending === 'vanish';
  const spoken = await talk(yard, plan, at, vanishes);
  if (spoken === null) return { messages, failure: 'the connection was not ended' };
  const { output, broken } = spoken;
  const mustDrop = expected.end === 'dropped' || book.end === 'violation';
  const cut = vanishes || broken || mustDrop;
  const checked = checkHandshake(expected, output.subarray(GREETING_BYTES), cut, true);
  if (checked.problem !== null) return { messages, failure: checked.problem };
  if (expected.end !== 'transmission') return { messages, failure: null };
  const replies = output.subarray(GREETING_BYTES);
  return { messages, failure: checkReplies(book, replies, checked.usedBytes, { orderly: !cut }) };
}

/** Sends all of it, takes what comes; null when the server does not end it. */
function talk(
  yard: Yard,
  plan: ConnectionPlan,
  at: number,
  vanishes: boolean,
): Promise<{ output: Uint8Array; broken: boolean } | null> {
  return new Promise((resolve) => {
    const { port, locum } = yard;
    const socket = at % 2 === 0 ? connect(locum.nbdPath) : connect({ host: '127.0.0.1', port });
    const parts: Buffer[] = [];
    let broken = false;
    const impatient = setTimeout(() => {
      socket.destroy();
      resolve(null);
    }, END_MS);
    socket.on('error', () => (broken = true));
    socket.on('data', (part) => parts.push(part));
    socket.on('close', () => {
      clearTimeout(impatient);
      resolve({ output: Buffer.concat(parts), broken });
    });
    if (vanishes) socket.write(plan.wire.subarray(0, plan.sentBytes), () => socket.destroy());
    else socket.end(plan.wire);
  });
}
