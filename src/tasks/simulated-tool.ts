/**
 * The tool of the simulated drive (simulated.ts): what nvme or sg_write_buffer is to a real one, a process of its own that
 * may hang, print too much, fail, or say that it was done when it was not.
 *
 *   simulated-tool.js stage IMAGE FIRMWARE | activate IMAGE [SLOT] | reset IMAGE | self-test IMAGE MS
 */

import { closeSync, ftruncateSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { say } from './say.ts';
import {
  type Fault,
  type FaultKind,
  type FaultStep,
  faultAt,
  faultsAfter,
  imagesOf,
  isGone,
  readSimulated,
  revisionOf,
  type SimulatedDrive,
  sizeOf,
  writeSimulated,
} from './simulated.ts';

const SHORTER_BYTES = 1024 * 1024;
const FLOOD_LINE = `${'the drive says nothing new, again and again '.repeat(20)}`;

const [verb, mainImage = '', argument] = process.argv.slice(2);
const sleep = (delayMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delayMs));

class Refusal extends Error {}

/** A fault happens as often as it says; whoever asks for it uses it up. */
function happens(at: FaultStep, kind: FaultKind): Fault | null {
  const drive = readSimulated(mainImage);
  const fault = faultAt(drive, at, kind);
  if (fault !== null) writeSimulated(mainImage, { faults: faultsAfter(drive.faults, fault) });
  return fault;
}

/** What goes wrong before the drive does anything. */
async function before(at: FaultStep): Promise<void> {
  if (isGone(readSimulated(mainImage), Date.now())) throw new Refusal('no such device');
  if (happens(at, 'hang') !== null) {
    process.on('SIGTERM', () => {});
    for (;;) await sleep(60_000);
  }
  const flood = happens(at, 'flood');
  if (flood !== null) {
    const untilMs = flood.ms === undefined ? Number.POSITIVE_INFINITY : Date.now() + flood.ms;
    while (Date.now() < untilMs) {
      say(FLOOD_LINE.repeat(64));
      await sleep(1);
    }
  }
  await sleep(happens(at, 'slow')?.ms ?? 0);
  if (happens(at, 'fail') !== null) throw new Refusal('input/output error');
}

/** What is another drive, or a worse one, afterwards. */
function after(at: FaultStep): void {
  const drive = readSimulated(mainImage);
  const change: Partial<SimulatedDrive> = {};
  if (happens(at, 'other-serial')) change.serial = `${drive.serial}-OTHER`;
  if (happens(at, 'other-model')) change.model = `${drive.model} II`;
  if (happens(at, 'block-size')) change.logicalBlockBytes = 4096;
  if (happens(at, 'failing')) {
    change.health = 'failing';
    change.healthNote = 'the simulated drive was told to fail';
  }
  if (happens(at, 'capacity')) {
    const image = imagesOf(mainImage)[0];
    if (image !== undefined) truncateSync(image, Math.max(0, sizeOf(image)! - SHORTER_BYTES));
  }
  if (happens(at, 'blank')) imagesOf(mainImage).forEach(zero);
  const gone = happens(at, 'gone');
  if (gone !== null) {
    change.goneUntil = gone.ms === undefined ? 'for-good' : Date.now() + gone.ms;
  }
  if (Object.keys(change).length > 0) writeSimulated(mainImage, change);
}

function zero(image: string): void {
  const sizeBytes = sizeOf(image)!;
  const fd = openSync(image, 'r+');
  ftruncateSync(fd, 0);
  ftruncateSync(fd, sizeBytes);
  closeSync(fd);
}

/** The controller chooses a slot that is neither read-only nor the one at work. */
function stage(firmwareFile: string): void {
  const drive = readSimulated(mainImage);
  const isTaken = happens('stage', 'unchanged') === null;
  const revision = isTaken ? revisionOf(readFileSync(firmwareFile)) : drive.firmware;
  const slot = drive.slots['2'] === drive.firmware ? '3' : '2';
  writeSimulated(mainImage, {
    slots: { ...drive.slots, [slot]: revision },
    stagedSlot: slot,
  });
  say(`firmware ${revision} stored in slot ${slot}`);
}

function activate(slotAsked: string | undefined): void {
  const drive = readSimulated(mainImage);
  const slot = slotAsked ?? drive.stagedSlot;
  const revision = slot === null ? undefined : drive.slots[slot];
  if (revision === undefined) throw new Refusal('there is no firmware in that slot');
  const firmware = happens('activate', 'unchanged') === null ? revision : drive.firmware;
  const goneUntil = Date.now() + drive.activationMs;
  writeSimulated(mainImage, { firmware, stagedSlot: null, goneUntil });
  say(`slot ${slot} is active`);
}

async function selfTest(durationMs: number): Promise<void> {
  const pieces = 20;
  for (let i = 0; i < pieces; i += 1) {
    await sleep(durationMs / pieces);
    say(`${Math.round(((i + 1) / pieces) * 100)} %`);
  }
  if (readSimulated(mainImage).health === 'failing' || happens('diagnose', 'failing') !== null) {
    throw new Refusal('self-test: failed: read element');
  }
  say('self-test: completed without error');
}

try {
  switch (verb) {
    case 'stage':
      await before('stage');
      stage(argument!);
      after('stage');
      break;
    case 'activate':
      await before('activate');
      activate(argument);
      after('activate');
      break;
    case 'reset':
      await before('reset');
      writeSimulated(mainImage, {
        goneUntil: Date.now() + readSimulated(mainImage).activationMs,
      });
      say('the controller was reset');
      after('reset');
      break;
    case 'self-test':
      await before('diagnose');
      await selfTest(Number(argument));
      after('diagnose');
      break;
    default:
      throw new Refusal(`unknown: ${verb}`);
  }
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
