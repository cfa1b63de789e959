/**
 * The log of a volume: its legs, the log of the open window if there is one, and the stripe log.
 *
 *     idle ──beginEpoch(window)──► logging ──beginReplay──► replaying ──endEpoch──► idle
 *
 *   idle        overlay empty, `window` null; the stripe log works
 *   logging     `window` takes the host's writes; the overlay says what is newer in the log
 *   replaying   the same, and the members change: their image of the freeze is no volume with this log any more
 *
 * All changes are durable on every online leg before they are answered. Each epoch has its own
 * nonce, so nothing of an earlier one can be taken for a record of this one, and nothing has to be
 * erased.
 *
 * The overlay belongs to the log: it changes with the records. The engine may take out (removeIf,
 * removeBelow) what is flushed on the members and recorded as applied in the volume's labels, in
 * that order; after a restart it does so again.
 */

import { assert } from '../../base/assert.ts';
import { EIO, type Errno, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES } from '../../base/units.ts';
import { NIL_UUID, type Uuid } from '../../base/uuid.ts';
import type { LogHeaderState } from '../../core/format/leg-header.ts';
import { SegmentEncoder } from '../../core/format/segment.ts';
import { Overlay } from '../../core/overlay.ts';
import { done, type Outcome } from '../../core/problems.ts';
import type { LegStatus, LogCheck, LogReport, LogStatus } from '../../core/status.ts';
import type { Drive } from '../../io/drive.ts';
import { type LoadedCheckpoint, loadCheckpoint, NO_CHECKPOINT } from './checkpoint-loader.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { chooseLegs, type LogExpectation, type Refused } from './choose-legs.ts';
import { CrcTable } from './crc-table.ts';
import { formatLegs, type NewLog } from './format-legs.ts';
import { viewLeg } from './leg-identity.ts';
import { Legs, type LogEnvironment, type OnLegFailed } from './legs.ts';
import { defaultLimits, type LogLimits } from './limits.ts';
import { recordsArea, reserveBytesOf, stripesArea } from './log-areas.ts';
import { checkLog } from './log-check.ts';
import { EMPTY_LOG, type LogPosition } from './log-position.ts';
import { RecordRecovery, type Recovered } from './recover-records.ts';
import { type FoundStripes, findStripes, NO_STRIPES } from './recover-stripes.ts';
import { replaceLeg } from './replace-leg.ts';
import { StripeLog } from './stripe-log.ts';
import { Upkeep } from './upkeep.ts';
import { WindowLog } from './window-log.ts';

export type { LogExpectation } from './choose-legs.ts';
export { type LegIdentity, peekLeg } from './leg-identity.ts';

export interface LogOptions {
  readonly onLegFailed?: OnLegFailed;
  readonly limits?: Partial<LogLimits>;
}

export interface FormatOptions extends LogOptions, NewLog {}

export interface RecoverySummary extends Omit<Recovered, 'kind'> {
  readonly checkpointEntries: number;
}

export type OpenedLog =
  | { readonly kind: 'recovered'; readonly store: LogStore; readonly recovery: RecoverySummary }
  | { readonly kind: 'idle'; readonly store: LogStore }
  | Refused;

export class LogStore {
  /** Always the same object; empty while idle. */
  readonly overlay = new Overlay();
  readonly stripes: StripeLog;
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #limits: LogLimits;
  readonly #crcs = new CrcTable();
  readonly #zeroes: Address;
  #window: WindowLog | null = null;
  #upkeep: Upkeep | null = null;

  private constructor(
    environment: LogEnvironment,
    legs: Legs,
    limits: LogLimits,
    zeroes: Address,
    found: FoundStripes,
  ) {
    this.#environment = environment;
    this.#legs = legs;
    this.#limits = limits;
    this.#zeroes = zeroes;
    const { bytes, view } = environment.buffers;
    const encoder = new SegmentEncoder(bytes, view, stripesArea(legs.header).identity);
    this.stripes = new StripeLog({ environment, legs, limits, encoder, zeroes, found });
  }

  /**
   * Makes a new log. Whatever was on the drives is gone. The drives belong to the store if this
   * succeeds.
   */
  static async format(
    environment: LogEnvironment,
    drives: readonly Drive[],
    options: FormatOptions,
  ): Promise<Outcome<LogStore>> {
    const made = await formatLegs(environment, drives, options, options.onLegFailed ?? nobody);
    if (!made.ok) return made;
    const limits = { ...defaultLimits, ...environment.limits, ...options.limits };
    const zeroes = await takeZeroes(environment);
    return done(new LogStore(environment, made.value, limits, zeroes, NO_STRIPES));
  }

  /**
   * Opens the log with the legs that are there. The drives belong to the store if there is one in
   * the answer, to the caller otherwise. An open epoch is recovered to its last acknowledged
   * record; legs that are missing then are out.
   */
  static async open(
    environment: LogEnvironment,
    drives: readonly Drive[],
    expected: LogExpectation,
    options: LogOptions = {},
  ): Promise<OpenedLog> {
    const { buffers } = environment;
    const given = [];
    for (const drive of drives) given.push({ drive, view: await viewLeg(buffers, drive) });
    const chosen = chooseLegs(given, expected);
    if (chosen.kind !== 'chosen') return chosen;
    const legs = new Legs(environment, chosen.header, chosen.legs, options.onLegFailed ?? nobody);
    const found = await findStripes(environment, legs, stripesArea(legs.header));
    const limits = { ...defaultLimits, ...environment.limits, ...options.limits };
    const zeroes = await takeZeroes(environment);
    const store = new LogStore(environment, legs, limits, zeroes, found);
    const refusal = await store.#start(chosen.repairHeaders, expected);
    if (refusal === null) return { kind: 'idle', store };
    if (refusal.kind === 'recovered')
      return { kind: 'recovered', store, recovery: refusal.recovery };
    await store.leave();
    return refusal;
  }

  get uuid(): Uuid {
    return this.#legs.header.logUuid;
  }

  get volumeUuid(): Uuid {
    return this.#legs.header.volumeUuid;
  }

  get legUuids(): Uuid[] {
    return this.#legs.all.map((leg) => leg.uuid);
  }

  get epoch(): number {
    return this.#legs.header.epoch;
  }

  /** NIL_UUID while idle. */
  get windowId(): Uuid {
    return this.#legs.header.windowId;
  }

  get state(): LogHeaderState {
    return this.#legs.header.state;
  }

  /** Null while idle. */
  get window(): WindowLog | null {
    return this.#window;
  }

  /** A leg that was replaced is on record at last. */
  onLegJoined: () => void = () => {};

  get onLegFailed(): OnLegFailed {
    return this.#legs.onLegFailed;
  }

  /**
   * Called, and waited for, after a leg was recorded as out and before anything it missed is
   * answered.
   */
  set onLegFailed(callback: OnLegFailed) {
    this.#legs.onLegFailed = callback;
  }

  /**
   * Legs that are not here are out, durably: for a start after a crash. What was under way then may be on one of them alone;
   * this start goes on without it, and none that finds that leg again may bring it back.
   */
  async excludeMissing(): Promise<void> {
    await this.#legs.excludeMissing();
  }

  /** Durable on all online legs when it answers; from then on `window` takes records. */
  async beginEpoch(windowId: Uuid): Promise<Errno> {
    assert(this.state === 'idle' && this.#window === null, 'one window at a time');
    if (!(await this.#legs.excludeMissing())) return EIO;
    const nonce = this.#environment.random(8);
    const change = { state: 'logging', epoch: this.epoch + 1, nonce, windowId } as const;
    if (!(await this.#legs.update(change))) return EIO;
    await this.#openWindow(EMPTY_LOG, NO_CHECKPOINT);
    return OK;
  }

  /** With no leg left to say so, the labels of the members that change are all that knows. */
  async beginReplay(): Promise<void> {
    if (this.state === 'logging') await this.#legs.update({ state: 'replaying' });
  }

  /** Forgets the window's records, durably. The engine has stopped appending and reading. */
  async endEpoch(): Promise<Errno> {
    await this.#closeWindow(false);
    this.overlay.clear();
    this.#crcs.clear();
    if (this.state === 'idle') return OK;
    return (await this.#legs.update({ state: 'idle', windowId: NIL_UUID })) ? OK : EIO;
  }

  /**
   * For replay, whose `removeIf` runs ahead of the labels: see Upkeep.pause. Ends with the epoch.
   */
  async pauseCheckpoints(): Promise<void> {
    await this.#upkeep?.pause();
  }

  resumeCheckpoints(): void {
    this.#upkeep?.resume();
  }

  status(): LogStatus {
    const { layout } = this.#legs;
    const online = this.#legs.online().length;
    const whole = this.#legs.all.every(
      ({ state, joining }) => state === 'online' && joining === null,
    );
    return {
      state: online === 0 || this.#window?.failed ? 'failed' : whole ? this.state : 'degraded',
      capacityBytes: layout.recordsBytes - reserveBytesOf(layout),
      usedBytes: this.#window?.usedBytes ?? 0,
      legs: this.#legStatus(),
    };
  }

  report(): LogReport {
    const { state, capacityBytes, usedBytes, legs } = this.status();
    const { sequence, records } = this.#window?.acknowledged ?? EMPTY_LOG;
    return {
      uuid: this.uuid,
      epoch: this.epoch,
      state,
      capacityBytes,
      usedBytes,
      liveBytes: this.overlay.liveSectors * 512,
      records,
      lastSequence: sequence,
      committedThrough: this.#window?.committedThrough ?? 0,
      legs,
    };
  }

  check(): Promise<LogCheck> {
    const end = this.#window?.acknowledged ?? EMPTY_LOG;
    return checkLog(this.#environment, this.#legs, recordsArea(this.#legs.header), end);
  }

  /** Bytes of memory for the overlay and the checksums. */
  get memoryBytes(): number {
    return this.overlay.memoryBytes + this.#crcs.memoryBytes;
  }

  /** Once a second: a leg that is gone is out, without any I/O having to meet it. */
  probe(): Promise<void> {
    return this.#legs.probe();
  }

  /**
   * Puts a drive in the place of a leg that is out, copies everything to it while the log goes on,
   * and then counts on it. The drive belongs to the store from here on, unless it is refused at
   * once as too small or not needed.
   */
  replaceLeg(
    index: number,
    drive: Drive,
    isEnough: () => boolean = () => false,
  ): Promise<Outcome<void>> {
    const parts = { stripes: this.stripes, window: () => this.#window, isEnough };
    return replaceLeg(this.#environment, this.#legs, parts, index, drive);
  }

  /** Paths of the legs that have a drive, in order. */
  get legPaths(): string[] {
    return this.#legs.all.flatMap(({ drive }) => (drive === null ? [] : [drive.path]));
  }

  /** A drive of the volume has a label now that calls these legs online: a new one among them counts. */
  joined(uuids: readonly Uuid[]): void {
    for (const leg of this.#legs.all) {
      if (leg.joining !== 'labels' || !uuids.includes(leg.uuid)) continue;
      leg.joining = null;
      this.onLegJoined();
    }
  }

  /** It was replaced, and all is copied to it; no label says so yet. */
  isUnrecorded(index: number): boolean {
    return this.#legs.all[index]?.joining === 'labels';
  }

  /** Of each leg: a new one does not count before all is copied to it and a drive of the volume has that on record. */
  get legsWaitFor(): ('copy' | 'record' | null)[] {
    return this.#legs.all.map(({ state, joining }) => {
      if (joining === 'labels') return 'record';
      return state === 'syncing' || joining !== null ? 'copy' : null;
    });
  }

  /** Of each leg, as the labels are to say it. */
  get legStates(): LegStatus['state'][] {
    return this.#legs.all.map(({ state }) => (state === 'syncing' ? 'failed' : state));
  }

  /** Reads of this drive that failed before the log was opened, when its header was looked at. */
  countReadErrors(drive: Drive, readErrors: number): void {
    for (const leg of this.#legs.all) if (leg.drive === drive) leg.readErrors += readErrors;
  }

  holds(drive: Drive): boolean {
    return this.#legs.all.some((leg) => leg.drive === drive);
  }

  /**
   * Closes what is at this path if it is a leg that is out: the same drive may come back as a new
   * leg.
   */
  async letGo(path: string): Promise<void> {
    for (const { drive, state } of this.#legs.all) {
      if (drive?.path === path && (state === 'failed' || state === 'missing')) await drive.close();
    }
  }

  /** A start that got as far as this is refused: nothing more is written, and the drives stay the caller's. */
  async leave(): Promise<void> {
    await this.#closeWindow(false);
    await this.stripes.close();
    await this.#legs.settled();
    this.#environment.buffers.give(this.#zeroes);
  }

  /** The engine has stopped using it. Writes a last checkpoint, closes the drives. */
  async close(): Promise<void> {
    await this.#closeWindow(true);
    await this.stripes.close();
    await this.#legs.close();
    this.#environment.buffers.give(this.#zeroes);
  }

  async #start(
    repairHeaders: boolean,
    expected: LogExpectation,
  ): Promise<null | Refused | { kind: 'recovered'; recovery: RecoverySummary }> {
    const refused = (kind: Refused['kind'], reason: string): Refused => ({
      kind,
      reason,
      path: null,
    });
    if (this.state === 'idle') {
      if (!repairHeaders || (await this.#legs.update({}))) return null;
      return refused('damaged', 'no leg can be written');
    }
    const { overlay } = this;
    const area = recordsArea(this.#legs.header);
    const checkpoint = await loadCheckpoint(
      this.#environment,
      this.#legs,
      this.#legs.header,
      overlay,
      this.#crcs,
    );
    const from = checkpoint.position;
    const recovery = new RecordRecovery(
      this.#environment,
      this.#legs,
      this.#limits,
      area,
      overlay,
      this.#crcs,
      from,
    );
    const recovered = await recovery.run();
    if (recovered.kind === 'damaged') return refused('damaged', recovered.reason);
    const { position } = recovered;
    if (expected.epoch === this.epoch && position.sequence < (expected.lastSequence ?? 0)) {
      return refused(
        'stale',
        `it ends at segment ${position.sequence}, ${expected.lastSequence} was acknowledged`,
      );
    }
    // Legs that were not given miss everything from here on; their peers say so before the first
    // record.
    if (!(await this.#legs.excludeMissing())) return refused('damaged', 'no leg can be written');
    if (repairHeaders && !(await this.#legs.update({})))
      return refused('damaged', 'no leg can be written');
    const window = await this.#openWindow(position, checkpoint);
    if ((await window.mark()) !== OK) {
      await this.#closeWindow(false);
      return refused('damaged', 'no leg can be written');
    }
    const { kind, ...summary } = recovered;
    return { kind, recovery: { ...summary, checkpointEntries: checkpoint.entries } };
  }

  async #openWindow(from: LogPosition, newest: LoadedCheckpoint): Promise<WindowLog> {
    const { buffers } = this.#environment;
    const { header } = this.#legs;
    const headers: Address[] = [];
    for (let i = 0; i < this.#limits.segmentsInFlight; i++)
      headers.push(await buffers.takeLater(BLOCK_BYTES, 'engine'));
    const encoder = new SegmentEncoder(
      buffers.bytes,
      buffers.view,
      recordsArea(this.#legs.header).identity,
    );
    const window = new WindowLog({
      environment: this.#environment,
      legs: this.#legs,
      limits: this.#limits,
      overlay: this.overlay,
      crcs: this.#crcs,
      encoder,
      from,
      zeroes: this.#zeroes,
      headers,
      reserveBytes: reserveBytesOf(this.#legs.layout),
      onProgress: () => this.#upkeep?.progress(),
    });
    const writer = new CheckpointWriter(
      this.#environment,
      this.#legs,
      header,
      window,
      this.#crcs,
      newest,
    );
    this.#window = window;
    this.#upkeep = new Upkeep(this.#environment, this.#limits, window, writer);
    return window;
  }

  async #closeWindow(checkpoint: boolean): Promise<void> {
    await this.#window?.drained();
    await this.#upkeep?.stop(checkpoint);
    await this.#window?.close();
    this.#window = null;
    this.#upkeep = null;
  }

  #legStatus(): LegStatus[] {
    return this.#legs.all.map(({ drive, uuid, state, joining, reason, readErrors }) => {
      const isCopied = state === 'syncing' || joining !== null;
      const why = joining === 'labels' ? UNRECORDED : 'being copied';
      return {
        path: drive?.path ?? uuid,
        state: isCopied ? 'failed' : (state as Exclude<typeof state, 'syncing'>),
        errors: { read: readErrors },
        reason: isCopied ? why : reason,
      };
    });
  }
}

const UNRECORDED =
  'it has everything, but no drive of the volume has taken the note that it counts';

const nobody: OnLegFailed = () => Promise.resolve();

async function takeZeroes({ buffers }: LogEnvironment): Promise<Address> {
  const address = await buffers.takeLater(BLOCK_BYTES, 'engine');
  buffers.slice(address, BLOCK_BYTES).fill(0);
  return address;
}
