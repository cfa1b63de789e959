/**
 * The SCSI disks of the lab: those of the kernel's module scsi_debug, each on a host adapter and a store of its own, so
 * that no two share a byte and each has its own serial number. They live in memory and are real to everything above: they
 * can be pulled, come back with what they held, and be joined by new ones.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../../support/locum.ts';
import { mustRun } from '../../support/processes.ts';

/** Where tests/lab/tools/drive-tool keeps what it plays. */
const labFolder = '/run/lab';
const toolsPath = join(labFolder, 'bin');
const factoryRevision = '0191';
const patienceMs = 240_000;

/** What a disk does at its next download; the tool says what each word means. */
export type Behaviour =
  | 'hang'
  | 'gone'
  | 'unmoved'
  | `slow ${number}`
  | `flood ${number}`
  | `signal ${string}`;

export interface DiskOptions {
  readonly count: number;
  readonly sizeMebi: number;
  readonly sectorBytes?: 512 | 4096;
}

/** Loads a module of the lab's kernel; its parameters as `name=value`. */
export async function loadModule(name: string, ...parameters: readonly string[]): Promise<void> {
  await mustRun('modprobe', ['-d', process.env['LAB_ROOT'] ?? '/', name, ...parameters]);
}

export async function waitUntil(what: string, holds: () => boolean): Promise<void> {
  const limitMs = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > limitMs) throw new Error(`waited in vain until ${what}`);
    await sleep(50);
  }
}

const disksNow = (): string[] =>
  readdirSync('/sys/block')
    .filter((name) => name.startsWith('sd'))
    .sort()
    .map((name) => `/dev/${name}`);

export class Disks {
  readonly #addresses = new Map<string, string>();

  /** Loads the modules, waits for the disks, and puts the tools of the lab before the real ones in PATH. */
  static async plugIn(options: DiskOptions): Promise<Disks> {
    for (const folder of ['bin', 'firmware', 'behaviour']) {
      mkdirSync(join(labFolder, folder), { recursive: true });
    }
    for (const tool of ['sg_inq', 'smartctl', 'sg_write_buffer']) {
      symlinkSync(join(repositoryRoot, 'tests/lab/tools/drive-tool'), join(toolsPath, tool));
    }
    process.env['PATH'] = `${toolsPath}:${process.env['PATH'] ?? ''}`;
    await loadModule('sd_mod');
    await loadModule('sg');
    await loadModule(
      'scsi_debug',
      `add_host=${options.count}`,
      'per_host_store=1',
      `dev_size_mb=${options.sizeMebi}`,
      `sector_size=${options.sectorBytes ?? 512}`,
      'delay=0',
    );
    const disks = new Disks();
    await waitUntil('the disks are there', () => disksNow().length === options.count);
    for (const path of disksNow()) disks.#learn(path);
    return disks;
  }

  get paths(): string[] {
    return [...this.#addresses.keys()].sort();
  }

  /** Pulls the disk out of the machine. What it holds stays on it. Answers where it was plugged in. */
  async pull(path: string): Promise<string> {
    const address = this.#addressOf(path);
    writeFileSync(`/sys/block/${basename(path)}/device/delete`, '1');
    await waitUntil(`${path} is gone`, () => !existsSync(path));
    this.#addresses.delete(path);
    return address;
  }

  /** Looks for disks on the adapter where one was pulled; answers with the path it has now, which may be another. */
  async rescan(address: string): Promise<string> {
    const [host] = address.split(':');
    writeFileSync(`/sys/class/scsi_host/host${host}/scan`, '- - -');
    return this.#newcomer(`a disk answers at ${address}`);
  }

  /** A new disk, blank, with a serial number of its own. */
  async plugInNew(): Promise<string> {
    writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/add_host', '1');
    return this.#newcomer('the new disk is there');
  }

  /** The revision that the disk itself gives. */
  async revisionOf(path: string): Promise<string> {
    const { stdout } = await mustRun('sg_inq', [path]);
    return /Product revision level: *(\S+)/.exec(stdout)?.[1] ?? '';
  }

  async serialOf(path: string): Promise<string> {
    const { stdout } = await mustRun('sg_vpd', ['-p', 'sn', path]);
    return /serial number: *(\S+)/.exec(stdout)?.[1] ?? '';
  }

  willDo(path: string, behaviour: Behaviour): void {
    writeFileSync(join(labFolder, 'behaviour', this.#addressOf(path)), `${behaviour}\n`);
  }

  /** True once the disk was pulled, by us or because it made itself gone. */
  isGone(path: string): boolean {
    return !existsSync(path);
  }

  /** Forgets a disk that went by itself; answers where it was plugged in. */
  forget(path: string): string {
    const address = this.#addressOf(path);
    this.#addresses.delete(path);
    return address;
  }

  /** Back to the revision from the factory, as a disk of the same model from the shelf has it. */
  resetRevision(path: string): void {
    rmSync(join(labFolder, 'firmware', this.#addressOf(path)), { force: true });
  }

  async #newcomer(what: string): Promise<string> {
    const fresh = (): string | undefined => disksNow().find((path) => !this.#addresses.has(path));
    await waitUntil(what, () => {
      const path = fresh();
      return path !== undefined && existsSync(path);
    });
    return this.#learn(fresh()!);
  }

  #addressOf(path: string): string {
    const address = this.#addresses.get(path);
    if (address === undefined) throw new Error(`${path} is no disk of the lab`);
    return address;
  }

  #learn(path: string): string {
    const [address] = readdirSync(`/sys/block/${basename(path)}/device/scsi_device`);
    this.#addresses.set(path, address!);
    return path;
  }
}

/** An image for these disks: it begins with the revision that it brings, and goes in two pieces. */
export function makeImage(path: string, revision: string): string {
  if (!/^\d{4}$/.test(revision) || revision === factoryRevision) throw new Error('four digits');
  writeFileSync(path, Buffer.concat([Buffer.from(revision), Buffer.alloc(6000, 0x5a)]));
  return path;
}

export const readLine = (path: string): string => readFileSync(path, 'utf8').trim();
