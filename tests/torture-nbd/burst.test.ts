/** A burst of connections, more at once than a volume's thread takes calls: each of them is served. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Yard } from '../../torture/fuzz-yard.ts';
import type { NbdClient } from '../support/nbd-client.ts';

for (const io of ['uring', 'node'] as const) {
  test(`${io}: of five hundred connections at once none is turned away`, async (t) => {
    // A unix socket's path is short.
    const directory = await mkdtemp(join('/tmp', 'locum-'));
    t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
    const yard = await Yard.open(directory, io);
    t.after(() => yard.close());
    const connecting = Array.from({ length: 500 }, () => yard.connect());
    const clients = (await Promise.allSettled(connecting)).flatMap((each): NbdClient[] =>
      each.status === 'fulfilled' ? [each.value] : [],
    );
    const reads = await Promise.allSettled(clients.map((client) => client.read(0, 512)));
    for (const client of clients) client.destroy();
    assert.equal(reads.filter(({ status }) => status === 'fulfilled').length, 500);
  });
}
