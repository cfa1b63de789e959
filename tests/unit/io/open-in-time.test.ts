/** A path that hangs when it is opened: the one who asked goes on, and no second thread is lost on it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../src/io/clock.ts';
import type { Drive } from '../../../src/io/drive.ts';
import { type IoOutcome, opened } from '../../../src/io/io-outcome.ts';
import { openInTime } from '../../../src/io/open-in-time.ts';

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
  const open = openInTime(
    () => {
      tries += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
    timers,
    8_000,
  );
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
