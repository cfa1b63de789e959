/**
 * A window is about a drive. Which volumes of this server have a member on it, and what else of theirs is there?
 *
 * "On one drive": partitions of one disk, two names of one thing, an image file. What a path lives on is asked of io/place
 * each time, because device names move.
 */

import { basename } from 'node:path';
import { explain } from '../../api/errors.ts';
import type { Transport } from '../../core/drive-facts.ts';
import { levelByNumber } from '../../core/levels/index.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { Check, DriveStatus, VolumeStatus } from '../../core/status.ts';
import type { Asking } from '../asking.ts';
import type { VolumeTable } from '../volume-table.ts';
import type { RunTools, WholeDrive } from './run-tools.ts';

export interface GroupMember {
  readonly volume: string;
  readonly slot: number;
  readonly path: string;
  readonly uuid: string;
}

export interface SharedDrive {
  /** Equal for everything that is on the same drive. */
  readonly key: string;
  /** The whole drive as a path: `/dev/sdb` of a partition, the file of an image. */
  readonly wholePath: string;
  readonly transport: Transport;
  /** Members on it, the one that was asked for first; one for each volume unless a check says otherwise. */
  readonly members: readonly GroupMember[];
  /** What speaks against taking this drive away. */
  readonly checks: readonly Check[];
}

export class SharedDrives {
  readonly #table: VolumeTable;
  readonly #asking: Asking;
  readonly #tools: RunTools;

  constructor(table: VolumeTable, asking: Asking, tools: RunTools) {
    this.#table = table;
    this.#asking = asking;
    this.#tools = tools;
  }

  /** `drive`: a slot number, a path, a name such as `sdb` (also of the disk of a partition), or the beginning of a uuid. */
  async find(volume: string, drive: string): Promise<Outcome<SharedDrive>> {
    const running = this.#asking.running(volume);
    if (!running.ok) return running;
    await running.value.refresh();
    const status = running.value.last?.status;
    if (!status) return refuse('volume-not-running', { volume });
    const found = await this.#member(status, drive);
    if (!found.ok) return found;
    const member = found.value;
    if (member.slot === null || member.path === '') {
      return refuse('drive-wrong-state', {
        drive: member.path || drive,
        state: member.slot === null ? 'spare' : member.state,
        wanted: 'online',
      });
    }
    const asked = { volume, slot: member.slot, path: member.path, uuid: member.uuid };
    const whole = await this.#tools.wholeDrive(member.path);
    if (!whole.ok) {
      // It has gone: a plan says so (WP004), and nothing else can be said about it.
      const { identity } = await this.#tools.placeOf(member.path);
      const alone = { key: identity, wholePath: member.path, transport: 'other' as const };
      return done({ ...alone, members: [asked], checks: [] });
    }
    const { key, path: wholePath, transport } = whole.value;
    const here = await this.#everythingOn(whole.value, asked);
    const checks = [...checksOf(here), this.#othersOn(whole.value, here)];
    return done({ key, wholePath, transport, members: here.members, checks });
  }

  /** What a drive of this volume must have room for at the least: its share of the data. 0: that is not known. */
  shareOf(volume: string): number {
    const running = this.#asking.running(volume);
    const status = running.ok ? running.value.last?.status : undefined;
    const level = status ? levelByNumber(status.level) : null;
    if (!status || level === null) return 0;
    return Math.ceil(
      status.sizeBytes / level.dataChunks(status.drives.filter(({ slot }) => slot !== null).length),
    );
  }

  /** What speaks against working on the drive of a spare: no window stands in for what else is on it. */
  async checksOfSpare(volume: string, path: string): Promise<Check[]> {
    const whole = await this.#tools.wholeDrive(path);
    if (!whole.ok) return [];
    const here: Contents = { members: [], spares: [], legs: [], stopped: [] };
    await this.#addEverything(whole.value, here);
    const isItself = (one: OnVolume): boolean => one.volume === volume && one.path === path;
    const others = { ...here, spares: here.spares.filter((one) => !isItself(one)) };
    const checks = [memberCheck(others), ...checksOf({ ...others, members: [] })];
    return [...checks, this.#othersOn(whole.value, here)];
  }

  /**
   * Right before a tool touches a drive that this server has let go of: whoever else has come to use it, since it was
   * planned. Null: nobody. `members` are those that are away with it; none of a spare.
   */
  async whyInUse(path: string, members: readonly GroupMember[]): Promise<string | null> {
    const whole = await this.#tools.wholeDrive(path);
    // That it does not answer is found out, and told better, when it is asked who it is.
    if (!whole.ok) return null;
    const here: Contents = { members: [...members], spares: [], legs: [], stopped: [] };
    await this.#addEverything(whole.value, here);
    const added = here.members.slice(members.length);
    const checks = [
      memberCheck({ ...here, members: added }),
      ...checksOf({ ...here, members: [] }),
    ];
    const against = checks.find(({ result }) => result === 'block');
    if (against) return `${against.reason}.`;
    const unused = this.#tools.checkUnused(whole.value, null);
    return unused.ok ? null : explain(unused.problem).message;
  }

  /** Everything on the drive that is none of `members`, itself included: nobody is to be given it meanwhile. */
  async restOf(path: string, members: readonly string[]): Promise<string[]> {
    const whole = await this.#tools.wholeDrive(path);
    if (!whole.ok) return [];
    const placeOf = async (one: string): Promise<string> =>
      (await this.#tools.placeOf(one)).identity;
    const ours = new Set(await Promise.all(members.map(placeOf)));
    const all = [...new Set([whole.value.path, ...whole.value.parts])];
    const places = await Promise.all(all.map(placeOf));
    return all.filter((_, index) => !ours.has(places[index]!));
  }

  #othersOn(whole: WholeDrive, { members, spares, legs, stopped }: Contents): Check {
    const ours = [...members, ...spares, ...legs, ...stopped].map(({ path }) => path);
    const unused = this.#tools.checkUnused(whole, ours);
    return check(
      'WP015',
      'Nobody else uses a part of the drive',
      unused.ok ? '' : explain(unused.problem).message,
      unused.ok ? '' : explain(unused.problem).fix,
    );
  }

  async keyOfPath(path: string): Promise<string> {
    const whole = await this.#tools.wholeDrive(path);
    return whole.ok ? whole.value.key : (await this.#tools.placeOf(path)).identity;
  }

  /** Something is there. */
  async isThere(path: string): Promise<boolean> {
    return !(await this.#tools.placeOf(path)).identity.startsWith('path:');
  }

  async #member(status: VolumeStatus, drive: string): Promise<Outcome<DriveStatus>> {
    const { drives, name: volume } = status;
    const exact = drives.find(
      ({ slot, path }) => path !== '' && (path === drive || String(slot) === drive),
    );
    if (exact) return done(exact);
    const byName = drives.filter(({ path }) => path !== '' && basename(path) === drive);
    if (byName.length === 1) return done(byName[0]!);
    const prefix = drive.toLowerCase();
    const byUuid = drives.filter(({ uuid }) => prefix.length >= 2 && uuid.startsWith(prefix));
    if (byUuid.length === 1) return done(byUuid[0]!);
    if (byUuid.length + byName.length > 1) {
      return refuse('drive-ambiguous', {
        drive,
        volume,
        matches: Math.max(byUuid.length, byName.length),
      });
    }
    return await this.#byPlace(status, drive);
  }

  /** Another name of the member, or of the whole drive that it is on. */
  async #byPlace(
    { drives, name: volume }: VolumeStatus,
    drive: string,
  ): Promise<Outcome<DriveStatus>> {
    const path = drive.includes('/') ? drive : `/dev/${drive}`;
    const { identity } = await this.#tools.placeOf(path);
    const wanted = await this.#tools.wholeDrive(path);
    const isWhole = wanted.ok && [wanted.value.path, wanted.value.key].includes(path);
    for (const member of drives) {
      if (member.path === '') continue;
      const place = await this.#tools.placeOf(member.path);
      const isOn = isWhole && (await this.keyOfPath(member.path)) === wanted.value.key;
      if (place.identity === identity || isOn) return done(member);
    }
    const known = drives.map(({ slot, path }) => `${slot ?? 'spare'} (${path || 'no drive'})`);
    return refuse('drive-unknown', { drive, volume, known: known.join(', ') });
  }

  async #everythingOn(whole: WholeDrive, asked: GroupMember): Promise<Contents> {
    const contents: Contents = { members: [asked], spares: [], legs: [], stopped: [] };
    await this.#addEverything(whole, contents);
    return contents;
  }

  async #addEverything(whole: WholeDrive, contents: Contents): Promise<void> {
    for (const [volume, { handle, problem }] of this.#table.entries) {
      const status = handle !== null && problem === null ? handle.last?.status : undefined;
      if (status) await this.#addRunning(whole, status, contents);
      else await this.#addStopped(whole, volume, contents);
    }
  }

  async #isOn(whole: WholeDrive, path: string): Promise<boolean> {
    if (path === '') return false;
    const one = await this.#tools.wholeDrive(path);
    return one.ok && (one.value.key === whole.key || one.value.sitsOn.includes(whole.key));
  }

  async #addRunning(whole: WholeDrive, status: VolumeStatus, contents: Contents): Promise<void> {
    const { name: volume } = status;
    for (const { slot, path, uuid } of status.drives) {
      if (!(await this.#isOn(whole, path))) continue;
      const isAsked = contents.members.some((one) => one.volume === volume && one.slot === slot);
      if (slot === null) contents.spares.push({ volume, path });
      else if (!isAsked) contents.members.push({ volume, slot, path, uuid });
    }
    for (const { path } of status.log?.legs ?? []) {
      const { fileDisk } = await this.#tools.placeOf(path);
      const isInFile = fileDisk !== null && whole.parts.includes(`/dev/${fileDisk}`);
      if (isInFile || (await this.#isOn(whole, path))) contents.legs.push({ volume, path });
    }
  }

  async #addStopped(whole: WholeDrive, volume: string, contents: Contents): Promise<void> {
    const known = this.#table.options.known.get(volume);
    for (const path of [...(known?.drives ?? []), ...(known?.logs ?? [])]) {
      if (await this.#isOn(whole, path)) contents.stopped.push({ volume, path });
    }
  }
}

interface OnVolume {
  readonly volume: string;
  readonly path: string;
}

interface Contents {
  readonly members: GroupMember[];
  readonly spares: OnVolume[];
  readonly legs: OnVolume[];
  /** Of volumes that are known and do not run. */
  readonly stopped: OnVolume[];
}

const named = (all: readonly OnVolume[]): string =>
  all.map(({ volume, path }) => `${path} of volume ${volume}`).join(', ');

function checksOf({ members, spares, legs, stopped }: Contents): Check[] {
  const volumes = members.map(({ volume }) => volume);
  const twice = members.filter(({ volume }) => volumes.filter((one) => one === volume).length > 1);
  return [
    check(
      'WP010',
      'One member of a volume on the drive',
      twice.length === 0 ? '' : `${named(twice)} are on one drive: both would be away at once`,
      'move one of them to another drive first: locum drive replace',
    ),
    check(
      'WP011',
      'No log leg on the drive',
      legs.length === 0 ? '' : `the log leg ${named(legs)} is on it, and would be away with it`,
      'put the leg on another drive first',
    ),
    check(
      'WP012',
      'No spare on the drive',
      spares.length === 0 ? '' : `the spare ${named(spares)} is on it and in use`,
      'release it first: locum drive remove',
    ),
    ...(stopped.length === 0
      ? []
      : [
          check(
            'WP013',
            'Every volume on the drive runs',
            `${named(stopped)} is on it, and that volume does not run: nothing stands in for it`,
            'harmless as long as it is not started meanwhile',
            'warn',
          ),
        ]),
  ];
}

const memberCheck = ({ members }: Contents): Check =>
  check(
    'WP016',
    'No member on the drive of a spare',
    members.length === 0
      ? ''
      : `${named(members)} is on the same drive: it would be worked on without a window`,
    'name the volume of that member as well, or move one of them to another drive',
  );

const check = (
  id: string,
  title: string,
  reason: string,
  fix: string,
  trouble: 'warn' | 'block' = 'block',
): Check =>
  reason === ''
    ? { id, title, result: 'pass', reason: '', fix: '' }
    : { id, title, result: trouble, reason, fix };
