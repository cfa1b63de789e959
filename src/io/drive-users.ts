/**
 * Who is using a block device or an image file, as /proc and /sys tell it. Nothing here is decided
 * by these answers alone (the kernel and the locks decide); they turn "busy" into a sentence that
 * names the user.
 */

import fs from 'node:fs';
import path from 'node:path';

/** `/sys/dev/block/8:1` for a device number. */
export function sysfsOf(device: number): string {
  return `/sys/dev/block/${numberOf(device)}`;
}

const numberOf = (device: number): string => `${major(device)}:${minor(device)}`;

/** Device numbers of Linux: 12 bits of major, 20 of minor, interleaved for history's sake. */
export const major = (device: number): number => Math.floor(device / 256) % 4096;
export const minor = (device: number): number =>
  (device % 256) + Math.floor(device / 2 ** 20) * 256;

/**
 * Where the device or one of its partitions is mounted; `swap` when it is swap space; null when
 * neither.
 */
export function mountedAt(device: number): string | null {
  const numbers = new Set([device, ...partitionsOf(device)].map(numberOf));
  const isOne = (name: string): boolean => {
    const stat = statOf(name);
    return stat !== null && stat.isBlockDevice() && numbers.has(numberOf(stat.rdev));
  };
  for (const line of readLines('/proc/self/mountinfo')) {
    // … 8:1 / /mnt/point options - type /dev/sda1 options; btrfs has a number of its own there.
    const fields = line.split(' ');
    const source = unescapeOctal(fields[fields.indexOf('-') + 2] ?? '');
    if (numbers.has(fields[2] ?? '') || (source.startsWith('/dev/') && isOne(source))) {
      return unescapeOctal(fields[4] ?? '');
    }
  }
  return swapPaths().some(isOne) ? 'swap' : null;
}

/**
 * Names of the block devices built on this one or on its partitions (md arrays, device-mapper),
 * with commas.
 */
export function holdersOf(device: number): string | null {
  const places = [device, ...partitionsOf(device)].map((one) => `${sysfsOf(one)}/holders`);
  const names = places.flatMap((place) => readNames(place));
  return names.length > 0 ? [...new Set(names)].join(', ') : null;
}

/** Of the file that was found to be `wanted`. */
export function isSwapFile(wanted: fs.Stats): boolean {
  return swapPaths().some((swap) => {
    const stat = statOf(swap);
    return stat !== null && stat.ino === wanted.ino && stat.dev === wanted.dev;
  });
}

/** The loop device that an image file is behind; null when there is none. The file may hang, so this waits its turn. */
export async function loopDeviceOf(file: string): Promise<string | null> {
  let real: string;
  try {
    real = await fs.promises.realpath(file);
  } catch {
    return null;
  }
  for (const name of readNames('/sys/block')) {
    if (name.startsWith('loop') && backingFileOf(name) === real) return `/dev/${name}`;
  }
  return null;
}

/** The file behind a loop device, by its name (`loop0`). */
export function backingFileOf(name: string): string | null {
  return readLines(`/sys/block/${name}/loop/backing_file`)[0] ?? null;
}

/**
 * The name of the whole disk of a device: `sda` for sda1; of a device on exactly one other (dm,
 * md), that one's.
 */
export function wholeDiskOf(device: number): string {
  let place: string;
  try {
    place = fs.realpathSync(sysfsOf(device));
  } catch {
    return numberOf(device);
  }
  if (fs.existsSync(`${place}/partition`)) place = path.dirname(place);
  const below = readNames(`${place}/slaves`);
  const only = below.length === 1 ? deviceNumberOf(below[0]!) : null;
  return only === null ? path.basename(place) : wholeDiskOf(only);
}

function partitionsOf(device: number): number[] {
  const place = sysfsOf(device);
  return readNames(place)
    .filter((name) => fs.existsSync(`${place}/${name}/partition`))
    .map((name) => deviceNumberOf(name))
    .filter((number) => number !== null);
}

function deviceNumberOf(name: string): number | null {
  const [text] = readLines(`/sys/class/block/${name}/dev`);
  const [high, low] = (text ?? '').split(':').map(Number);
  if (high === undefined || low === undefined) return null;
  return (low % 256) + high * 256 + Math.floor(low / 256) * 2 ** 20;
}

function swapPaths(): string[] {
  return readLines('/proc/swaps')
    .slice(1)
    .map((line) => unescapeOctal(line.split(/\s/)[0] ?? ''));
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );

function statOf(name: string): fs.Stats | null {
  try {
    return fs.statSync(name);
  } catch {
    return null;
  }
}

function readLines(file: string): string[] {
  try {
    return fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function readNames(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}
