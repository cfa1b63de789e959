/**
 * The last act of the demo: new firmware for every drive of the volume, simulated ones here, while a host writes. Another
 * drive dies while one is being flashed; the update halts, says why, and goes on when the drive is replaced.
 */

import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutReport } from '../../src/core/rollout-report.ts';
import { BackgroundWriter } from '../../tests/support/ledger.ts';
import { DemoFailed } from './stage.ts';
import { type Cast, collect, compareAll, makeDrive, volume } from './story.ts';

const VERSION = '2.1';
const WAIT_MS = 120_000;

/** `drives`: where the drives of the slots are now. `failing` dies while the one before it is flashed. */
export async function playFirmware(cast: Cast, drives: readonly string[]): Promise<void> {
  const { stage, locum, ledger, folder } = cast;
  const failing = drives.length - 1;
  const writer = new BackgroundWriter({
    connect: () => locum.connect(volume),
    ledger,
    inFlight: 4,
    pauseMs: 20,
    blocksMax: 4,
  });
  stage.step('Which firmware do the drives have?');
  stage.say('Every image file is a simulated drive with firmware slots of its own.');
  await stage.run(locum, 'firmware', 'inventory', volume);
  await writer.start();

  stage.step('One command for all of them, with the host writing');
  await writeFile(join(folder, 'fw.bin'), `LOCUM-FIRMWARE ${VERSION}\n${'firmware '.repeat(2000)}`);
  const update = ['firmware', 'update', volume, '--all', '--image', 'fw.bin', '--soak', '1s'];
  await stage.run(locum, ...update, '--dry-run');
  await stage.run(locum, ...update, '--detach');
  await until(cast, 'flashing the second drive', ({ drives: all }) =>
    ['stage', 'activate', 'identify'].includes(all[1]?.step ?? ''),
  );

  stage.step(`Drive ${failing} dies while drive 1 is being flashed`);
  const path = drives[failing] ?? '';
  stage.command(`rm ${basename(path)}`);
  await rm(path);
  const halted = await until(cast, 'halted', ({ state }) => state === 'halted');
  await until(cast, 'at rest', ({ drives: all }) =>
    all.every(({ state }) => state !== 'running' && state !== 'soaking'),
  );
  stage.good('the drive at work was let finish or was called back; no other one goes');
  await stage.run(locum, 'firmware', 'status');
  stage.check(halted.next.includes('resume'), 'it says what to do next');

  stage.step('It is replaced, and the update goes on where it was');
  await locum.until(volume, 'degraded', ({ state }) => state === 'degraded');
  const fresh = await makeDrive(cast, `drive${failing}-last.img`);
  await stage.runLive(
    locum,
    'drive',
    'replace',
    volume,
    String(failing),
    '--with',
    fresh,
    '--wait',
  );
  await locum.until(volume, 'optimal', ({ state }) => state === 'optimal');
  await stage.runLive(locum, 'firmware', 'resume');
  const over = await until(cast, 'done', ({ state }) => state === 'done');
  stage.check(
    over.drives.every(({ firmwareAfter }) => firmwareAfter === VERSION),
    `every drive has ${VERSION}, the new one too`,
  );
  await writer.stop();
  collect(cast.figures, writer);
  stage.check(writer.errors.length === 0, 'the host never saw an error');
  await compareAll(cast);
}

async function until(
  { locum }: Cast,
  what: string,
  is: (rollout: RolloutReport) => boolean,
): Promise<RolloutReport> {
  const limitMs = performance.now() + WAIT_MS;
  for (;;) {
    const { rollouts } = (await locum.ask('/v1/rollouts')) as { rollouts: RolloutReport[] };
    const rollout = rollouts.at(-1);
    if (rollout && is(rollout)) return rollout;
    if (performance.now() > limitMs) {
      throw new DemoFailed(`the update is not ${what}: ${JSON.stringify(rollout, null, 2)}`);
    }
    await sleep(50);
  }
}
