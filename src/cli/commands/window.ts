/** `locum window …`: plan, open, close, abort, extend, show, list, history. `run` has its own file. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import { formatBytes } from '../../api/units.ts';
import type { VerifyMode, VolumeStatus, WindowReport } from '../../core/status.ts';
import { absolute, duration } from '../arguments.ts';
import {
  addWindowOptions,
  group,
  leaf,
  outputOption,
  timeoutOption,
  verifyOption,
  waitOption,
} from '../options.ts';
import { renderRun } from '../render/run.ts';
import { renderPlan, renderReport, renderReports } from '../render/window.ts';
import { type Session, sessionOf } from '../session.ts';
import { stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';
import { awaitEndOfWindow } from '../window-end.ts';
import { runCommand } from './window-run.ts';
import { closedSentence, type OpenOptions, opened, windowBody } from './window-words.ts';

interface CloseOptions {
  drive?: string;
  verify?: VerifyMode;
  rebuild?: true;
  force?: true;
  wait?: true;
  timeout?: number;
}

export function windowCommands(terminal: Terminal): Command {
  return group('window', 'let one drive of a volume be away while a log stands in for it', [
    'locum window plan v1 1 --for firmware',
    'locum window run v1 1 --for firmware -- sh -c \'fwtool "$LOCUM_DRIVE_PATH"\'',
    'locum window open v1 1 --for firmware --max 30m; …; locum window close v1 --wait',
  ])
    .addCommand(plan(terminal))
    .addCommand(open(terminal))
    .addCommand(close(terminal))
    .addCommand(abort(terminal))
    .addCommand(extend(terminal))
    .addCommand(show(terminal))
    .addCommand(list(terminal))
    .addCommand(history(terminal))
    .addCommand(runCommand(terminal));
}

function plan(terminal: Terminal): Command {
  return addWindowOptions(leaf('plan', 'check whether a window may be opened; changes nothing'))
    .argument('<volume>')
    .argument('<drive>')
    .addOption(outputOption())
    .action(async (volume: string, drive: string, options: OpenOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const body = windowBody(terminal, drive, options);
      const reply = await session.client.call('windowPlan', { params: { volume }, body });
      session.answer(reply, (answer) => renderPlan(volume, answer.plan, session.view));
      if (!reply.plan.allowed) throw stopQuietly(exitCodes.refused);
    });
}

function open(terminal: Terminal): Command {
  return addWindowOptions(leaf('open', 'freeze the volume and let the drive go'))
    .argument('<volume>')
    .argument('<drive>')
    .addOption(outputOption())
    .action(async (volume: string, drive: string, options: OpenOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const body = windowBody(terminal, drive, options);
      const reply = await session.client.call('windowOpen', { params: { volume }, body });
      session.answer(reply, ({ window }) => opened(session, window));
    });
}

function close(terminal: Terminal): Command {
  return leaf('close', 'take the drive back, verify it and replay the log', [
    'locum window close v1 --wait',
    'locum window close v1 --drive /dev/disk/by-id/NEW --rebuild --wait      a replacement',
  ])
    .argument('<volume>')
    .option('--drive <path>', 'where the drive is now, when its path has changed')
    .addOption(verifyOption())
    .option('--rebuild', 'the drive holds nothing usable: rebuild it from the frozen volume')
    .option(
      '--force',
      'take it although it was found to differ and, with another drive out, nothing tells any more',
    )
    .addOption(waitOption('the end of the replay'))
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(async (volume: string, options: CloseOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const closing = session.client.call('windowClose', {
        params: { volume },
        body: {
          ...(options.drive === undefined ? {} : { drivePath: absolute(terminal, options.drive) }),
          ...(options.verify === undefined ? {} : { verify: options.verify }),
          rebuild: options.rebuild === true,
          ...(options.force === undefined ? {} : { force: true }),
        },
      });
      const { window } = await tellingOfRebuild(session, volume, closing);
      await conclude(session, volume, { window }, options);
    });
}

/** A drive that came back blank is rebuilt before it is taken, which may take hours: whoever waits is told why. */
async function tellingOfRebuild<T>(
  session: Session,
  volume: string,
  closing: Promise<T>,
): Promise<T> {
  const isOver = closing.then(
    () => true,
    () => true,
  );
  const later = (): Promise<boolean> => delay(LOOK_MS, false, { ref: false });
  while (!(await Promise.race([isOver, later()]))) {
    const status = await statusOf(session, volume);
    const job = status?.jobs.find(({ kind, state }) => kind === 'rebuild' && state === 'running');
    if (!status?.window || !job) continue;
    const { slot, path } = status.window.drive;
    session.note(
      `Drive ${slot} (${path}) came back blank: it is being rebuilt from the frozen drives, and taken after that. ` +
        `\`locum status ${volume}\` shows how far it is.`,
    );
    break;
  }
  return await closing;
}

const LOOK_MS = 1_000;

/** Null: it does not answer; what was asked for is answered in any case. */
const statusOf = (session: Session, volume: string): Promise<VolumeStatus | null> =>
  session.client.call('volumeStatus', { params: { volume } }).then(
    ({ volumes }) => volumes[0] ?? null,
    () => null,
  );

function abort(terminal: Terminal): Command {
  return leaf('abort', 'give up: take the unchanged drive back and replay what was logged')
    .argument('<volume>')
    .addOption(waitOption('the end of the replay'))
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(async (volume: string, options: CloseOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('windowAbort', { params: { volume } });
      await conclude(session, volume, reply, options);
    });
}

/** The drive is back and the replay runs, or its run brings it back: say so, or wait for the end. */
async function conclude(
  session: Session,
  volume: string,
  { window, note }: { readonly window: WindowReport; readonly note?: string },
  options: CloseOptions,
): Promise<void> {
  const said =
    note === undefined
      ? returned({ window })
      : `${note} \`locum window show ${volume}\` tells how far it is.\n`;
  if (!options.wait) {
    const told = note === undefined ? {} : { note };
    session.answer({ apiVersion: 'locum/v1', window, ...told }, () => said);
    return;
  }
  session.say(said.trimEnd());
  const ended = await awaitEndOfWindow(session, volume, window, options.timeout ?? null);
  session.answer({ apiVersion: 'locum/v1', window: ended }, closedSentence);
}

function returned({ window }: { window: WindowReport }): string {
  const progress =
    window.closedAt === null ? 'The log is being replayed.' : 'The window is closed.';
  const drive = `Drive ${window.drive.slot} (${window.drive.path})`;
  return window.outcome === 'rebuilt'
    ? `${drive} came back blank, and was rebuilt from the frozen drives. ${progress}\n`
    : `${drive} is back${compared(window)}. ${progress}\n`;
}

function compared({ verify }: WindowReport): string {
  if (!verify) return '';
  if (verify.checkedBytes === 0)
    return '; its contents could not be compared, because another drive is out';
  const finding =
    verify.differingStripes === 0 ? 'no difference' : `${verify.differingStripes} stripes differed`;
  return ` and verified: ${formatBytes(verify.checkedBytes)} compared, ${finding}`;
}

function extend(terminal: Terminal): Command {
  return leaf('extend', 'give an open window more time', ['locum window extend v1 --by 10m'])
    .argument('<volume>')
    .requiredOption('--by <duration>', 'how much longer', duration)
    .addOption(outputOption())
    .action(async (volume: string, options: { by: number }, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('windowExtend', {
        params: { volume },
        body: { byMs: options.by },
      });
      session.answer(
        reply,
        ({ window }) => `Window ${window.id} ends at ${window.deadlineAt} now.\n`,
      );
    });
}

function show(terminal: Terminal): Command {
  return leaf('show', 'show the open window of a volume and its run, else the last one', [
    'locum window show v1',
    'locum window show v1 ID      the record of an earlier window or run',
  ])
    .argument('<volume>')
    .argument('[id]')
    .addOption(outputOption())
    .action(async (volume: string, id: string | undefined, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const query = id === undefined ? {} : { id };
      const reply = await session.client.call('windowShow', { params: { volume }, query });
      session.answer(reply, ({ window, run, stale }) =>
        [
          stale === true ? `This is what was seen last: ${volume} does not answer now.\n\n` : '',
          window === null ? '' : renderReport(window, session.view),
          run === null ? '' : renderRun(run, session.view),
        ].join(''),
      );
    });
}

function list(terminal: Terminal): Command {
  return leaf('ls', 'list the open windows of all volumes')
    .addOption(outputOption())
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('windowList');
      session.answer(reply, ({ windows }) =>
        renderReports(windows, 'No window is open.', session.view),
      );
    });
}

function history(terminal: Terminal): Command {
  return leaf('history', 'list the windows that have ended, newest last')
    .argument('[volume]')
    .addOption(outputOption())
    .action(async (volume: string | undefined, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('windowHistory', {
        query: volume === undefined ? {} : { volume },
      });
      session.answer(reply, ({ windows }) =>
        renderReports(windows, 'No window has ended yet.', session.view),
      );
    });
}
