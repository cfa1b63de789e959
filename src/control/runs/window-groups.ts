/**
 * The windows of one drive, in all the volumes that have a member on it: planned, opened, closed and called off together.
 *
 * All freeze or none: when one volume refuses, those that are frozen already take the drive back. All return: each volume
 * takes its member back by itself, and one that refuses (another drive, contents that differ) stays frozen, safe and open to
 * another try, while the others have theirs.
 *
 * STATE/window-groups.json says which volumes froze together, because the drive that could tell is away. A group is written
 * before its first freeze: a server that dies half-way undoes the rest at its next start. A volume alone needs no entry.
 */

import { explain } from '../../api/errors.ts';
import { done, type Outcome, type Problem, refuse } from '../../core/problems.ts';
import type { Check, WindowPlan, WindowReport } from '../../core/status.ts';
import type { CloseRequest, WindowRequest } from '../../engine/contract.ts';
import type { Asking } from '../asking.ts';
import { readText, writeFileDurably } from '../json-file.ts';
import type { VolumeTable } from '../volume-table.ts';
import type { GroupMember, SharedDrive, SharedDrives } from './shared-drive.ts';

interface Group {
  readonly volumes: readonly string[];
  /** False until every volume is frozen. */
  complete: boolean;
}

export class WindowGroups {
  readonly #table: VolumeTable;
  readonly #asking: Asking;
  readonly #drives: SharedDrives;
  readonly #path: string | null;
  #groups: Group[] = [];
  #writing: Promise<string | null> = Promise.resolve(null);

  /** `path` is null where nothing needs to outlive the process. */
  constructor(table: VolumeTable, asking: Asking, drives: SharedDrives, path: string | null) {
    this.#table = table;
    this.#asking = asking;
    this.#drives = drives;
    this.#path = path;
  }

  /** The drive and the checks of every volume that has a member on it. */
  async plan(
    volume: string,
    request: WindowRequest,
  ): Promise<Outcome<{ plan: WindowPlan; drive: SharedDrive }>> {
    const found = await this.#drives.find(volume, request.drive);
    if (!found.ok) return found;
    const drive = found.value;
    const checks: Check[] = [];
    for (const member of oneForEachVolume(drive.members)) {
      const planned = await this.#asking.ask(
        member.volume,
        'planWindow',
        [{ ...request, drive: String(member.slot) }],
        done<WindowPlan>,
      );
      if (!planned.ok) return planned;
      const about = (check: Check): Check =>
        member.volume === volume
          ? check
          : { ...check, title: `${check.title} (volume ${member.volume})` };
      checks.push(...planned.value.checks.map(about));
    }
    checks.push(...drive.checks);
    const { slot, path } = drive.members[0] as GroupMember;
    const allowed = checks.every(({ result }) => result !== 'block');
    const { purpose } = request;
    return done({ plan: { allowed, drive: { slot, path }, purpose, checks }, drive });
  }

  /** The report of the volume that was asked comes first. */
  async open(volume: string, request: WindowRequest): Promise<Outcome<WindowReport[]>> {
    const planned = await this.plan(volume, request);
    if (!planned.ok) return planned;
    const { plan, drive } = planned.value;
    if (!plan.allowed) {
      return refuse('window-refused', { volume, drive: request.drive }, plan.checks);
    }
    return this.openAll(drive.members, request);
  }

  async openAll(
    members: readonly GroupMember[],
    request: WindowRequest,
  ): Promise<Outcome<WindowReport[]>> {
    const group: Group = { volumes: members.map(({ volume }) => volume), complete: false };
    if (members.length > 1) {
      this.#groups.push(group);
      const unwritten = await this.#save();
      if (unwritten !== null) {
        this.#groups = this.#groups.filter((one) => one !== group);
        return refuse('state-unusable', { reason: unwritten });
      }
    }
    const reports: WindowReport[] = [];
    for (const { volume, slot } of members) {
      const opened = await this.#asking.ask(
        volume,
        'openWindow',
        [{ ...request, drive: String(slot) }],
        done<WindowReport>,
      );
      if (!opened.ok) {
        await this.#undo(reports.map((report) => report.volume));
        await this.#forget(group);
        return opened;
      }
      reports.push(opened.value);
      this.#table.options.history.record(opened.value);
      await this.#table.entries.get(volume)?.handle?.refresh();
    }
    group.complete = true;
    if (members.length > 1) await this.#save();
    return done(reports);
  }

  /** `volume` and those that froze with it, as far as their windows are still open. */
  frozenWith(volume: string): string[] {
    const group = this.#groups.find(({ volumes }) => volumes.includes(volume));
    return group ? [volume, ...group.volumes.filter((one) => one !== volume)] : [volume];
  }

  /** Every volume takes its member back. The answer is that of `volume`, or the first refusal of another. */
  async close(
    volume: string,
    request: CloseRequest,
    owner: string | null = null,
  ): Promise<Outcome<WindowReport>> {
    const volumes = this.frozenWith(volume);
    // Another path is that of this volume's member; the others have theirs on record.
    const own = await this.closeOne(volume, request, owner);
    const rest = await this.#others(volumes.slice(1), (one) =>
      this.closeOne(one, { ...request, drivePath: null }, owner),
    );
    if (own.ok || own.problem.code === 'window-none') await this.#prune();
    return own.ok && rest !== null ? { ok: false, problem: rest } : own;
  }

  async abort(volume: string): Promise<Outcome<WindowReport>> {
    const volumes = this.frozenWith(volume);
    const own = await this.#abortOne(volume);
    const rest = await this.#others(volumes.slice(1), (one) => this.#abortOne(one));
    await this.#prune();
    return own.ok && rest !== null ? { ok: false, problem: rest } : own;
  }

  /**
   * One volume alone; for runs, which ask each by itself until it has the drive. `owner`: the run that holds the rest of the
   * drive that left. The one that comes instead may have got its name.
   */
  async closeOne(
    volume: string,
    request: CloseRequest,
    owner: string | null,
  ): Promise<Outcome<WindowReport>> {
    const drives = request.drivePath === null ? [] : [request.drivePath];
    const free = await this.#table.claims.check(volume, drives, owner);
    if (!free.ok) return free;
    return this.#table.expecting(volume, { drives, logs: [] }, () =>
      this.#reported(volume, 'closeWindow', request),
    );
  }

  #abortOne(volume: string): Promise<Outcome<WindowReport>> {
    return this.#reported(volume, 'abortWindow', null);
  }

  async #reported(
    volume: string,
    method: 'closeWindow' | 'abortWindow',
    request: CloseRequest | null,
  ): Promise<Outcome<WindowReport>> {
    const keep = async (report: WindowReport): Promise<Outcome<WindowReport>> => {
      const kept = await this.#asking.report(volume, report);
      return kept.ok ? done(report) : kept;
    };
    return method === 'closeWindow' && request !== null
      ? this.#asking.ask(volume, 'closeWindow', [request], keep)
      : this.#asking.ask(volume, 'abortWindow', [], keep);
  }

  async #others(
    volumes: readonly string[],
    act: (volume: string) => Promise<Outcome<WindowReport>>,
  ): Promise<Problem | null> {
    let first: Problem | null = null;
    for (const volume of volumes) {
      const outcome = await act(volume);
      if (!outcome.ok && outcome.problem.code !== 'window-none') first ??= outcome.problem;
    }
    return first;
  }

  async #undo(volumes: readonly string[]): Promise<void> {
    for (const volume of volumes) {
      const aborted = await this.#abortOne(volume);
      if (aborted.ok || aborted.problem.code === 'window-none') continue;
      // It stays frozen, and ends by its time limit at the latest.
      const { message } = explain(aborted.problem);
      this.#table.announce(
        volume,
        'window-not-undone',
        'critical',
        `The window of ${volume} could not be called off: ${message} Close it: locum window close ${volume}`,
      );
    }
  }

  // --- what outlives the server --------------------------------------------------------------------------------------

  /** Once the volumes run: groups that never became complete are undone, those that are over are forgotten. */
  async resume(): Promise<void> {
    const text = this.#path === null ? null : await readText(this.#path);
    const groups = parse(text);
    this.#groups = groups;
    for (const group of groups.filter(({ complete }) => !complete)) {
      await this.#undo(group.volumes.filter((volume) => this.#asking.running(volume).ok));
    }
    this.#groups = groups.filter(({ complete }) => complete);
    await this.#prune();
  }

  async #prune(): Promise<void> {
    const before = this.#groups.length;
    const isOver = ({ volumes, complete }: Group): boolean =>
      complete &&
      volumes.every((volume) => {
        const handle = this.#table.entries.get(volume)?.handle;
        return handle?.last !== undefined && handle.last?.status.window === null;
      });
    this.#groups = this.#groups.filter((group) => !isOver(group));
    if (this.#groups.length !== before) await this.#save();
  }

  async #forget(group: Group): Promise<void> {
    if (!this.#groups.includes(group)) return;
    this.#groups = this.#groups.filter((one) => one !== group);
    await this.#save();
  }

  /** Null: it is durable. Else why not, which was said. */
  #save(): Promise<string | null> {
    const path = this.#path;
    if (path === null) return Promise.resolve(null);
    this.#writing = this.#writing.then(async () => {
      try {
        await writeFileDurably(path, `${JSON.stringify({ groups: this.#groups })}\n`);
        return null;
      } catch (error) {
        const reason = `window-groups.json cannot be written: ${(error as Error).message}`;
        this.#table.options.onTrouble(reason);
        return reason;
      }
    });
    return this.#writing;
  }
}

/** Two members of one volume are a check that blocks; asking for both would only confuse. */
function oneForEachVolume(members: readonly GroupMember[]): GroupMember[] {
  return members.filter(
    ({ volume }, index) => members.findIndex((one) => one.volume === volume) === index,
  );
}

function parse(text: string | null): Group[] {
  if (text === null) return [];
  try {
    const { groups } = JSON.parse(text) as { groups: Group[] };
    return Array.isArray(groups) ? groups : [];
  } catch {
    // A list of addresses and nothing more: the windows themselves are on the drives.
    return [];
  }
}
