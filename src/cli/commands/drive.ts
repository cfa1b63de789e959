/** `locum drive …`: list, add, fail, remove, replace. */

import type { Command } from 'commander';
import type { VolumeStatus } from '../../core/status.ts';
import { absolute, driveName } from '../arguments.ts';
import { follow } from '../follow.ts';
import { forceOption, group, leaf, outputOption, timeoutOption, waitOption } from '../options.ts';
import { driveStyle, heading, table } from '../render/text.ts';
import { type Session, sessionOf } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface WaitOptions {
  wait?: true;
  timeout?: number;
}

export function driveCommands(terminal: Terminal): Command {
  return group(
    'drive',
    'list and change the drives of a volume; DRIVE is a slot, a path or the beginning of a uuid',
  )
    .addCommand(list(terminal))
    .addCommand(add(terminal))
    .addCommand(fail(terminal))
    .addCommand(remove(terminal))
    .addCommand(replace(terminal));
}

function list(terminal: Terminal): Command {
  return leaf('ls', 'list the drives of one volume or of all')
    .argument('[volume]')
    .addOption(outputOption())
    .action(async (volume: string | undefined, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply =
        volume === undefined
          ? await session.client.call('status')
          : await session.client.call('volumeStatus', { params: { volume } });
      const listed = {
        apiVersion: reply.apiVersion,
        drives: reply.volumes.flatMap(({ name, drives }) =>
          drives.map((drive) => ({ volume: name, ...drive })),
        ),
      };
      session.answer(listed, ({ drives }) =>
        drives.length === 0
          ? 'No drives.\n'
          : table([
              heading(
                session.paint,
                'VOLUME',
                'SLOT',
                'STATE',
                'DRIVE',
                'UUID',
                'ERRORS R/W',
                'REASON',
              ),
              ...drives.map((drive) => [
                drive.volume,
                drive.slot === null ? '-' : String(drive.slot),
                session.paint(driveStyle[drive.state], drive.state),
                drive.path === '' ? '-' : drive.path,
                drive.uuid,
                `${drive.errors.read}/${drive.errors.write}`,
                drive.reason,
              ]),
            ]),
      );
    });
}

function add(terminal: Terminal): Command {
  return leaf('add', 'put a drive into a free slot, take back one that was away, or add a spare')
    .argument('<volume>')
    .argument('<path>')
    .option('--spare', 'keep it as a spare')
    .addOption(forceOption())
    .addOption(waitOption('the rebuild'))
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(
      async (
        volume: string,
        path: string,
        options: WaitOptions & { spare?: true; force?: true },
        command: Command,
      ) => {
        const session = sessionOf(terminal, command);
        const body = {
          path: absolute(terminal, path),
          spare: options.spare === true,
          force: options.force === true,
        };
        const reply = await session.client.call('driveAdd', { params: { volume }, body });
        session.say(
          `${body.path} is ${body.spare ? 'a spare' : 'a drive'} of volume ${volume} now.`,
        );
        await finish(session, volume, options, reply.volumes);
      },
    );
}

function fail(terminal: Terminal): Command {
  return leaf('fail', 'take a drive out of use at once')
    .argument('<volume>')
    .argument('<drive>')
    .addOption(outputOption())
    .action(async (volume: string, drive: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const body = { drive: driveName(terminal, drive) };
      const reply = await session.client.call('driveFail', { params: { volume }, body });
      session.answer(reply, ({ volumes }) => `Drive ${drive} is marked failed.${next(volumes)}\n`);
    });
}

function remove(terminal: Terminal): Command {
  return leaf('remove', 'take a failed drive or a spare out of the volume')
    .argument('<volume>')
    .argument('<drive>')
    .addOption(outputOption())
    .action(async (volume: string, drive: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const body = { drive: driveName(terminal, drive) };
      const reply = await session.client.call('driveRemove', { params: { volume }, body });
      session.answer(
        reply,
        ({ volumes }) => `Drive ${drive} is removed; it may be unplugged.${next(volumes)}\n`,
      );
    });
}

function replace(terminal: Terminal): Command {
  return leaf('replace', 'rebuild a drive onto another one', [
    'locum drive replace v1 3 --with /dev/disk/by-id/NEW --wait',
  ])
    .argument('<volume>')
    .argument('<drive>')
    .requiredOption('--with <path>', 'the new drive')
    .addOption(forceOption())
    .addOption(waitOption('the rebuild'))
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(
      async (
        volume: string,
        drive: string,
        options: WaitOptions & { with: string; force?: true },
        command: Command,
      ) => {
        const session = sessionOf(terminal, command);
        const path = absolute(terminal, options.with);
        const body = {
          drive: driveName(terminal, drive),
          with: path,
          force: options.force === true,
        };
        const reply = await session.client.call('driveReplace', { params: { volume }, body });
        session.say(`Drive ${drive} is being rebuilt onto ${path}.`);
        await finish(session, volume, options, reply.volumes);
      },
    );
}

async function finish(
  session: Session,
  volume: string,
  options: WaitOptions,
  volumes: VolumeStatus[],
): Promise<void> {
  if (!options.wait) {
    if (session.json) session.answer({ apiVersion: 'locum/v1', volumes }, () => '');
    else session.say('`locum status --watch` follows it; `--wait` would have waited.');
    return;
  }
  const status = await follow(session, {
    volume,
    what: 'the rebuild',
    kinds: ['rebuild', 'resync'],
    timeoutMs: options.timeout ?? null,
    finished: ({ drives }) => !drives.some((drive) => drive.state === 'rebuilding'),
  });
  session.answer(
    { apiVersion: 'locum/v1', volumes: [status] },
    () => `Volume ${volume} is ${status.state}.\n`,
  );
}

const next = (volumes: readonly VolumeStatus[]): string => {
  const story = volumes[0]?.story;
  return story ? `\n${story.state}${story.next === '' ? '' : `\nNext: ${story.next}`}` : '';
};
