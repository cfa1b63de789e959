/**
 * `locum window run VOLUME DRIVE --for PURPOSE -- COMMAND …`: open, run COMMAND while the drive is away, bring the
 * drive back, wait for the replay. The drive is brought back whatever becomes of the command; its failure is passed
 * on as exit code 1 after that.
 *
 * While the command runs, Ctrl-C is the command's: the terminal sends it to both, and this side waits for the end of
 * the command, because a firmware tool that was interrupted half way still owns the drive.
 */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import { formatDuration } from '../../api/units.ts';
import type { VerifyMode, WindowReport } from '../../core/status.ts';
import { duration } from '../arguments.ts';
import { addWindowOptions, leaf, outputOption, timeoutOption, verifyOption } from '../options.ts';
import { type Session, sessionOf } from '../session.ts';
import { Stop, stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';
import { awaitEndOfWindow } from '../window-end.ts';
import { closedSentence, type OpenOptions, opened, windowBody } from './window-words.ts';

/** After its task a drive may need a while until it answers again: firmware activation takes up to half a minute. */
const RETURN_WAIT_MS = 120_000;
const RETRY_MS = 1_000;
const WATCH_MS = 2_000;

interface RunOptions extends OpenOptions {
  verify?: VerifyMode;
  rebuild?: true;
  timeout?: number;
  returnWait?: number;
}

export function runCommand(terminal: Terminal): Command {
  const command = leaf('run', 'open, run COMMAND while the drive is away, close, wait', [
    'locum window run v1 1 --for firmware --max 10m -- nvme fw-commit /dev/nvme1 --slot 1 --action 3',
  ]);
  return addWindowOptions(command)
    .usage('[options] VOLUME DRIVE -- COMMAND ...')
    .argument('<volume>')
    .argument('<drive>')
    .argument(
      '<command...>',
      'run with LOCUM_VOLUME, LOCUM_WINDOW, LOCUM_DRIVE_PATH, LOCUM_SLOT, LOCUM_MEMBER_UUID',
    )
    .addOption(verifyOption())
    .option('--rebuild', 'the drive comes back blank: rebuild it from the frozen volume')
    .option(
      '--return-wait <duration>',
      'how long to wait for the drive to answer again (2m)',
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
        const body = windowBody(terminal, drive, options);
        const { window } = await session.client.call('windowOpen', { params: { volume }, body });
        session.say(opened(session, window).trimEnd());
        const failure = await runWhileAway(session, window, words);
        session.note(
          failure === null
            ? 'The command is done; bringing the drive back.'
            : `${failure} Bringing the drive back.`,
        );
        const back = await bringBack(session, window, options);
        const ended = await awaitEndOfWindow(session, volume, back, options.timeout ?? null);
        session.answer(
          { apiVersion: 'locum/v1', window: ended, command: { failure } },
          closedSentence,
        );
        if (failure !== null) {
          session.note(`locum: ${failure} The window is closed and the volume is whole.`);
          throw stopQuietly(exitCodes.failed);
        }
      },
    );
}

/** Null when COMMAND ended with 0, otherwise the sentence that says how it failed. */
async function runWhileAway(
  session: Session,
  window: WindowReport,
  words: readonly string[],
): Promise<string | null> {
  const { terminal } = session;
  const release = terminal.onInterrupt(() => session.note('Waiting for the command to end.'));
  const watch = watchForTrouble(session, window);
  try {
    return await new Promise((resolve) => {
      const child = spawn(words[0]!, words.slice(1), {
        stdio: session.json ? ['inherit', 2, 'inherit'] : 'inherit',
        cwd: terminal.cwd,
        env: {
          ...terminal.env,
          LOCUM_VOLUME: window.volume,
          LOCUM_WINDOW: window.id,
          LOCUM_DRIVE_PATH: window.drive.path,
          LOCUM_SLOT: String(window.drive.slot),
          LOCUM_MEMBER_UUID: window.drive.uuid,
        },
      });
      child.on('error', (error) => resolve(`${words[0]} could not be started: ${error.message}.`));
      child.on('exit', (code, signal) => {
        if (code === 0) resolve(null);
        else if (code !== null) resolve(`The command failed with exit code ${code}.`);
        else resolve(`The command was ended by ${signal} (${constants.signals[signal!]}).`);
      });
    });
  } finally {
    watch.stop();
    await watch.ended;
    release();
  }
}

/** Says at once when the volume needs the drive back: another drive has failed, or the log is nearly full. */
function watchForTrouble(
  session: Session,
  window: WindowReport,
): { stop: () => void; ended: Promise<void> } {
  let running = true;
  let wake = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const poll = async (): Promise<void> => {
    let told = false;
    while (running) {
      await Promise.race([session.terminal.sleep(WATCH_MS), stopped]);
      if (!running || told) continue;
      try {
        const { volumes } = await session.client.call('volumeStatus', {
          params: { volume: window.volume },
        });
        if (volumes[0]?.window?.recall) {
          told = true;
          session.note(
            `RECALL: ${volumes[0].story.why || volumes[0].story.state} Bring the drive back as soon as it is safe.`,
          );
        }
      } catch (error) {
        // A server that restarts meanwhile finds the window open; nothing is lost by not seeing it now.
        if (!(error instanceof Stop)) throw error;
      }
    }
  };
  return {
    stop: () => {
      running = false;
      wake();
    },
    ended: poll(),
  };
}

/** Closes the window; a drive that is not there yet, or a server that restarts, is asked again for a while. */
async function bringBack(
  session: Session,
  window: WindowReport,
  options: RunOptions,
): Promise<WindowReport> {
  const { terminal } = session;
  const giveUpMs = terminal.nowMs() + (options.returnWait ?? RETURN_WAIT_MS);
  const body = {
    ...(options.verify === undefined ? {} : { verify: options.verify }),
    rebuild: options.rebuild === true,
  };
  let told = false;
  for (;;) {
    try {
      return (await session.client.call('windowClose', { params: { volume: window.volume }, body }))
        .window;
    } catch (error) {
      const patient =
        error instanceof Stop &&
        ['window-drive-absent', 'server-unreachable'].includes(error.problem?.code ?? '');
      if (!patient || terminal.nowMs() >= giveUpMs) throw error;
      if (!told) {
        told = true;
        session.note(
          `${error.message} Waiting up to ${formatDuration(giveUpMs - terminal.nowMs())} for it.`,
        );
      }
      await terminal.sleep(RETRY_MS);
    }
  }
}
