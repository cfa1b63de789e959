/**
 * The simulated drive of an image file, so that everybody can try a firmware update without a drive to lose. What a real
 * drive keeps in its controller is kept beside the image, in `IMAGE.drive.json`, which is made when first needed and may
 * be edited: it also says which faults the drive has.
 *
 * Several images can be partitions of one drive: `{ "partOf": "/path/of/main.img" }` beside each of them, and the drive
 * itself beside main.img, which may hold a part of the data itself or need not exist.
 *
 * Only its tool (simulated-tool.ts) changes the file, once it is made; every change is a new file renamed over the old.
 */

import { createHash } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export const faultSteps = ['probe', 'stage', 'activate', 'reset', 'diagnose', 'verify'] as const;
export type FaultStep = (typeof faultSteps)[number];

export const faultKinds = [
  /** Says that it was done, and the firmware is what it was. */
  'unchanged',
  /** The command ends with an error and has changed nothing. */
  'fail',
  /** Does not answer afterwards: for `ms`, or for good without. */
  'gone',
  'other-serial',
  'other-model',
  /** The image file is made shorter by 1 MiB. */
  'capacity',
  'block-size',
  /** The contents of the image file are zeroed. */
  'blank',
  /** The tool does not end by itself, and does not listen to SIGTERM either. */
  'hang',
  /** The tool prints and prints: for `ms`, or until it is ended. */
  'flood',
  /** Takes `ms` longer. */
  'slow',
  /** The drive says of itself that it is about to fail; a self-test fails. */
  'failing',
  /** What lies at `offsetBytes`, `lengthBytes` long, cannot be read. */
  'bad-read',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  at: FaultStep;
  kind: FaultKind;
  ms?: number;
  offsetBytes?: number;
  lengthBytes?: number;
  /** How often it still happens; always without. */
  times?: number;
}

export interface SimulatedDrive {
  model: string;
  serial: string;
  firmware: string;
  /** What the firmware slots hold, by their numbers. Slot 1 cannot be written. */
  slots: Record<string, string>;
  /** The slot that the next activation makes current; null: nothing was downloaded. */
  stagedSlot: string | null;
  logicalBlockBytes: number;
  physicalBlockBytes: number;
  health: 'ok' | 'failing';
  healthNote: string;
  /** How long it does not answer after an activation or a reset. */
  activationMs: number;
  selfTestMs: number;
  /** Milliseconds since 1970, `for-good`, or null while it answers. */
  goneUntil: number | 'for-good' | null;
  faults: Fault[];
}

export const sidecarOf = (image: string): string => `${image}.drive.json`;

/** The image whose sidecar describes the drive that this image is on: usually itself. */
export function mainImageOf(image: string): string {
  const path = resolve(image);
  const partOf = readSidecar(path)?.['partOf'];
  return typeof partOf === 'string' ? resolve(dirname(path), partOf) : path;
}

/** Every image of the drive, the main one first if it is there. They lie in one directory. */
export function imagesOf(mainImage: string): string[] {
  const directory = dirname(mainImage);
  const suffix = sidecarOf('');
  const parts = namesIn(directory)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(directory, name.slice(0, -suffix.length)))
    .filter((image) => image !== mainImage && mainImageOf(image) === mainImage);
  return [mainImage, ...parts.toSorted()].filter((image) => sizeOf(image) !== null);
}

/** Of all its images; null when none of them is there. */
export function capacityOf(mainImage: string): number | null {
  const sizes = imagesOf(mainImage).map((image) => sizeOf(image) ?? 0);
  return sizes.length === 0 ? null : sizes.reduce((sum, size) => sum + size, 0);
}

/** What the sidecar says, with what it leaves out filled in; without a sidecar, a new drive. */
export function readSimulated(mainImage: string): SimulatedDrive {
  return { ...newDrive(mainImage), ...(readSidecar(mainImage) as Partial<SimulatedDrive> | null) };
}

/** Makes the sidecar if there is none. A directory that cannot be written is no trouble until something changes. */
export function ensureSidecar(mainImage: string): void {
  if (readSidecar(mainImage) !== null) return;
  try {
    const text = `${JSON.stringify(newDrive(mainImage), null, 2)}\n`;
    writeFileSync(sidecarOf(mainImage), text, { flag: 'wx', mode: 0o600 });
  } catch {
    // It is there already, or cannot be: the defaults are the same every time.
  }
}

export function writeSimulated(mainImage: string, change: Partial<SimulatedDrive>): void {
  const text = JSON.stringify({ ...readSimulated(mainImage), ...change }, null, 2);
  const directory = mkdtempSync(join(dirname(mainImage), '.drive-'));
  const fresh = join(directory, 'json');
  writeFileSync(fresh, `${text}\n`, { mode: 0o600 });
  renameSync(fresh, sidecarOf(mainImage));
  rmdirSync(directory);
}

export const faultAt = (drive: SimulatedDrive, at: FaultStep, kind: FaultKind): Fault | null =>
  drive.faults.find((fault) => fault.at === at && fault.kind === kind && fault.times !== 0) ?? null;

/** The faults after one of them has happened. */
export const faultsAfter = (faults: readonly Fault[], happened: Fault): Fault[] =>
  faults.map((fault) =>
    fault === happened && fault.times !== undefined ? { ...fault, times: fault.times - 1 } : fault,
  );

export const isGone = (drive: SimulatedDrive, nowMs: number): boolean =>
  drive.goneUntil === 'for-good' || (drive.goneUntil !== null && nowMs < drive.goneUntil);

/** `LOCUM-FIRMWARE 1.2` in the first line of an image says its revision; any other file has one made of its contents. */
export function revisionOf(image: Buffer): string {
  const line = image.subarray(0, 256).toString('utf8').split('\n')[0]!;
  const named = /^LOCUM-FIRMWARE\s+(\S.*)$/.exec(line.trim());
  return named?.[1]?.trim() ?? createHash('sha256').update(image).digest('hex').slice(0, 8);
}

const newDrive = (mainImage: string): SimulatedDrive => ({
  model: 'Locum Simulated Drive',
  serial: `SIM-${createHash('sha256').update(realPath(mainImage)).digest('hex').slice(0, 8)}`,
  firmware: '1.0',
  slots: { '1': '1.0' },
  stagedSlot: null,
  logicalBlockBytes: 512,
  physicalBlockBytes: 4096,
  health: 'ok',
  healthNote: '',
  activationMs: 500,
  selfTestMs: 1000,
  goneUntil: null,
  faults: [],
});

/** Why what is beside the image cannot be used; null when it can, or when there is nothing. */
export function sidecarTrouble(image: string): string | null {
  let text: string;
  try {
    text = readFileSync(sidecarOf(image), 'utf8');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : String(error);
  }
  return parseObject(text) === null ? `${sidecarOf(image)} is not valid JSON` : null;
}

function readSidecar(image: string): Record<string, unknown> | null {
  try {
    return parseObject(readFileSync(sidecarOf(image), 'utf8'));
  } catch {
    return null;
  }
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export function sizeOf(image: string): number | null {
  try {
    const stat = statSync(image);
    return stat.isFile() ? stat.size : null;
  } catch {
    return null;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return join(dirname(path), basename(path));
  }
}
