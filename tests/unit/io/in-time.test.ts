/** A path that hangs when it is opened: the one who asked goes on, and no second thread is lost on it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../src/io/clock.ts';
import type { Drive } from '../../../src/io/drive.ts';
import { InTime } from '../../../src/io/in-time.ts';
import { type IoOutcome, opened } from '../../../src/io/io-outcome.ts';

/** Nothing but timers that the test lets run out. */
class Timers implements Clock {
  readonly waiting = new Set<() => void>();
  nowMs = (): number => 0;
  wallMs = (): number => 0;

  after(_delayMs: number, run: () => void): () => void {
    this.waiting.add(run);
    return () => this.waiting.delete(run);
  }

  runOut(): void {
    for (const run of [...this.waiting]) run();
  }
}

test('a drive that hangs when it is opened is refused in time, and not tried again until it answers', async () => {
  const timers = new Timers();
  let tries = 0;
  let closed = 0;
  let answer: (outcome: IoOutcome<Drive>) => void = () => {};
  const drive = { close: () => Promise.resolve(void (closed += 1)) } as unknown as Drive;
  const inTime = new InTime(timers);
  const open = (path: string) =>
    inTime.open(path, 8_000, () => {
      tries += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
  const first = open('/d');
  timers.runOut();
  const refusal = await first;
  assert.ok(!refusal.ok);
  assert.equal(refusal.problem.code, 'drive-open-failed');
  assert.match(String(refusal.problem.detail['reason']), /not answered for 8 s/);

  assert.ok(!(await open('/d')).ok, 'it still hangs');
  assert.equal(tries, 1);

  answer(opened(drive));
  await new Promise(setImmediate);
  assert.equal(closed, 1, 'nobody asks for it any more');

  const again = open('/d');
  answer(opened(drive));
  assert.ok((await again).ok);
  assert.equal(tries, 2);
  assert.equal(timers.waiting.size, 0, 'no timer is left');
});

test('a path that hangs is asked nothing else, by anybody; another path is', async () => {
  const timers = new Timers();
  const inTime = new InTime(timers);
  let answer: () => void = () => {};
  const hanging = inTime.ask(
    '/d',
    2_000,
    () => new Promise((resolve) => (answer = () => resolve('late'))),
    'no answer',
  );
  timers.runOut();
  assert.equal(await hanging, 'no answer');
  const asked: string[] = [];
  const ask = (path: string) => inTime.ask(path, 2_000, async () => asked.push(path), -1);
  assert.equal(await ask('/d'), -1);
  assert.equal(await ask('/e'), 1);
  assert.deepEqual(asked, ['/e']);
  answer();
  await new Promise(setImmediate);
  assert.equal(await ask('/d'), 2, 'it has answered');
});
