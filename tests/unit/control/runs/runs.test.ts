/** Runs over the real engine on drives in memory: each purpose from the plan to the end, and what is met on the way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from './machine.ts';

test('firmware: plan, open, stage, activate, identify, verify, return, replay, close', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const gate = machine.tools.gate('activate');
  const { id } = await machine.run('tank', '1');
  await gate.arrived;
  await machine.writeSome('tank', 20);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.deepEqual(
    run.steps.map(({ step, result }) => `${step} ${result}`),
    [
      'plan done',
      'open done',
      'stage done',
      'activate done',
      'identify done',
      'verify done',
      'return done',
      'replay done',
      'close done',
    ],
  );
  assert.match(run.sentence, /from firmware A1 to B2/);
  assert.equal(run.before?.firmware, 'A1');
  assert.equal(run.after?.firmware, 'B2');
  assert.ok(run.loggedBytes > 0 && run.replayedBytes > 0);
  assert.deepEqual(machine.tools.log, [`stage ${drives[1]}`, `activate ${drives[1]}`]);
  assert.equal((await machine.status('tank')).state, 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
  const kinds = machine.kinds('tank');
  for (const kind of ['run-started', 'run-step', 'run-ended'])
    assert.ok(kinds.includes(kind), kind);
});
