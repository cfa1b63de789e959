/**
 * Which drive a path is on. A firmware update is about a whole drive: its partitions, the namespaces of an NVMe controller,
 * and the images of one simulated drive are away together. The kernel's /sys says so for devices, the sidecars for images.
 *
 * A device on top of others (dm, md, loop) is a drive of its own here, which no tool can flash; `sitsOn` names what is
 * below, because that must not go away under it unnoticed either.
 */

import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Transport } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import { holdersOf, major, minor, mountedAt } from '../io/drive-users.ts';
import type { TaskContext } from './context.ts';
import { imagesOf, mainImageOf } from './simulated.ts';

export interface PhysicalDrive {
  /** Equal for two paths on one drive: `sda`, `nvme0`, the path of the main image. */
  readonly key: string;
  /** What tools are given: `/dev/sda`, `/dev/nvme0n1`, the main image. */
  readonly path: string;
  readonly transport: Transport;
  /** Everything on it that could be a member, as paths, the drive itself included. */
  readonly parts: readonly string[];
  /** Keys of the drives below, and files behind a loop device; empty for a real drive. */
  readonly sitsOn: readonly string[];
}

/** Refused: nothing there, or neither a device nor a regular file. */
export function physicalDrive(path: string, context: TaskContext): Outcome<PhysicalDrive> {
  let real: string;
  try {
    real = realpathSync(path);
  } catch {
    // The main image of a simulated drive need not exist; its parts do.
    const parts = imagesOf(path);
    return parts.length > 0 ? done(imageDrive(path)) : refuse('drive-path-missing', { path });
  }
  const stat = statSync(real);
  if (stat.isFile()) return done(imageDrive(mainImageOf(real)));
  if (!stat.isBlockDevice()) {
    return refuse('drive-not-a-drive', { path, found: 'neither a device nor a file' });
  }
  return deviceDrive(path, `${major(stat.rdev)}:${minor(stat.rdev)}`, context.sysRoot);
}

const imageDrive = (mainImage: string): PhysicalDrive => ({
  key: mainImage,
  path: mainImage,
  transport: 'image',
  parts: imagesOf(mainImage),
  sitsOn: [],
});

/** Exported for its test, which has a model of /sys and no devices. `number` is `8:1`. */
export function deviceDrive(path: string, number: string, sysRoot: string): Outcome<PhysicalDrive> {
  let place: string;
  try {
    place = realpathSync(join(sysRoot, 'dev/block', number));
  } catch {
    return refuse('drive-no-answer', { path, reason: 'the kernel knows nothing of it any more' });
  }
  if (existsSync(join(place, 'partition'))) place = dirname(place);
  const name = basename(place);
  const nvme = nvmeOf(place, sysRoot);
  if (nvme !== null) return done(nvme);
  return done({
    key: name,
    path: `/dev/${name}`,
    transport: transportOf(name, place),
    parts: withPartitions(place).map((part) => `/dev/${part}`),
    sitsOn: sitsOn(place, sysRoot),
  });
}

/** Whether a disk speaks SCSI itself or is an ATA drive behind the kernel's translation, its vendor field tells. */
function transportOf(name: string, place: string): Transport {
  if (!/^sd[a-z]+$/.test(name)) return 'other';
  return readLine(join(place, 'device/vendor')) === 'ATA' ? 'ata' : 'scsi';
}

/**
 * With multipath, a namespace hangs below a subsystem, which has one or more controllers; without, below its controller.
 * Firmware belongs to the controller, so every namespace of it is on the same drive.
 */
function nvmeOf(place: string, sysRoot: string): PhysicalDrive | null {
  const name = basename(place);
  const controllerName = /^(nvme\d+)n\d+$/.exec(name)?.[1];
  if (controllerName === undefined) return null;
  const owner = linkName(join(place, 'device')) ?? controllerName;
  const namespaces = namesIn(join(sysRoot, 'block')).filter(
    (other) =>
      /^nvme\d+n\d+$/.test(other) && linkName(join(sysRoot, 'block', other, 'device')) === owner,
  );
  const blocks = namespaces.length > 0 ? namespaces : [name];
  return {
    key: owner,
    path: `/dev/${name}`,
    transport: 'nvme',
    parts: blocks
      .flatMap((block) => withPartitions(realOr(join(sysRoot, 'block', block))))
      .map((part) => `/dev/${part}`),
    sitsOn: [],
  };
}

/**
 * Refused when a part of the drive that is none of `members` is in use: its file system would be away, too. The parts that
 * are members are open in this server, and the drive as a whole is not in the way of its parts.
 *
 * Members of null: this server has let go of all of it, and nobody may have taken any of it since.
 */
export function checkUnused(
  drive: PhysicalDrive,
  members: readonly string[] | null,
): Outcome<void> {
  const ours = new Set((members ?? []).map(realOr));
  // The whole is said to be in use when a part of it is: the part says more.
  for (const path of drive.parts.toReversed()) {
    if (members !== null && (path === drive.path || ours.has(path))) continue;
    const stat = statOr(path);
    if (stat === null || !stat.isBlockDevice()) continue;
    const mountPoint = mountedAt(stat.rdev);
    if (mountPoint !== null) return refuse('drive-mounted', { path, mountPoint });
    const by = holdersOf(stat.rdev);
    if (by !== null) return refuse('drive-busy', { path, by });
  }
  return done(undefined);
}

function statOr(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** The controllers of an NVMe namespace (`/dev/nvme0n1`), by name; more than one with multipath. */
export function nvmeControllers(path: string, sysRoot: string): string[] {
  const place = realOr(join(sysRoot, 'block', basename(path)));
  const owner = linkName(join(place, 'device'));
  const isController = (name: string): boolean => /^nvme\d+$/.test(name);
  if (owner !== null && isController(owner)) return [owner];
  const ofSubsystem =
    owner === null
      ? []
      : namesIn(join(sysRoot, 'class/nvme-subsystem', owner)).filter(isController);
  if (ofSubsystem.length > 0) return ofSubsystem;
  const named = /^(nvme\d+)n\d+$/.exec(basename(path))?.[1];
  return named === undefined ? [] : [named];
}

function sitsOn(place: string, sysRoot: string): string[] {
  const below = namesIn(join(place, 'slaves')).map((name) => {
    const lower = realOr(join(sysRoot, 'class/block', name));
    const disk = existsSync(join(lower, 'partition')) ? dirname(lower) : lower;
    return linkNameOfNvme(disk) ?? basename(disk);
  });
  const file = readLine(join(place, 'loop/backing_file'));
  return [...new Set([...below, ...(file === '' ? [] : [file])])];
}

const linkNameOfNvme = (place: string): string | null =>
  basename(place).startsWith('nvme') ? linkName(join(place, 'device')) : null;

const withPartitions = (place: string): string[] => [
  basename(place),
  ...namesIn(place).filter((name) => existsSync(join(place, name, 'partition'))),
];

function linkName(link: string): string | null {
  try {
    return basename(realpathSync(link));
  } catch {
    return null;
  }
}

function realOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch {
    return [];
  }
}

function readLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n')[0]!.trim();
  } catch {
    return '';
  }
}
