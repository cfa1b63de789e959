/**
 * A background job that goes over a volume from the first stripe to the last: rebuild, resync, scrub, verify.
 *
 * It knows progress, pace and stopping; what is done with each run of stripes is the `step` of its owner. Progress
 * is a stripe, made durable by the owner's `checkpoint`, so every job goes on after a restart.
 *
 * Pace: `bytesPerSecond` bounds a job from above. Between steps it yields to host requests: a step is small
 * (`sweepStepBytes` of each member) and holds the locks of its own stripes only.
 */

import { assert } from '../base/assert.ts';
import type { StripeIndex } from '../base/units.ts';
import type { JobKind, JobStatus } from '../core/status.ts';
import type { Clock } from '../io/clock.ts';

export type StepResult = 'done' | { readonly failed: string };

export interface SweepPlan {
  readonly kind: JobKind;
  readonly slot: number | null;
  readonly fromStripe: StripeIndex;
  readonly stripeCount: number;
  readonly stripesPerStep: number;
  /** Bytes that one stripe counts for in progress: of one member. */
  readonly stripeBytes: number;
  readonly bytesPerSecond: number;
  readonly checkpointMs: number;
  /** False skips the stripe: nothing to do there. */
  readonly wanted: (stripe: StripeIndex) => boolean;
  readonly step: (first: StripeIndex, count: number) => Promise<StepResult>;
  readonly checkpoint: (cursor: StripeIndex) => Promise<void>;
}

export class Sweep {
  readonly plan: SweepPlan;
  readonly finished: Promise<JobStatus['state']>;
  mismatches = 0;
  /** Of what the steps went over: could not be looked at. */
  skippedBytes = 0;
  #state: JobStatus['state'] = 'running';
  #reason = '';
  #cursor: StripeIndex;
  #startedAtMs: number;
  #workedBytes = 0;
  #stopped = false;
  readonly #clock: Clock;

  constructor(clock: Clock, plan: SweepPlan) {
    this.plan = plan;
    this.#clock = clock;
    this.#cursor = plan.fromStripe;
    this.#startedAtMs = clock.nowMs();
    this.finished = this.#run();
  }

  get running(): boolean {
    return this.#state === 'running';
  }

  get workedBytes(): number {
    return this.#workedBytes;
  }

  get cursor(): StripeIndex {
    return this.#cursor;
  }

  /** Resolves when the step in progress has ended; the cursor then says how far it came. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.finished;
  }

  status(): JobStatus {
    const { kind, slot, stripeBytes, stripeCount } = this.plan;
    const elapsedMs = Math.max(1, this.#clock.nowMs() - this.#startedAtMs);
    return {
      kind,
      state: this.#state,
      slot,
      doneBytes: Math.min(this.#cursor, stripeCount) * stripeBytes,
      totalBytes: stripeCount * stripeBytes,
      bytesPerSecond: this.running ? Math.round((this.#workedBytes * 1000) / elapsedMs) : 0,
      mismatches: this.mismatches,
      reason: this.#reason,
    };
  }

  async #run(): Promise<JobStatus['state']> {
    // A turn of the loop first, so that the owner has stored the job before its first step.
    await this.#pause(0);
    let checkpointAtMs = this.#clock.nowMs() + this.plan.checkpointMs;
    while (!this.#stopped && this.#cursor < this.plan.stripeCount) {
      const first = this.#nextWanted();
      if (first === null) break;
      const count = this.#runLength(first);
      const result = await this.plan.step(first, count);
      if (result !== 'done') {
        this.#reason = result.failed;
        this.#state = 'failed';
        return this.#state;
      }
      this.#cursor = (first + count) as StripeIndex;
      this.#workedBytes += count * this.plan.stripeBytes;
      if (this.#clock.nowMs() >= checkpointAtMs) {
        await this.plan.checkpoint(this.#cursor);
        checkpointAtMs = this.#clock.nowMs() + this.plan.checkpointMs;
      }
      await this.#pause(this.#paceMs());
    }
    if (this.#stopped && this.#cursor < this.plan.stripeCount) {
      await this.plan.checkpoint(this.#cursor);
      this.#state = 'stopped';
    } else {
      this.#cursor = this.plan.stripeCount as StripeIndex;
      this.#state = 'done';
    }
    return this.#state;
  }

  /** The next stripe with something to do; a long gap is crossed in pieces so as not to hold up the loop. */
  #nextWanted(): StripeIndex | null {
    for (let stripe: number = this.#cursor; stripe < this.plan.stripeCount; stripe++) {
      if (this.plan.wanted(stripe as StripeIndex)) return stripe as StripeIndex;
    }
    this.#cursor = this.plan.stripeCount as StripeIndex;
    return null;
  }

  #runLength(first: StripeIndex): number {
    const most = Math.min(this.plan.stripesPerStep, this.plan.stripeCount - first);
    let count = 1;
    while (count < most && this.plan.wanted((first + count) as StripeIndex)) count++;
    assert(count >= 1, 'sweep: an empty step');
    return count;
  }

  #paceMs(): number {
    if (this.plan.bytesPerSecond === 0) return 0;
    const dueMs = (this.#workedBytes * 1000) / this.plan.bytesPerSecond;
    return Math.max(0, dueMs - (this.#clock.nowMs() - this.#startedAtMs));
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}
