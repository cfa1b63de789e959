/**
 * The everyday share of the fuzzer: a million messages to the real handshake and sessions, every reply checked; all that
 * ever failed, again; and the oracle itself, which must notice what is wrong. LOCUM_SEED and LOCUM_FUZZ_MESSAGES repeat or
 * lengthen a run.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { readCorpus } from '../../torture/fuzz-corpus.ts';
import { faults } from '../../torture/fuzz-hits.ts';
import { fuzzInside, keyOf } from '../../torture/fuzz-inside.ts';
import { planRound } from '../../torture/fuzz-plan.ts';
import { RoundRunner, type Tamper } from '../../torture/fuzz-round.ts';
import { shrinkRound } from '../../torture/fuzz-shrink.ts';
import { command, halves, option, WireWriter } from '../../torture/fuzz-wire.ts';

const corpus = resolve(import.meta.dirname, '../../../tests/torture-nbd/corpus');
const seed = Number(process.env['LOCUM_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const messages = Number(process.env['LOCUM_FUZZ_MESSAGES'] ?? 1_000_000);

for (const { file, title, plan } of readCorpus(corpus)) {
  test(`again: ${file}: ${title}`, async () => {
    assert.equal((await new RoundRunner().run(plan)).failure, null);
  });
}

test(`a million messages, every reply checked (seed ${seed})`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'locum-fuzz-'));
  const startedMs = performance.now();
  const result = await fuzzInside({ seed, messages, seconds: 400, directory });
  const seconds = (performance.now() - startedMs) / 1000;
  t.diagnostic(
    `${result.messages} messages in ${result.connections} connections, ` +
      `${Math.round(result.messages / seconds)} a second`,
  );
  assert.deepEqual(result.failures, [], `kept in ${directory}`);
  await rm(directory, { recursive: true });
  assert.ok(result.messages > 0);
  const { halfSent, vanished, deaf, huge, range, magic, cookies } = faults;
  for (const fault of [halfSent, vanished, deaf, huge, range, magic, cookies]) {
    assert.ok((result.hits.get(keyOf([fault, 'transmission'])) ?? 0) > 0, fault);
  }
});

/** What a server could do wrong, done to its output. */
const tampers: Readonly<Record<string, Tamper>> = {
  'a reply that is missing': (output) => output.slice(0, -16),
  'a reply that comes twice': (output) => Buffer.concat([output, output.subarray(-16)]),
  'a byte behind the last reply': (output) => Buffer.concat([output, Buffer.from([0])]),
  'another cookie': (output) => changed(output, output.length - 1, 1),
  'another error': (output) => changed(output, output.length - 9, 1),
  'another magic': (output) => changed(output, output.length - 16, 0x80),
};

/** One connection that ends in good order, its last reply a simple one. */
const calm = (number: number) => {
  const plan = planRound(77, number);
  const connections = plan.connections
    .filter(({ ending, troublePerMille }) => ending === 'end' && troublePerMille === 0)
    .slice(0, 1);
  return { ...plan, twoExports: false, shutdownTurn: -1, connections };
};

for (const [what, tamper] of Object.entries(tampers)) {
  test(`the oracle notices ${what}`, async () => {
    const runner = new RoundRunner();
    let tried = 0;
    for (let number = 0; number < 60; number++) {
      const plan = calm(number);
      let last = new Uint8Array(0);
      const { failure, orderly } = await runner.run(plan, (output) => (last = output.slice()));
      assert.equal(failure, null);
      if (orderly === 0) continue;
      const simple = last.length >= 16 && Buffer.from(last).readUInt32BE(last.length - 16);
      if (simple !== 0x67446698) continue;
      tried += 1;
      assert.notEqual((await runner.run(plan, tamper)).failure, null, `round ${number}`);
    }
    assert.ok(tried > 5, `only ${tried} rounds end with a simple reply`);
  });
}

test('the oracle notices every changed byte of data', async () => {
  const out = new WireWriter();
  const name = new WireWriter().text('v1').take();
  out.u32(3).option(option.exportName, name);
  for (let index = 0; index < 20; index++) {
    out.request(command.read, 0, [9, index], halves(index * 512), 100 + index);
  }
  const [first] = planRound(1, 1).connections;
  const connection = { ...first!, wire: out.take(), ending: 'end', troublePerMille: 0 } as const;
  const connections = [{ ...connection, sizeBytes: 65_536 }];
  const plan = { ...planRound(1, 1), twoExports: false, shutdownTurn: -1, connections };
  const runner = new RoundRunner();
  let length = 0;
  const { failure } = await runner.run(plan, (output) => {
    length = output.length;
    return output;
  });
  assert.equal(failure, null);
  assert.ok(length > 20 * 110);
  for (let at = 0; at < length; at += 7) {
    const spoilt = await runner.run(plan, (output) => changed(output, at, 0x10));
    assert.notEqual(spoilt.failure, null, `byte ${at} of ${length}`);
  }
});

test('a failing round is made small enough to read', async () => {
  const plan = planRound(5, 2);
  // As if a server died of four bytes, wherever they stand.
  const marked = { ...plan.connections[0]!, wire: Buffer.concat([plan.connections[0]!.wire]) };
  marked.wire.set([0xde, 0xad, 0xbe, 0xef], Math.floor(marked.wire.length / 3));
  const failing = { ...plan, connections: [marked, ...plan.connections] };
  const small = await shrinkRound(
    failing,
    (it) =>
      Promise.resolve(
        it.connections.some(({ wire }) =>
          Buffer.from(wire).includes(Buffer.from('deadbeef', 'hex')),
        ),
      ),
    { runs: 5000, seconds: 30 },
  );
  assert.deepEqual(
    small.connections.map(({ wire }) => Buffer.from(wire).toString('hex')),
    ['deadbeef'],
  );
});

const changed = (bytes: Uint8Array, at: number, bits: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ bits;
  return copy;
};
