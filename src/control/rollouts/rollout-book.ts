/**
 * The record of a rollout as its worker changes it: the state of a drive, the state of the whole, trouble and why.
 * Everything goes through the tables of core/machines/rollout.ts; what is worth telling goes to the event log.
 *
 * Trouble is collected and told once a look has seen everything: a second failure says more than the recall that followed
 * from it, and the failure of the drive at work says more than the hole it leaves in its volume.
 */

import {
  decideRollout,
  nextRolloutDriveState,
  type RolloutDriveEvent,
  type RolloutEvent,
} from '../../core/machines/rollout.ts';
import { isAtWork } from '../../core/machines/rollout-decisions.ts';
import type { RolloutDrive, RolloutReport } from '../../core/rollout-report.ts';
import { type RolloutRecord, volumesOf } from './rollout-record.ts';
import type { RolloutStore } from './rollout-store.ts';
import type { RolloutTools } from './rollout-tools.ts';

export interface Trouble {
  readonly volume: string;
  readonly slot: number | null;
  readonly reason: string;
  readonly next: string;
}

export class RolloutBook {
  readonly record: RolloutRecord;
  readonly #tools: RolloutTools;
  readonly #store: RolloutStore;
  /** Of a drive at work, and of a volume. */
  #ofDrives: Trouble[] = [];
  #ofVolumes: Trouble[] = [];

  constructor(tools: RolloutTools, store: RolloutStore, record: RolloutRecord) {
    this.record = record;
    this.#tools = tools;
    this.#store = store;
  }

  get report(): RolloutReport {
    return this.record.report;
  }

  /** What happened to one drive. */
  drive(drive: RolloutDrive, event: RolloutDriveEvent, note: string): void {
    const before = drive.state;
    drive.state = nextRolloutDriveState(before, event);
    drive.note = note;
    if (drive.state === before) return;
    drive.step = '';
    if (drive.state !== 'soaking') drive.soakUntil = null;
    const isOver = !isAtWork(drive) && drive.state !== 'pending';
    drive.endedAt = isOver ? this.now() : null;
    if (drive.state === 'pending') drive.startedAt = null;
  }

  /** What happened to the rollout; what its state ignores is nothing. */
  tell(event: RolloutEvent, reason: string, next: string): void {
    const { id, state } = this.report;
    const decision = decideRollout(state, event);
    if (decision.kind !== 'move') return;
    Object.assign(this.report, { state: decision.to, reason, next });
    const severity = decision.to === 'halted' ? 'warning' : 'info';
    const because = reason === '' ? '' : `: ${reason}`;
    const message = `Firmware update ${id} is ${decision.to}${because}.`;
    this.announce(`rollout-${decision.to}`, severity, message);
  }

  driveTrouble(drive: RolloutDrive, reason: string, next: string): void {
    this.#ofDrives.push({ volume: drive.volumes[0]!, slot: drive.slot, reason, next });
  }

  volumeTrouble(trouble: Trouble): void {
    this.#ofVolumes.push(trouble);
  }

  tellTrouble(): void {
    const itself = this.#ofDrives.find(({ volume, slot }) =>
      this.#ofVolumes.some((one) => one.volume === volume && one.slot === slot),
    );
    const first = itself ?? this.#ofVolumes[0] ?? this.#ofDrives[0];
    this.#ofDrives = [];
    this.#ofVolumes = [];
    if (first) this.tell('trouble', first.reason, first.next);
  }

  /** The volumes are free again when nothing is at work any more. */
  endIfOver(): void {
    const { state, drives, endedAt } = this.report;
    if (endedAt !== null || (state !== 'stopped' && state !== 'done')) return;
    if (drives.some(isAtWork)) return;
    this.report.next = '';
    this.report.endedAt = this.now();
  }

  announce(kind: string, severity: 'info' | 'warning', message: string): void {
    const sentence = message.replace(/\.+$/, '.');
    for (const volume of volumesOf(this.report)) {
      this.#tools.announce(volume, kind, severity, sentence, { rollout: this.report.id });
    }
  }

  now(afterMs = 0): string {
    return new Date(this.#tools.wallMs() + afterMs).toISOString();
  }

  /** Of a record that could not be saved, in a sentence. */
  get whyUnwritten(): string {
    return this.#store.whyNotSaved(this.report.id);
  }

  /** Resolves when the record as it is now is durable; false: it could not be written. */
  save(): Promise<boolean> {
    return this.#store.save(this.record);
  }
}
