/**
 * The windows of one drive, in all the volumes that have a member on it: planned, opened, closed and called off
 * together.
 *
 * All freeze or none: when one volume refuses, those that are frozen already take the drive back. All return: each
 * volume takes its member back by itself, and one that refuses (another drive, contents that differ) stays frozen, safe
 * and open to another try, while the others have theirs.
 *
 * Which volumes froze together is on record (group-store.ts), written before the first freeze and once more after the
 * last one: a server that dies half-way undoes the rest at its next start. No window counts as open before that is on
 * record, so that none is undone in which anybody has begun. A volume alone needs no entry.
 */

import { explain } from '../../api/errors.ts';
import { done, type Outcome, type Problem, refuse } from '../../core/problems.ts';
import type { Check, WindowPlan, WindowReport } from '../../core/status.ts';
import type { CloseRequest, WindowRequest } from '../../engine/contract.ts';
import type { Asking } from '../asking.ts';
import { type Concern, unwrittenConcern } from '../concerns.ts';
import type { VolumeTable } from '../volume-table.ts';
import { GroupStore, type WindowGroup } from './group-store.ts';
import type { GroupMember, SharedDrive, SharedDrives } from './shared-drive.ts';

export class WindowGroups {
  readonly #table: VolumeTable;
  readonly #asking: Asking;
  readonly #drives: SharedDrives;
  readonly #store: GroupStore;

  /** `path` is null where nothing needs to outlive the process. */
  constructor(
    table: VolumeTable,
    asking: Asking,
    drives: SharedDrives,
    path: string | null,
    retryMs?: number,
  ) {
    this.#table = table;
    this.#asking = asking;
    this.#drives = drives;
    this.#store = new GroupStore(path, (reason) => table.options.onTrouble(reason), retryMs);
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
    const volumes = members.map(({ volume }) => volume);
    const half: WindowGroup = { volumes, complete: false };
    const isGroup = members.length > 1;
    const noted = await (isGroup ? this.#store.set([...this.#all, half]) : this.#store.catchUp());
    if (!noted.ok) return await this.#notOpened(half, [], noted);
    const reports: WindowReport[] = [];
    for (const { volume, slot } of members) {
      const opened = await this.#asking.ask(
        volume,
        'openWindow',
        [{ ...request, drive: String(slot) }],
        done<WindowReport>,
      );
      if (!opened.ok) return await this.#notOpened(half, reports, opened);
      reports.push(opened.value);
      this.#table.options.history.record(opened.value);
      await this.#table.entries.get(volume)?.handle?.refresh();
    }
    if (!isGroup) return done(reports);
    const whole: WindowGroup = { volumes, complete: true };
    const kept = await this.#store.set(this.#all.map((one) => (one === half ? whole : one)));
    return kept.ok ? done(reports) : await this.#notOpened(whole, reports, kept);
  }

  /** Those that are open already are called off. */
  async #notOpened<T>(
    group: WindowGroup,
    reports: readonly WindowReport[],
    refused: Outcome<T> & { ok: false },
  ): Promise<Outcome<never>> {
    await this.#undo(reports.map(({ volume }) => volume));
    // Not written, it is known to be behind: no window is opened before it is.
    if (this.#all.includes(group)) await this.#store.set(this.#all.filter((one) => one !== group));
    return refused;
  }

  get #all(): readonly WindowGroup[] {
    return this.#store.all();
  }

  /** `volume` and those that froze with it, as far as their windows are still open. */
  frozenWith(volume: string): string[] {
    const group = this.#all.find(({ volumes }) => volumes.includes(volume));
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
   * One volume alone; for runs, which ask each by itself until it has the drive. `owner`: the run that holds the rest of
   * the drive that left. The one that comes instead may have got its name.
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

  /**
   * Once the volumes run: groups that never became complete are undone, those that are over are forgotten. A run closes
   * its windows itself when it may; under a tool that is at work nobody takes the drive back (`isWorkedOn`).
   */
  async resume(isWorkedOn: (volume: string) => boolean): Promise<void> {
    const after = new Map<WindowGroup, WindowGroup>();
    for (const group of this.#store.loaded) {
      const { volumes, complete } = group;
      if (complete) after.set(group, group);
      else if (volumes.some(isWorkedOn)) after.set(group, { volumes, complete: true });
      else await this.#undo(volumes.filter((volume) => this.#asking.running(volume).ok));
    }
    const isOfBefore = (group: WindowGroup): boolean => this.#store.loaded.includes(group);
    const left = this.#all.flatMap((one) => (isOfBefore(one) ? (after.get(one) ?? []) : [one]));
    await this.#store.set(left.filter((group) => !this.#isOver(group)));
  }

  /** What no window is opened for, and how a run learns what became of its own after a restart. */
  concerns(volume: string): Concern[] {
    const why = this.#store.whyBehind ?? this.#table.options.history.whyUnwritten(volume);
    return why === null ? [] : [unwrittenConcern('windows-unrecorded', why)];
  }

  /** The server ends. */
  end(): void {
    this.#store.close();
  }

  async #prune(): Promise<void> {
    await this.#store.set(this.#all.filter((group) => !this.#isOver(group)));
  }

  #isOver({ volumes, complete }: WindowGroup): boolean {
    const isShut = (volume: string): boolean => {
      const last = this.#table.entries.get(volume)?.handle?.last;
      return last !== undefined && last?.status.window === null;
    };
    return complete && volumes.every(isShut);
  }
}

/** Two members of one volume are a check that blocks; asking for both would only confuse. */
function oneForEachVolume(members: readonly GroupMember[]): GroupMember[] {
  return members.filter(
    ({ volume }, index) => members.findIndex((one) => one.volume === volume) === index,
  );
}
