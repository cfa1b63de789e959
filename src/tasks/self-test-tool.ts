/**
 * Starts a self-test of a drive and follows it to its end.
 *
 *   self-test-tool.js nvme|scsi|ata DEVICE short|long EVERY_MS
 *
 * Exit status 0: the drive passed. 1: the drive is not well. 2: nobody knows, because the test could not be done. SIGTERM
 * aborts the test in the drive, too. Questions that stay without an answer are asked again; the limit of the step ends it.
 */

import { explain } from '../api/errors.ts';
import { systemContext } from './context.ts';
import type { Look } from './look.ts';
import { say } from './say.ts';
import { type SelfTestTransport, selfTestOf, type TestKind } from './self-test.ts';

const PASSED = 0;
const NOT_WELL = 1;
const NOT_DONE = 2;
/** In a row; a drive under test may be busy for a moment. */
const QUESTIONS_MAX = 10;

const [transport, path = '', kind, everyMs] = process.argv.slice(2);
const test = selfTestOf(transport as SelfTestTransport, path, systemContext());

let isAborted = false;
let wake = (): void => {};
process.once('SIGTERM', () => {
  isAborted = true;
  wake();
});
const pause = (): Promise<void> =>
  new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, Number(everyMs));
  });

async function follow(): Promise<number> {
  const started = await test.start(kind as TestKind);
  if (!started.ok) {
    say(explain(started.problem).message);
    return NOT_DONE;
  }
  let look: Look = started.value;
  let unanswered = 0;
  while (look.state === 'running') {
    if (look.share !== null) say(`${Math.floor(look.share * 100)} %`);
    if (!isAborted) await pause();
    if (isAborted) {
      await test.abort();
      say('the self-test was aborted');
      return NOT_DONE;
    }
    const next = await test.look();
    if (next.ok) {
      unanswered = 0;
      look = next.value;
    } else {
      unanswered += 1;
      if (unanswered === QUESTIONS_MAX) {
        say(explain(next.problem).message);
        return NOT_DONE;
      }
    }
  }
  if (look.state === 'passed') {
    say('the self-test completed without error');
    return PASSED;
  }
  say(look.note);
  return look.state === 'failed' ? NOT_WELL : NOT_DONE;
}

const status = await follow();
process.exit(status);
