/**
 * `npm run demo`: the main job of Locum on real files, over a real NBD connection, in front of the user.
 *
 *   npm run demo                   about a minute; needs no root and leaves nothing behind
 *   npm run demo -- --io node      without io_uring (or --io uring: only with it)
 *   npm run demo -- --keep         leaves the images in place and tells where
 *
 * Ends with exit code 1 on the first thing that is not as it should be.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Locum, shortFolder } from '../tests/support/locum.ts';
import { playFirmware } from './demo/firmware.ts';
import { DemoFailed, mebi, megabytes, Stage } from './demo/stage.ts';
import { type Cast, type Figures, ledgerFor, memberBytes, play, volume } from './demo/story.ts';
import { choiceOf, flagsOf } from './flags/flags.ts';

const { values } = flagsOf(import.meta.url, {
  options: {
    io: { type: 'string', default: 'auto' },
    keep: { type: 'boolean', default: false },
  },
});

const askedIo = choiceOf('--io', values.io, ['auto', 'uring', 'node']);

async function main(): Promise<void> {
  const startedMs = performance.now();
  const stage = new Stage();
  const folder = await shortFolder();
  const state = join(folder.path, 'state');
  mkdirSync(state);
  const locum = new Locum(state, { io: askedIo, folder: folder.path });
  try {
    stage.act('A volume of four drives');
    stage.say(`Everything happens in ${folder.path}, on image files. Nothing needs root.`);
    stage.command(`locum ${locum.serveArgs().join(' ')} &`);
    await locum.start();
    stage.command(`export LOCUM_STATE=${state}; cd ${folder.path}`);
    const drives = [0, 1, 2, 3].map((slot) => join(folder.path, `drive${slot}.img`));
    await createVolume(stage, locum);

    const { sizeBytes, io } = await locum.statusOf(volume);
    const figures: Figures = {
      acknowledgedWrites: 0,
      acknowledgedBytes: 0,
      comparedBytes: 0,
      longestPauseMs: 0,
      heldReadMs: 0,
    };
    const cast: Cast = { stage, locum, folder: folder.path, ledger: ledgerFor(sizeBytes), figures };

    stage.act('Act one: one drive away, another one dies');
    await play(cast, { away: 1, failing: 3, kill: false, drives });
    stage.act('Act two: the same, and the server is killed in the middle');
    await play(cast, { away: 2, failing: 0, kill: true, drives });

    stage.act('Act three: new firmware for every drive, and one dies meanwhile');
    await playFirmware(cast, drives);

    stage.act('What happened');
    summary(stage, figures, io, (performance.now() - startedMs) / 1000);
  } catch (error) {
    if (locum.server.output.trim() !== '') {
      console.error(`\nWhat the server said last:\n${locum.server.output.slice(-4000)}`);
    }
    throw error;
  } finally {
    await locum.stop();
    if (values.keep) stage.say(`The images are still in ${folder.path}.`);
    else await folder.remove();
  }
}

async function createVolume(stage: Stage, locum: Locum): Promise<void> {
  const drives = ['drive0.img', 'drive1.img', 'drive2.img', 'drive3.img'];
  const size = `${memberBytes / mebi}MiB`;
  await stage.run(
    locum,
    'volume',
    'create',
    volume,
    '--level',
    '5',
    '--drive',
    ...drives,
    '--image-size',
    size,
    '--log',
    'log-a.img',
    'log-b.img',
    '--log-size',
    size,
  );
  await locum.until(volume, 'optimal', (status) => status.state === 'optimal');
  await stage.run(locum, 'status', volume);
}

function summary(stage: Stage, figures: Figures, io: string, seconds: number): void {
  const { acknowledgedWrites, acknowledgedBytes, comparedBytes } = figures;
  stage.good('twice a drive was away and another one died; once the server was killed as well');
  stage.good('every drive was flashed while the host wrote, though one died in the middle of it');
  stage.good(
    `${acknowledgedWrites} writes (${megabytes(acknowledgedBytes)}) acknowledged, none lost`,
  );
  stage.good(`${megabytes(comparedBytes)} read back and compared, no byte wrong, parity right`);
  stage.good(
    `longest pause of the host when a window opened: ${figures.longestPauseMs.toFixed(0)} ms`,
  );
  stage.good(
    `longest a read was held: ${(figures.heldReadMs / 1000).toFixed(1)} s, answered right`,
  );
  stage.good(`${seconds.toFixed(0)} s in all, I/O by ${io}`);
  console.log('\nTo try it yourself:\n');
  console.log('   bin/locum serve --state .locum &');
  console.log(
    '   bin/locum volume create first --state .locum --level 1 \\\n' +
      '       --drive a.img b.img --image-size 256MiB --log l.img m.img --log-size 64MiB',
  );
  console.log('   bin/locum status --state .locum --watch\n');
}

try {
  await main();
} catch (error) {
  const text =
    error instanceof DemoFailed ? error.message : error instanceof Error ? error.stack : error;
  console.error(`\nThe demo failed: ${String(text)}`);
  process.exitCode = 1;
}
