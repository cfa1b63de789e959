/** `locum volume …`: create, assemble, list, show, stop, destroy. */

import { Command } from 'commander';
import { formatBytes } from '../../api/units.ts';
import type { VolumeStatus } from '../../core/status.ts';
import { absolute, size, wholeNumber } from '../arguments.ts';
import { forceOption, group, leaf, outputOption } from '../options.ts';
import { renderStatus, renderVolumes } from '../render/status.ts';
import { sessionOf } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface CreateOptions {
  level: number;
  drive: string[];
  log?: string[];
  chunk?: number;
  imageSize?: number;
  logSize?: number;
  assumeClean?: true;
  force?: true;
}

interface AssembleOptions {
  drive?: string[];
  log?: string[];
  force?: true;
}

export function volumeCommands(terminal: Terminal): Command {
  return group('volume', 'create, assemble and remove volumes')
    .addCommand(create(terminal))
    .addCommand(assemble(terminal))
    .addCommand(list(terminal))
    .addCommand(show(terminal))
    .addCommand(stop(terminal))
    .addCommand(destroy(terminal));
}

function create(terminal: Terminal): Command {
  return leaf('create', 'make a new volume from drives or image files', [
    'locum volume create v1 --level 5 --drive d0.img d1.img d2.img d3.img --image-size 1GiB \\',
    '    --log l0.img --log l1.img --log-size 256MiB',
    'locum volume create v2 --level 1 --drive /dev/disk/by-id/A --drive /dev/disk/by-id/B',
  ])
    .argument('<name>', 'name of the volume and of its NBD export')
    .requiredOption('--level <n>', 'RAID level: 1, 3, 4 or 5', wholeNumber)
    .requiredOption('--drive <path...>', 'a block device or image file; may be repeated')
    .option('--log <path...>', 'a log leg; two on different disks are recommended')
    .option('--chunk <size>', 'chunk size, 4KiB to 1MiB (64KiB)', size)
    .option('--image-size <size>', 'create missing image files of this size', size)
    .option('--log-size <size>', 'create missing log legs of this size', size)
    .option('--assume-clean', 'the drives agree already (all zeroes): skip the first resync')
    .addOption(forceOption())
    .addOption(outputOption())
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('volumeCreate', {
        body: {
          name,
          level: options.level,
          drives: options.drive.map((path) => absolute(terminal, path)),
          logs: (options.log ?? []).map((path) => absolute(terminal, path)),
          ...(options.chunk === undefined ? {} : { chunkBytes: options.chunk }),
          ...(options.imageSize === undefined ? {} : { imageSizeBytes: options.imageSize }),
          ...(options.logSize === undefined ? {} : { logSizeBytes: options.logSize }),
          assumeClean: options.assumeClean === true,
          force: options.force === true,
        },
      });
      session.answer(reply, ({ volumes }) => started('created', volumes[0]));
    });
}

function assemble(terminal: Terminal): Command {
  return leaf('assemble', 'start a volume from its drives and log legs', [
    'locum volume assemble v1                    start a volume that the server knows',
    'locum volume assemble --drive d0.img d1.img d2.img d3.img --log l0.img l1.img',
  ])
    .argument('[name]', 'name of the volume; found on the drives when left out')
    .option('--drive <path...>', 'its drives; may be left out for a volume that the server knows')
    .option('--log <path...>', 'its log legs')
    .option('--force', 'start although members are missing that no record calls failed')
    .addOption(outputOption())
    .action(async (name: string | undefined, options: AssembleOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('volumeAssemble', {
        body: {
          ...(name === undefined ? {} : { name }),
          drives: (options.drive ?? []).map((path) => absolute(terminal, path)),
          logs: (options.log ?? []).map((path) => absolute(terminal, path)),
          force: options.force === true,
        },
      });
      session.answer(reply, ({ volumes }) => started('assembled', volumes[0]));
    });
}

function started(verb: string, volume: VolumeStatus | undefined): string {
  if (!volume) return `Volume ${verb}.\n`;
  const size = `RAID ${volume.level} of ${volume.drives.length} drives, ${formatBytes(volume.sizeBytes)}`;
  return [
    `Volume ${volume.name} ${verb}: ${size}, ${volume.state}.\n`,
    `Attach it: \`locum export uri ${volume.name} --for qemu|nbd-client|nbdcopy\`\n`,
  ].join('');
}

function list(terminal: Terminal): Command {
  return leaf('ls', 'list the volumes')
    .addOption(outputOption())
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      session.answer(await session.client.call('status'), ({ volumes }) =>
        renderVolumes(volumes, session.view),
      );
    });
}

function show(terminal: Terminal): Command {
  return leaf('show', 'show one volume with its drives, log and jobs')
    .argument('<name>')
    .addOption(outputOption())
    .action(async (volume: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('volumeStatus', { params: { volume } });
      session.answer(reply, ({ volumes }) => renderStatus(volumes, session.view));
    });
}

function stop(terminal: Terminal): Command {
  return leaf('stop', 'flush a volume, mark it clean and stop serving it')
    .argument('<name>')
    .option('--force', 'disconnect the clients that still use it')
    .option('--forget', "also take it off the server's list; its drives keep everything")
    .addOption(outputOption())
    .action(async (volume: string, options: { forget?: true; force?: true }, command: Command) => {
      const session = sessionOf(terminal, command);
      const forget = options.forget === true;
      const reply = await session.client.call('volumeStop', {
        params: { volume },
        body: { forget, force: options.force === true },
      });
      session.answer(reply, () =>
        forget
          ? `Volume ${volume} is stopped and no longer known here.\n`
          : `Volume ${volume} is stopped. \`locum volume assemble ${volume}\` starts it again.\n`,
      );
    });
}

function destroy(terminal: Terminal): Command {
  return leaf('destroy', 'erase a volume: what is stored on it is lost', [
    'locum volume destroy v1 --confirm v1',
  ])
    .argument('<name>')
    .requiredOption('--confirm <name>', 'the name once more, so that it is not the wrong one')
    .addOption(outputOption())
    .action(async (volume: string, options: { confirm: string }, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('volumeDestroy', {
        params: { volume },
        body: { confirm: options.confirm },
      });
      session.answer(reply, () => `Volume ${volume} is destroyed; its drives are blank.\n`);
    });
}
