/** A real server besieged by rough clients, both kinds of I/O: the everyday share of what `npm run torture` does. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { faults } from '../../torture/fuzz-hits.ts';
import { besiege } from '../../torture/fuzz-siege.ts';
import { Tally } from '../../torture/tally.ts';

const seed = Number(process.env['LOCUM_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

for (const io of ['uring', 'node'] as const) {
  test(`${io}: rough clients cost good ones nothing (seed ${seed})`, async (t) => {
    // A unix socket's path is short.
    const directory = await mkdtemp(join('/tmp', 'locum-'));
    t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
    const tally = new Tally();
    const share = { idle: 1024, resets: 200, deaths: 4, fuzzConnections: 40, seconds: 30 };
    await besiege({ ...share, io, seed, directory, say: (line) => t.diagnostic(line) }, tally);
    assert.deepEqual(tally.failures, []);
    const { coverage } = tally.result('nbd');
    for (const fault of Object.values(faults)) assert.ok(coverage[fault] !== undefined, fault);
    assert.ok(tally.of('rough clients') > 1024);
    assert.ok(tally.of('operations of good clients') > 0);
  });
}
