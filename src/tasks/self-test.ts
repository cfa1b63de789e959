/**
 * Self-tests of drives: how each transport starts one, looks how far it is, and aborts it. Carried out by
 * self-test-tool.ts, a process of its own, because a long test takes hours and the server may be started again meanwhile.
 */

import { done, type Outcome, refuse } from '../core/problems.ts';
import { type Answer, ask, askWell } from './ask.ts';
import { parseSelfTestStatus } from './ata-format.ts';
import type { TaskContext, Tool } from './context.ts';
import type { Look } from './look.ts';
import { parseSelfTestLog } from './nvme-format.ts';
import { parseSelfTestPage } from './scsi-format.ts';

export type TestKind = 'short' | 'long';

export interface SelfTest {
  /** Refused: the drive does not begin. `passed` or `failed` where it tests while the command waits. */
  start(kind: TestKind): Promise<Outcome<Look>>;
  look(): Promise<Outcome<Look>>;
  abort(): Promise<void>;
}

export const selfTestTransports = ['nvme', 'scsi', 'ata'] as const;
export type SelfTestTransport = (typeof selfTestTransports)[number];

const RUNNING: Look = { state: 'running', share: null };

/** One answer that says nothing is no end of a test of hours: it is asked for again, as one that did not come. */
const lookOf = (path: string, look: Look | null): Outcome<Look> =>
  look === null
    ? refuse('drive-no-answer', { path, reason: 'it gives no result of its self-test' })
    : done(look);

export function selfTestOf(
  transport: SelfTestTransport,
  path: string,
  context: TaskContext,
): SelfTest {
  switch (transport) {
    case 'nvme':
      return nvmeSelfTest(path, context);
    case 'scsi':
      return scsiSelfTest(path, context);
    case 'ata':
      return ataSelfTest(path, context);
  }
}

export const selfTestTools: Readonly<Record<SelfTestTransport, readonly Tool[]>> = {
  nvme: ['nvme'],
  scsi: ['sg_senddiag', 'sg_logs'],
  ata: ['smartctl'],
};

function nvmeSelfTest(path: string, context: TaskContext): SelfTest {
  const send = (code: string): Promise<Outcome<Buffer>> =>
    askWell(context, path, 'nvme', ['device-self-test', path, `--self-test-code=${code}`]);
  return {
    async start(kind) {
      const sent = await send(kind === 'short' ? '0x1' : '0x2');
      return sent.ok ? done(RUNNING) : sent;
    },
    async look() {
      const args = ['self-test-log', path, '--output-format=binary'];
      const log = await askWell(context, path, 'nvme', args);
      return log.ok ? lookOf(path, parseSelfTestLog(log.value)) : log;
    },
    async abort() {
      await send('0xf');
    },
  };
}

/**
 * A drive that keeps no results (log page 0x10) can only be tested while the command waits: the default self-test, whose
 * good end is its result. Otherwise the newest result counts once the page is another than before.
 */
function scsiSelfTest(path: string, context: TaskContext): SelfTest {
  let before: Buffer | null = null;
  const page = (): Promise<Outcome<Answer>> =>
    ask(context, path, 'sg_logs', ['--raw', '--page=0x10', path]);
  const send = (args: readonly string[], limitMs?: number): Promise<Outcome<Answer>> =>
    ask(context, path, 'sg_senddiag', [...args, path], limitMs);
  return {
    async start(kind) {
      const first = await page();
      if (!first.ok) return first;
      if (first.value.exitStatus !== 0 || parseSelfTestPage(first.value.bytes) === null) {
        const tested = await send(['--test'], WAITED_FOR_MS);
        if (!tested.ok) return tested;
        if (tested.value.exitStatus === 0) return done({ state: 'passed' });
        return done({ state: 'failed', note: tested.value.complaint || 'the self-test failed' });
      }
      before = first.value.bytes;
      const sent = await send([`--selftest=${kind === 'short' ? 1 : 2}`]);
      if (!sent.ok) return sent;
      if (sent.value.exitStatus === 0) return done(RUNNING);
      return done({ state: 'unknown', note: sent.value.complaint || 'the drive does not begin' });
    },
    async look() {
      const now = await page();
      if (!now.ok) return now;
      if (now.value.exitStatus !== 0) return done(RUNNING);
      if (before?.equals(now.value.bytes) === true) return done(RUNNING);
      return lookOf(path, parseSelfTestPage(now.value.bytes));
    },
    async abort() {
      await send(['--selftest=4']);
    },
  };
}

/** A default self-test moves the heads over the medium; drives that take longer are ended by the limit of the step. */
const WAITED_FOR_MS = 2 * 60 * 60 * 1000;

function ataSelfTest(path: string, context: TaskContext): SelfTest {
  return {
    async start(kind) {
      const sent = await ask(context, path, 'smartctl', ['-j', '-t', kind, path]);
      if (!sent.ok) return sent;
      // Bits 0 to 2: the command line, the drive did not open, a command failed. The others are old news.
      if (((sent.value.exitStatus ?? 1) & 0x07) === 0) return done(RUNNING);
      return done({ state: 'unknown', note: 'smartctl could not start the self-test' });
    },
    async look() {
      const answer = await ask(context, path, 'smartctl', ['-j', '-c', path]);
      if (!answer.ok) return answer;
      return lookOf(path, parseSelfTestStatus(answer.value.bytes.toString('utf8')));
    },
    async abort() {
      await ask(context, path, 'smartctl', ['-j', '-X', path]);
    },
  };
}
