/**
 * What a running window log does by itself: flush after a while, so that recovery has little to
 * verify, and write checkpoints, so that it has little to scan. One piece of work at a time;
 * failures show in the legs.
 */

import { BLOCK_BYTES } from '../../base/units.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import type { LogEnvironment } from './legs.ts';
import type { LogLimits } from './limits.ts';
import type { WindowLog } from './window-log.ts';

/** How soon after hosts have gone quiet their last flush is on record. */
const TICK_MS = 1000;
/**
 * Checkpoints write at most a sixteenth of what is logged. A million entries take 0.4 s of CPU and
 * 20 MB; scanning the 320 MB between two of them takes recovery less than that.
 */
const CHECKPOINT_SHARE = 16;

export class Upkeep {
  readonly #environment: LogEnvironment;
  readonly #limits: LogLimits;
  readonly #window: WindowLog;
  readonly #checkpoints: CheckpointWriter;
  #running: Promise<void> | null = null;
  #syncing = false;
  #cancel: (() => void) | null = null;
  #stopped = false;
  #paused = false;
  #marking: Promise<void> | null = null;
  #sinceCheckpointMs = 0;
  /** Raised when the overlay did not fit into a slot: trying again at every turn would be waste. */
  #backoff = 1;

  constructor(
    environment: LogEnvironment,
    limits: LogLimits,
    window: WindowLog,
    checkpoints: CheckpointWriter,
  ) {
    this.#environment = environment;
    this.#limits = limits;
    this.#window = window;
    this.#checkpoints = checkpoints;
    this.#arm();
  }

  /** After records were acknowledged. */
  progress(): void {
    if (this.#stopped) return;
    if (!this.#syncing && this.#window.unflushedBytes >= this.#limits.selfSyncBytes) {
      this.#syncing = true;
      // Owned here; a failure takes legs out, and the window answers EIO when none is left.
      void this.#window.sync().then(() => (this.#syncing = false));
    }
    const least = Math.max(
      this.#limits.checkpointBytes,
      CHECKPOINT_SHARE * this.#checkpoints.bodyBytes,
    );
    if (this.#newBytes() >= least * this.#backoff) this.#checkpoint();
  }

  /** Ends the timer and what is under way; with `last`, writes a checkpoint of the end. */
  async stop(last: boolean): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    if (!last) this.#checkpoints.stop();
    await this.#marking;
    await this.#running;
    if (last && !this.#paused && this.#newBytes() > 0 && !this.#window.failed)
      await this.#checkpoints.write();
  }

  /**
   * No checkpoint from here on, not even at the end: in replay the overlay forgets what is on the
   * members before the labels say so, and a checkpoint of it would make that final. Recovery scans
   * from the last one instead.
   */
  async pause(): Promise<void> {
    this.#paused = true;
    await this.#running;
  }

  /** The replay did not begin after all. */
  resume(): void {
    this.#paused = false;
  }

  #newBytes(): number {
    return (this.#window.acknowledged.endBlocks - this.#checkpoints.endBlocks) * BLOCK_BYTES;
  }

  #arm(): void {
    this.#cancel = this.#environment.clock.after(TICK_MS, () => {
      if (this.#stopped) return;
      this.#marking = this.#window.markWhenQuiet();
      this.#sinceCheckpointMs += TICK_MS;
      if (this.#sinceCheckpointMs >= this.#limits.checkpointMs) {
        this.#sinceCheckpointMs = 0;
        if (this.#newBytes() > 0 && this.#backoff === 1) this.#checkpoint();
      }
      this.#arm();
    });
  }

  #checkpoint(): void {
    if (this.#running !== null || this.#stopped || this.#paused || this.#window.failed) return;
    this.#running = this.#checkpoints.write().then((result) => {
      this.#running = null;
      this.#backoff = result === 'too-large' ? this.#backoff * 2 : 1;
    });
  }
}
