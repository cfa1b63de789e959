/** `locum firmware …`: one image onto many drives, how far that is, and which drive has which version. */

import { hostname, userInfo } from 'node:os';
import { type Command, Option } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import type { InventoryReply } from '../../api/rollout-schema.ts';
import type { RolloutReport } from '../../core/rollout-report.ts';
import { absolute, digest, driveName, duration, wholeNumber } from '../arguments.ts';
import { followRollout } from '../follow-rollout.ts';
import { group, leaf, outputOption } from '../options.ts';
import { renderInventory, renderPlan, renderRollout } from '../render/firmware.ts';
import { type Session, sessionOf } from '../session.ts';
import { stopFor, stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

const WATCH_MS = 1_000;

interface UpdateOptions {
  all?: true;
  image: string;
  sha256?: string;
  toVersion?: string;
  model?: string;
  canary?: number;
  soak?: number;
  stopOnError: boolean;
  max?: number;
  allowDegraded?: true;
  allowSingleLog?: true;
  command?: string;
  dryRun?: true;
  detach?: true;
}

export function firmwareCommands(terminal: Terminal): Command {
  return group('firmware', 'update the firmware of drives while their volumes are in use', [
    'locum firmware inventory',
    'locum firmware update tank --all --image fw.bin --dry-run',
    'locum firmware update tank --all --image fw.bin',
    'locum firmware status --watch',
  ])
    .addCommand(update(terminal))
    .addCommand(status(terminal))
    .addCommand(
      change(
        terminal,
        'pause',
        'rolloutPause',
        'let no other drive go; the one at work is finished',
      ),
    )
    .addCommand(resume(terminal))
    .addCommand(
      change(terminal, 'stop', 'rolloutStop', 'end it for good; the drive at work is finished'),
    )
    .addCommand(inventory(terminal));
}

function update(terminal: Terminal): Command {
  return leaf('update', 'flash drives, one at a time per volume, with the volumes in use', [
    'locum firmware update tank --all --image fw.bin --dry-run',
    'locum firmware update tank sdb sdc --image fw.bin --to-version 2.1 --soak 30m',
    'locum firmware update tank vault --all --image fw.bin --canary 2 --detach',
  ])
    .argument('<names...>', 'volumes, and drives of them: slots, paths, or beginnings of uuids')
    .option('--all', 'all drives of the volumes, spares first')
    .requiredOption('--image <file>', 'the firmware image, on the server')
    .option('--sha256 <sum>', 'refuse an image with another checksum', digest)
    .option(
      '--to-version <revision>',
      'what the drives say when they have it; those that say so are left out',
    )
    .option('--model <text>', 'only drives whose model contains this')
    .option(
      '--canary <count>',
      'so many drives alone before volumes go side by side (1)',
      wholeNumber,
    )
    .option(
      '--soak <duration>',
      'watch each drive so long before the next one goes (10m)',
      duration,
    )
    .option('--stop-on-error', 'halt on the first bad result (this is the default)', true)
    .option('--no-stop-on-error', 'go on after a bad result that left the volume whole')
    .option('--max <duration>', 'time limit of each window (30m)', duration)
    .option('--allow-degraded', 'also while a drive of the volume has failed')
    .option('--allow-single-log', 'also with a log of one leg')
    .addOption(
      new Option(
        '--command <command>',
        "flash with a shell command instead of the transport's tool",
      ),
    )
    .option('--dry-run', 'print the plan and change nothing')
    .option('--detach', 'do not follow it')
    .addOption(outputOption())
    .action(async (names: string[], options: UpdateOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const chosen = await chooseDrives(session, names, options.all === true);
      const body = { ...chosen, ...bodyOf(terminal, options) };
      const { plan, rollout, apiVersion } = await session.client.call('rolloutStart', { body });
      if (plan !== null) {
        session.answer({ apiVersion, plan }, () =>
          renderPlan(plan, options.canary ?? 1, session.view),
        );
        if (!plan.allowed) throw stopQuietly(exitCodes.refused);
        return;
      }
      await afterStart(session, rollout!, 'has begun', options.detach === true);
    });
}

const bodyOf = (terminal: Terminal, options: UpdateOptions) => ({
  image: absolute(terminal, options.image),
  ...(options.sha256 === undefined ? {} : { sha256: options.sha256 }),
  ...(options.toVersion === undefined ? {} : { version: options.toVersion }),
  ...(options.model === undefined ? {} : { model: options.model }),
  ...(options.command === undefined
    ? {}
    : { command: options.command, commandDirectory: terminal.cwd }),
  ...(options.canary === undefined ? {} : { canary: options.canary }),
  ...(options.soak === undefined ? {} : { soakMs: options.soak }),
  ...(options.max === undefined ? {} : { maxMs: options.max }),
  stopOnError: options.stopOnError,
  allowDegraded: options.allowDegraded === true,
  allowSingleLog: options.allowSingleLog === true,
  requestedBy: `${userInfo().username}@${hostname()}`,
  dryRun: options.dryRun === true,
});

/** What is the name of a volume is a volume; everything else is a drive. */
async function chooseDrives(
  session: Session,
  names: readonly string[],
  all: boolean,
): Promise<{ volumes: string[]; drives: string[] }> {
  const known = new Set((await session.client.call('status')).volumes.map(({ name }) => name));
  const volumes = names.filter((name) => known.has(name));
  const drives = names.filter((name) => !known.has(name));
  if (volumes.length === 0) throw stopFor('volume-unknown', { volume: names[0]! });
  if (all && drives.length > 0) {
    const reason = `--all was given, and ${drives.join(', ')} as well`;
    throw stopFor('rollout-drives', { volumes: volumes.join(', '), reason });
  }
  if (!all && drives.length === 0) throw stopFor('rollout-drives', { volumes: volumes.join(', ') });
  return { volumes, drives: drives.map((drive) => driveName(session.terminal, drive)) };
}

async function afterStart(
  session: Session,
  rollout: RolloutReport,
  what: string,
  detach: boolean,
): Promise<void> {
  if (detach) {
    session.answer(
      { apiVersion: 'locum/v1', rollout },
      () =>
        `Firmware update ${rollout.id} ${what}. \`locum firmware status ${rollout.id} --watch\` follows it.\n`,
    );
    return;
  }
  session.say(`Firmware update ${rollout.id} ${what}. Ctrl-C detaches; it goes on in the server.`);
  const over = await followRollout(session, rollout);
  session.answer(
    { apiVersion: 'locum/v1', rollout: over },
    () => `\n${renderRollout(over, session.view)}`,
  );
  const isGood = over.drives.every(({ state }) => state === 'done' || state === 'skipped');
  if (!isGood) throw stopQuietly(exitCodes.failed);
}

function status(terminal: Terminal): Command {
  return leaf('status', 'show every drive of an update, its state, and the time left')
    .argument('[update]', 'its id, or a volume; without it the latest one')
    .addOption(outputOption())
    .option('--watch', 'keep showing it')
    .action(async (name: string | undefined, options: { watch?: true }, command: Command) => {
      const session = sessionOf(terminal, command);
      if (options.watch) return await watch(session, name);
      const rollout = await findRollout(session, name);
      session.answer({ apiVersion: 'locum/v1', rollout }, (reply) =>
        renderRollout(reply.rollout, session.view),
      );
    });
}

/** Redraws on a terminal; elsewhere prints it each time it has changed. Ends with the update. */
async function watch(session: Session, name: string | undefined): Promise<void> {
  const { terminal } = session;
  let isInterrupted = false;
  const release = terminal.onInterrupt(() => {
    isInterrupted = true;
  });
  let before = '';
  try {
    while (!isInterrupted) {
      const rollout = await findRollout(session, name);
      const text = session.json
        ? `${JSON.stringify({ apiVersion: 'locum/v1', rollout })}\n`
        : renderRollout(rollout, session.view);
      if (terminal.interactive && !session.json) terminal.out(`\u001b[H\u001b[2J${text}`);
      else if (text !== before) terminal.out(session.json ? text : `${text}\n`);
      before = text;
      if (rollout.endedAt !== null) return;
      await terminal.sleep(WATCH_MS);
    }
  } finally {
    release();
  }
}

function change(
  terminal: Terminal,
  name: 'pause' | 'stop',
  operation: 'rolloutPause' | 'rolloutStop',
  summary: string,
): Command {
  return leaf(name, summary)
    .argument('[update]', 'its id, or a volume; without it the one that has not ended')
    .addOption(outputOption())
    .action(async (update: string | undefined, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const { id } = await findRollout(session, update);
      const reply = await session.client.call(operation, { params: { rollout: id } });
      session.answer(reply, ({ rollout }) => renderRollout(rollout, session.view));
    });
}

function resume(terminal: Terminal): Command {
  return leaf('resume', 'go on with an update that was paused or has halted')
    .argument('[update]', 'its id, or a volume; without it the one that has not ended')
    .option('--retry', 'also try those drives again that failed or came back unchanged')
    .option('--allow-degraded', 'go on although a drive of the volume has failed')
    .option('--detach', 'do not follow it')
    .addOption(outputOption())
    .action(
      async (
        update: string | undefined,
        options: { retry?: true; allowDegraded?: true; detach?: true },
        command: Command,
      ) => {
        const session = sessionOf(terminal, command);
        const { id } = await findRollout(session, update);
        const body = {
          retry: options.retry === true,
          allowDegraded: options.allowDegraded === true,
        };
        const reply = await session.client.call('rolloutResume', { params: { rollout: id }, body });
        if (options.detach) {
          session.answer(reply, ({ rollout }) => renderRollout(rollout, session.view));
          return;
        }
        await afterStart(session, reply.rollout, 'goes on', false);
      },
    );
}

function inventory(terminal: Terminal): Command {
  return leaf('inventory', 'list model, serial, firmware and health of every drive')
    .argument('[volume]')
    .addOption(outputOption())
    .action(async (volume: string | undefined, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply: InventoryReply = await session.client.call('firmwareInventory', {
        query: volume === undefined ? {} : { volume },
      });
      session.answer(reply, ({ drives }) => renderInventory(drives, session.view));
    });
}

/** By id, or by volume: the one that has not ended, else the newest. */
async function findRollout(session: Session, name: string | undefined): Promise<RolloutReport> {
  const { rollouts } = await session.client.call('rolloutList');
  const fitting = rollouts.filter(
    ({ id, drives }) =>
      name === undefined || id === name || drives.some(({ volumes }) => volumes.includes(name)),
  );
  const open = fitting.filter(({ endedAt }) => endedAt === null);
  if (open.length > 1) {
    const ids = open.map(({ id }) => id).join(', ');
    throw stopFor('argument-invalid', { name: 'the update', reason: `there are several: ${ids}` });
  }
  const found = open[0] ?? fitting.at(-1);
  if (found === undefined)
    throw stopFor('rollout-unknown', name === undefined ? {} : { rollout: name });
  return found;
}
