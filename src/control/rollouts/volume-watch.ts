/**
 * The volumes of a rollout, held against what they were when they were last found well: trouble is told to the book, and a
 * volume that is well is what it is held against from now on. The judgement itself is core/machines/rollout-decisions.ts.
 */

import { baselineOf, judgeVolume, type Verdict } from '../../core/machines/rollout-decisions.ts';
import type { VolumeStatus } from '../../core/status.ts';
import type { RolloutBook } from './rollout-book.ts';
import { volumesOf } from './rollout-record.ts';
import type { RolloutVolumes } from './rollout-tools.ts';
import { nextAfterTrouble } from './rollout-words.ts';

export class VolumeWatch {
  readonly #volumes: RolloutVolumes;
  readonly #book: RolloutBook;

  constructor(volumes: RolloutVolumes, book: RolloutBook) {
    this.#volumes = volumes;
    this.#book = book;
  }

  /** By name; one that does not run is left out. */
  async read(): Promise<Map<string, VolumeStatus>> {
    const statuses = new Map<string, VolumeStatus>();
    for (const volume of volumesOf(this.#book.report)) {
      const status = await this.#volumes.status(volume);
      if (status.ok) statuses.set(volume, status.value);
    }
    return statuses;
  }

  /** The administrator has seen what is wrong, and goes on with it. */
  async takeAsItIs(): Promise<void> {
    for (const [volume, status] of await this.read()) {
      this.#book.record.baselines[volume] = baselineOf(status);
    }
  }

  /** Counted errors begin again with a server. */
  countersBeganAgain(): void {
    const { baselines } = this.#book.record;
    for (const [volume, baseline] of Object.entries(baselines)) {
      baselines[volume] = { ...baseline, errors: {} };
    }
  }

  /** Trouble halts the rollout at once, whatever is at work elsewhere. */
  judge(statuses: ReadonlyMap<string, VolumeStatus>): Map<string, Verdict> {
    const verdicts = new Map<string, Verdict>();
    const { record, report } = this.#book;
    const running = report.drives.filter(({ state }) => state === 'running');
    for (const volume of volumesOf(report)) {
      const status = statuses.get(volume);
      if (status === undefined) {
        verdicts.set(volume, { kind: 'busy', why: `${volume} does not run` });
        continue;
      }
      const atWork = running.find(({ volumes }) => volumes.includes(volume));
      const ownSlot = atWork?.volumes[0] === volume ? atWork.slot : null;
      const slot = atWork === undefined ? null : (status.window?.drive.slot ?? ownSlot);
      const baseline = record.baselines[volume] ?? baselineOf(status);
      const verdict = judgeVolume(baseline, status, slot);
      verdicts.set(volume, verdict);
      if (verdict.kind === 'well' && atWork === undefined)
        record.baselines[volume] = baselineOf(status);
      if (verdict.kind === 'trouble') this.#met(volume, verdict);
    }
    this.#book.tellTrouble();
    return verdicts;
  }

  #met(volume: string, verdict: Extract<Verdict, { kind: 'trouble' }>): void {
    const { slot, why } = verdict;
    const soaking = this.#book.report.drives.find(
      (drive) => drive.state === 'soaking' && drive.volumes[0] === volume && drive.slot === slot,
    );
    if (soaking && slot !== null) this.#book.drive(soaking, 'unwell', why);
    const next = nextAfterTrouble(this.#book.record, volume, verdict);
    this.#book.volumeTrouble({ volume, slot, reason: why, next });
  }
}
