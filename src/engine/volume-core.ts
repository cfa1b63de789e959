/**
 * The state that the parts of a running volume share. Reading, writing, the window, replay and the background jobs are
 * functions and small classes over this record; nothing else is shared between them.
 *
 * Modes
 *   direct      host writes go to the members (optimal or degraded)
 *   frozen      members immutable, host writes go to the log
 *   replaying   stripes below `cursor` are direct, the others still live in the log (returning a drive, or thawing)
 *   halted      host I/O refused: more members are gone than the level tolerates, or the log was lost
 *
 * Invariants
 *   1. `mode` changes only while the write gate is closed and drained, so a write sees one mode; only the fall into
 *      `halted` is at once, and every write looks at it again before it answers.
 *   2. In `frozen` no member's data region changes (Members.frozen is set exactly then).
 *   3. In `replaying` a stripe at or above `cursor` is changed in place by the replayer only, and `cursor` rises only after
 *      the members are flushed and the labels say so.
 */

import { EIO, type Errno, OK } from '../base/errno.ts';
import { roundDown, type StripeIndex } from '../base/units.ts';
import type { StripeLogWord, WindowOutcome } from '../core/format/label.ts';
import type { Geometry } from '../core/geometry.ts';
import type { VolumeFacts } from '../core/machines/volume-facts.ts';
import type { DriveState, LegStatus, Purpose, VerifyMode, WindowState } from '../core/status.ts';
import type { EngineEnvironment } from './contract.ts';
import { Gate } from './gate.ts';
import type { Intent } from './intent.ts';
import type { Limits } from './limits.ts';
import type { LogStore } from './log/log-store.ts';
import { bitCount, type Member, type Members } from './members.ts';
import type { Metadata } from './metadata.ts';
import type { Sources } from './reconstruct.ts';
import type { Recovery } from './recovery-map.ts';
import { Signal } from './signal.ts';
import { StripeLocks } from './stripe-locks.ts';
import type { Sweep } from './sweep.ts';

export type Mode = 'direct' | 'frozen' | 'replaying' | 'halted';

export interface SecondFailure {
  slot: number;
  path: string;
  at: string;
  reason: string;
}

/** A window, from freezing to its end. What must survive a restart is in the labels. */
export interface WindowFacts {
  id: string;
  /** Random at each freeze: a drive that carries it has been here since the freeze. */
  token: string;
  purpose: Purpose;
  state: WindowState;
  slot: number;
  memberUuid: string;
  path: string;
  openedWallMs: number;
  /** Time already used when this server took over. */
  elapsedBeforeMs: number;
  sinceMs: number;
  maxMs: number;
  onDoubleAbsence: 'wait' | 'error';
  waitMs: number;
  logEpoch: number;
  frozenEvents: number;
  /** Of the drive as it left; null when this server was not there to see it. */
  blockBytes: number | null;
  outcome: WindowOutcome;
  verify: { mode: VerifyMode; checkedBytes: number; differingStripes: number } | null;
  secondFailures: SecondFailure[];
  recall: boolean;
  replayedBytes: number;
  replayTotalBytes: number;
  heldReads: number;
  expired: boolean;
}

export interface KnownMember {
  readonly slot: number;
  readonly state: DriveState;
}

export class VolumeCore {
  readonly environment: EngineEnvironment;
  readonly limits: Limits;
  readonly name: string;
  readonly uuid: string;
  readonly geometry: Geometry;
  readonly members: Members;
  readonly sources: Sources;
  /** Blocks of this size are kept aside in the pool. */
  readonly largestBufferBytes: number;
  readonly locks = new StripeLocks();
  /** Host writes, trims and zeroes. */
  readonly gate = new Gate();
  /** Host reads that look at the overlay: everything but `direct`. */
  readonly overlayReads = new Gate();
  /** Raised when a member came or went, the mode changed, or log space was freed. */
  readonly changed = new Signal();
  // Set right after construction: they need the core themselves.
  metadata!: Metadata;
  intent!: Intent;

  mode: Mode = 'direct';
  haltReason = '';
  log: LogStore | null = null;
  logPaths: string[] = [];
  /** With no log: the legs of the one that the labels know, none of which was there and current at the start. */
  legsOut: readonly LegStatus[] = [];
  /** A leg is being replaced, or a log added. */
  legsChanging = false;
  /** Leg and member share one file system: allowed, said in status. */
  legSharesFileSystem = false;
  window: WindowFacts | null = null;
  /** Off the record, the mode not changed yet: the status still tells of it, for what its end allows would be refused. */
  windowEnding: WindowFacts | null = null;
  /** Replay: stripes below are on the members, durably. */
  cursor = 0 as StripeIndex;
  /** Replay: writes below this stripe wait until the cursor has passed. */
  holdBelow = 0 as StripeIndex;
  /** Replay: host writes on their way to the log. */
  logWritesInFlight = 0;
  /** None of them is left. Not `changed`: a write that the log refused would wake the others that it refuses, for good. */
  readonly logWritesDone = new Signal();
  /** Parity (or mirrors) that an unclean stop left in doubt. */
  resync: Recovery | null = null;
  resyncJob: Sweep | null = null;
  rebuildJob: Sweep | null = null;
  scrubJob: Sweep | null = null;
  verifyJob: Sweep | null = null;
  scrubRepair = false;
  /** No drive has refused to punch yet. */
  canPunch = true;
  writesHeld = 0;
  replayStartedMs = 0;
  /** Why the log could not be applied any further; empty: nothing is in its way. It is tried again now and then. */
  replayStopped = '';
  /** And that is because of what can be read on no leg. */
  logUnreadable = false;
  /** The replay under way; settles when it has ended or stopped. */
  replaying: Promise<void> = Promise.resolve();
  stopping = false;
  /** A start is putting it together: what a crash left half-written is not made good yet, so no drive takes a slot. */
  assembling = false;
  /** Members that are here and out of date, and where: taken back as soon as no window is open (re-add.ts). */
  readonly waitingBack = new Map<Member, string>();
  reAdding = false;
  /** Lockstep levels: reads whose stripe did not add up. */
  parityErrors = 0;
  /** A member was lost while the parity of written regions was in doubt: until the volume is started anew. */
  dataInDoubt: VolumeFacts['dataInDoubt'] = null;
  /** Came back after its window with other contents, and is rebuilt: until the volume is started anew. */
  differed: VolumeFacts['differed'] = null;

  constructor(
    environment: EngineEnvironment,
    limits: Limits,
    name: string,
    uuid: string,
    geometry: Geometry,
    members: Members,
  ) {
    this.environment = environment;
    this.limits = limits;
    this.name = name;
    this.uuid = uuid;
    this.geometry = geometry;
    this.members = members;
    this.sources = {
      members,
      buffers: environment.buffers,
      kernels: environment.kernels,
      mirrored: geometry.level.mirrored,
    };
    this.largestBufferBytes = largestBuffer(geometry, limits);
    environment.buffers.keepAside(this.largestBufferBytes);
  }

  /** Is parity (or the mirror) of this stripe known to agree with its data? */
  parityTrusted(stripe: StripeIndex): boolean {
    return this.resync === null || !this.resync.has(stripe);
  }

  /** At a start: what the labels found there say of the journal, until it is redone. */
  stripeLogFound: StripeLogWord | null = null;
  /** A forced start, unclean and degraded: parity may be wrong, and nothing is there to mend it from. */
  parityUnknown = false;

  /** Does every change of a stripe with parity go to the log first? See in-place.ts. */
  get logsStripes(): boolean {
    if (this.log === null || this.geometry.level.parityChunks === 0) return false;
    if (!this.log.stripes.usable) return false;
    // Between the record that ends a window and the change of mode nothing is written.
    const replaying = this.mode === 'replaying' && this.window !== null;
    // Nor is one whole before that is on record: what says `void` until then must not be found beside a member less.
    const degraded = this.degraded || this.members.anyJoining;
    return this.limits.logDirect > 0 || degraded || replaying;
  }

  /** What a label that is made now says of the journal. */
  get stripeLogWord(): StripeLogWord {
    if (this.stripeLogFound !== null) return this.stripeLogFound;
    // A stripe that was being changed without an image is half-written for good, or not flushed: no word for that.
    if (this.halted && this.metadata.stripeLogWritten === 'void') return 'void';
    if (!this.logsStripes) return this.#isUntouched() ? this.metadata.stripeLogWritten : 'void';
    return this.resync === null && !this.parityUnknown ? 'whole' : 'kept';
  }

  /** A stripe has to be changed in place, and no log is there to take its image. */
  goesUnlogged = false;

  /**
   * The log has failed in a window and no stripe was changed since: what it holds is as true as before, and a leg that comes
   * back makes the volume start.
   */
  #isUntouched(): boolean {
    return this.mode !== 'direct' && this.log?.stripes.usable === false && !this.goesUnlogged;
  }

  #unloggedStripes = 0;
  #unloggedDone: (() => void)[] = [];

  /** A stripe is being written in place without an after-image in the log. */
  beginUnlogged(): void {
    this.#unloggedStripes++;
  }

  endUnlogged(): void {
    if (--this.#unloggedStripes > 0) return;
    for (const wake of this.#unloggedDone.splice(0)) wake();
  }

  /**
   * A label says that the journal is kept only when this is reached, and the members are flushed: from then on every
   * stripe that a crash may leave half-written is in the log whole.
   */
  async unloggedWritten(): Promise<void> {
    while (this.#unloggedStripes > 0) {
      await new Promise<void>((resolve) => this.#unloggedDone.push(resolve));
    }
  }

  get absentCount(): number {
    return bitCount(this.members.absentMask);
  }

  get tolerated(): number {
    return this.geometry.level.tolerates(this.geometry.members);
  }

  /** Degraded: at least one slot is not online for every stripe. */
  get degraded(): boolean {
    return this.members.absentMask !== 0;
  }

  get halted(): boolean {
    return this.mode === 'halted';
  }

  #flushing: Promise<Errno> | null = null;
  #flushNext: Promise<Errno> | null = null;

  /** Flushes all members. Those who ask while one flush runs share the next one: theirs must begin after they asked. */
  flushMembers(): Promise<Errno> {
    if (this.#flushing === null) return this.#startFlush();
    this.#flushNext ??= this.#flushing.then(() => {
      this.#flushNext = null;
      return this.#startFlush();
    });
    return this.#flushNext;
  }

  #startFlush(): Promise<Errno> {
    this.#flushing = (async () => {
      await this.members.flush();
      // A member that could not flush lost writes that were answered: it is out, on record, before this is answered.
      await this.members.settled();
      this.#flushing = null;
      return this.halted ? EIO : OK;
    })();
    return this.#flushing;
  }

  readonly #beside = new Set<Promise<unknown>>();

  /** Work that opens drives or changes members, beside what is served: a stop lets it end before it closes them. */
  beside<T>(work: Promise<T>): Promise<T> {
    const noted = work.finally(() => this.#beside.delete(noted));
    this.#beside.add(noted);
    return noted;
  }

  ownBeside(work: Promise<unknown>): void {
    this.own(this.beside(work));
  }

  /** Jobs are stopped again after all that may have begun one. */
  async endJobs(): Promise<void> {
    for (;;) {
      const jobs = [this.scrubJob, this.rebuildJob, this.resyncJob, this.verifyJob];
      await Promise.all(jobs.map(async (job) => job?.stop()));
      if (this.#beside.size === 0) return;
      await Promise.allSettled(this.#beside);
    }
  }

  /** Takes over a promise that nobody awaits. What it throws is a bug, and a bug stops the process. */
  own(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.environment.clock.after(0, () => {
        throw error;
      });
    });
  }

  emit(
    kind: string,
    severity: 'info' | 'warning' | 'critical',
    message: string,
    detail: Record<string, string | number | boolean | null> = {},
  ): void {
    this.environment.emit({ volume: this.name, kind, severity, message, detail });
  }
}

/** That a step asks for at once: the chunks of a stripe, or what a step of a job reads of the other members. */
function largestBuffer({ members, chunkBytes }: Geometry, { sweepStepBytes }: Limits): number {
  const stepBytes = Math.max(chunkBytes, roundDown(sweepStepBytes, chunkBytes));
  return Math.max(members * chunkBytes, (members - 1) * stepBytes);
}
