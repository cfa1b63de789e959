/**
 * `locum window run VOLUME DRIVE --for PURPOSE …`: one drive, one command. The server does it all; this side asks for it,
 * says where it is, and turns what came of it into an exit code.
 *
 * Ctrl-C ends the following and not the run: a firmware tool that is interrupted half way is the worst that can happen to a
 * drive, and the volume is safe in its window for as long as it takes.
 */

import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { Option } from 'commander';
import { type ExitCode, exitCodes } from '../../api/errors.ts';
import type { RunBody } from '../../api/run-schema.ts';
import type { RunOutcome, RunReport } from '../../core/run-report.ts';
import type { VerifyMode } from '../../core/status.ts';
import { absolute, digest, duration, wholeNumber } from '../arguments.ts';
import { followRun } from '../follow-run.ts';
import { addWindowOptions, leaf, outputOption, timeoutOption, verifyOption } from '../options.ts';
import { renderRun } from '../render/run.ts';
import { type Session, sessionOf } from '../session.ts';
import { stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';
import { type OpenOptions, windowBody } from './window-words.ts';

interface RunOptions extends OpenOptions {
  image?: string;
  sha256?: string;
  toVersion?: string;
  model?: string;
  activation?: 'live' | 'deferred';
  slot?: number;
  test?: 'short' | 'long' | 'scan';
  with?: string;
  rehearse?: true;
  detach?: true;
  verify?: VerifyMode;
  timeout?: number;
  commandLimit?: number;
  returnWait?: number;
}

const exitCodeOf: Readonly<Record<RunOutcome, ExitCode>> = {
  done: exitCodes.done,
  rehearsed: exitCodes.done,
  'not-applied': exitCodes.failed,
  unhealthy: exitCodes.failed,
  failed: exitCodes.failed,
  recalled: exitCodes.failed,
  refused: exitCodes.refused,
  'drive-lost': exitCodes.failed,
};

export function runCommand(terminal: Terminal): Command {
  const command = leaf('run', 'freeze, do something to the drive, take it back, replay', [
    'locum window run v1 sdb --for firmware --image fw.bin',
    'locum window run v1 1 --for diagnostics --test long',
    'locum window run v1 1 --for replacement --with /dev/disk/by-id/NEW',
    'locum window run v1 1 --for firmware --max 10m -- nvme fw-commit /dev/nvme1 --slot 1 --action 3',
  ]);
  return addWindowOptions(command)
    .usage('[options] VOLUME DRIVE [-- COMMAND ...]')
    .argument('<volume>')
    .argument('<drive>')
    .argument('[command...]', 'runs on the server with LOCUM_DRIVE_PATH, LOCUM_IMAGE, LOCUM_STEP …')
    .option('--image <file>', 'the firmware image')
    .option('--sha256 <digest>', 'the SHA-256 that the image must have', digest)
    .option('--to-version <revision>', 'the revision that the drive must have afterwards')
    .option('--model <text>', 'refuse a drive whose model does not contain this')
    .addOption(
      new Option(
        '--test <kind>',
        'diagnostics: a self-test of the drive, or a read of all of it; long and scan: --max 24h',
      ).choices(['short', 'long', 'scan']),
    )
    .addOption(
      new Option(
        '--activation <how>',
        'live: NVMe without a reset; deferred: SCSI in two steps; else the safest',
      ).choices(['live', 'deferred']),
    )
    .option('--slot <number>', 'NVMe: the firmware slot', wholeNumber)
    .option('--with <path>', 'replacement: where the new drive is, or will be')
    .option('--rehearse', 'everything but the touching of the drive')
    .option('--detach', 'do not wait for the end')
    .addOption(verifyOption())
    .option('--command-limit <duration>', 'end a tool that takes longer (5m)', duration)
    .option(
      '--return-wait <duration>',
      'how long the drive may take to answer again (5m)',
      duration,
    )
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(
      async (
        volume: string,
        drive: string,
        words: string[],
        options: RunOptions,
        self: Command,
      ) => {
        const session = sessionOf(terminal, self);
        const body = runBody(terminal, drive, words, options);
        const { run } = await session.client.call('windowRun', { params: { volume }, body });
        if (options.detach) {
          session.answer({ apiVersion: 'locum/v1', run }, () => `${begun(run)} ${again(volume)}\n`);
          return;
        }
        session.say(begun(run));
        conclude(session, await followRun(session, volume, run, options.timeout ?? null));
      },
    );
}

function runBody(
  terminal: Terminal,
  drive: string,
  words: readonly string[],
  options: RunOptions,
): RunBody {
  const path = (text: string): string => absolute(terminal, text);
  return {
    ...windowBody(terminal, drive, options),
    ...(options.image === undefined ? {} : { image: path(options.image) }),
    ...(options.sha256 === undefined ? {} : { sha256: options.sha256 }),
    ...(options.toVersion === undefined ? {} : { version: options.toVersion }),
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.activation === undefined ? {} : { activation: options.activation }),
    ...(options.slot === undefined ? {} : { firmwareSlot: options.slot }),
    ...(options.test === undefined ? {} : { test: options.test }),
    ...(options.with === undefined ? {} : { with: path(options.with) }),
    ...(options.verify === undefined ? {} : { verify: options.verify }),
    ...(options.commandLimit === undefined ? {} : { commandLimitMs: options.commandLimit }),
    ...(options.returnWait === undefined ? {} : { answerLimitMs: options.returnWait }),
    ...(words.length === 0
      ? {}
      : { command: words.map(quoted).join(' '), commandDirectory: terminal.cwd }),
    rehearsal: options.rehearse === true,
    requestedBy: `${userInfo().username}@${hostname()}`,
  };
}

/** For the server's shell: exactly the words that were given here. */
const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

const begun = ({ id, drive, purpose, rehearsal }: RunReport): string =>
  `Run ${id}: ${purpose} of ${drive.path}${rehearsal ? ', a rehearsal' : ''}.`;

const again = (volume: string): string =>
  `\`locum window show ${volume}\` tells how it is; \`locum window abort ${volume}\` calls it off.`;

function conclude(session: Session, run: RunReport): void {
  session.answer({ apiVersion: 'locum/v1', run }, (reply) => renderRun(reply.run, session.view));
  const exitCode = exitCodeOf[run.outcome ?? 'failed'];
  if (exitCode === exitCodes.done) return;
  session.note(`locum: ${run.sentence}`);
  if (run.next !== '') session.note(`  next: ${run.next}`);
  throw stopQuietly(exitCode);
}
