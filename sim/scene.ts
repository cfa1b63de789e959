/**
 * What a run of a plan is made of: the world, the machine, the server that runs at the moment, the oracle, and what has
 * been done to the hardware that the engine may not know yet. Steps, checks and probes work on it.
 */

import { assert } from '../src/base/assert.ts';
import { SECTOR_BYTES, type StripeIndex } from '../src/base/units.ts';
import type { Uuid } from '../src/base/uuid.ts';
import type { Geometry } from '../src/core/geometry.ts';
import { bit } from '../src/engine/members.ts';
import type { VolumeCore } from '../src/engine/volume-core.ts';
import { DEFAULT_DEADLINE_MS } from '../src/io/deadline-drive.ts';
import {
  covers,
  HEAVY_TAIL,
  hopelessSlowness,
  type Standing,
  type StandingLeg,
  type StandingSlot,
} from './budget.ts';
import { Coverage } from './coverage.ts';
import type { Latency } from './drive.ts';
import { forgetsLeg, logIsLost, membersAreLost } from './evidence.ts';
import type { DriveFault, Operation } from './faults.ts';
import { hear } from './hearing.ts';
import { countFault } from './leg-classes.ts';
import { Machine } from './machine.ts';
import type { Image, SimMedium } from './medium.ts';
import { Objection } from './objection.ts';
import { OpenReads } from './open-reads.ts';
import { Oracle } from './oracle.ts';
import { type OtherDrive, staysAsItIs } from './other-drives.ts';
import type { Config, Plan } from './plan.ts';
import type { Pools } from './pools.ts';
import { Server } from './server.ts';
import { Stream } from './streams.ts';
import { World } from './world.ts';

export class Scene {
  readonly plan: Plan;
  readonly world: World;
  readonly machine = new Machine();
  readonly pools: Pools;
  readonly coverage: Coverage;
  oracle = new Oracle(0, 0);
  server: Server;
  /** Drives whose contents are not what the engine believes, until it has rebuilt or replaced them. */
  readonly changed = new Set<string>();
  /** Contents kept by a `snapshot` step. */
  readonly snapshots = new Map<string, Image>();
  /** Of those, whose contents are an older image of the same drive. */
  readonly rolledBack = new Set<string>();
  /** Drives that are back as no volume may take them for its own, and how so (other-drives.ts). */
  readonly others = new Map<string, OtherDrive>();
  /** Of those, whom an operator gives away as blank at this moment. */
  readonly asBlank: string[] = [];
  /** Whom of them he has given away as blank, and the superblock that it had then. */
  readonly givenAway = new Map<string, Uint8Array>();
  /** Drives that have acknowledged a flush that they did not carry out. */
  readonly liars = new Set<string>();
  readonly openReads = new OpenReads();
  /** Gone for good: nobody plugs them in again. */
  readonly dead = new Set<string>();
  /** Members that a command under way is going to take out. */
  readonly leaving = new Set<string>();
  /** Faults that cost the volume their drive. */
  readonly fatal = new WeakSet<DriveFault>();
  /**
   * Drives that were out of order during a stop or a start, by such a fault, which is spent, or for a while: the volume may
   * come up without them, and no status has told of it yet.
   */
  readonly #struckUnseen = new Set<string>();
  /**
   * When a fault that costs the volume its drive has struck. A leg is failed when what was asked of the others with it is
   * answered too; until then, at the latest until their deadline, the status calls it online.
   */
  readonly #struckAtUs = new Map<string, number>();
  /** Host requests that have not been answered, and those that have. */
  outstanding = 0;
  answered = 0;
  /** When each drive that was pulled out was. */
  readonly vanishedAtUs = new Map<string, number>();
  /** Above 0 a probe has the machine; what happens then is taken back. */
  forkDepth = 0;
  /** Free bytes of the pool when nothing was under way; −1: not known yet. */
  idleBytes = -1;
  #standing: Standing | null = null;
  /** Asked before the start under way. */
  #isForgotten = false;
  /** Before it. */
  #slotsBefore: readonly StandingSlot[] = [];
  #geometry: Geometry | null = null;
  /** Of the volume, when one last ran. */
  #generation: Uuid | null = null;
  /**
   * The same, from before a start by force that has said what is in doubt and has not come up. It may have died with that
   * on record, as a generation of its own, and the next start then needs no force and has no alarm; what was said stays.
   */
  #doubtSince: Uuid | null = null;
  /** Where the data of each member begins, by path. */
  readonly #dataOffsets = new Map<string, number>();
  /** Where the member of each slot was when it was last seen. */
  readonly #holders: string[] = [];
  #processes = 0;
  /** Reads that failed once while a window was open; what needed them waits as for a drive that is away. */
  readonly #refusedReads: { path: string; window: string; from: number; to: number }[] = [];

  constructor(plan: Plan, pools: Pools, coverage = new Coverage()) {
    this.plan = plan;
    this.pools = pools;
    this.coverage = coverage;
    this.world = new World(plan.seed);
    const { config } = plan;
    for (let i = 0; i < config.members; i++) this.addDrive();
    for (let i = 0; i < config.legs; i++) this.addLeg();
    this.server = this.#newServer();
  }

  addDrive(listed = true): SimMedium {
    const { memberBytes, blockBytes } = this.plan.config;
    return this.#watch(this.machine.addDrive(memberBytes, blockBytes, listed));
  }

  addLeg(listed = true): SimMedium {
    const { legBytes, blockBytes } = this.plan.config;
    return this.#watch(this.machine.addLeg(legBytes, blockBytes, listed));
  }

  /** A drive for the place of a leg: what is copied to it comes from the first leg that is online, right or wrong. */
  addLegForCopy(): SimMedium {
    const medium = this.addLeg();
    const source = this.core.log?.status().legs.find(({ state }) => state === 'online');
    if (source !== undefined && this.changed.has(source.path)) this.changed.add(medium.path);
    return medium;
  }

  get core(): VolumeCore {
    return this.server.volume.core;
  }

  get state(): string {
    return this.server.state;
  }

  /** The process is dead. What its last instructions still do, with no drive to do it on, comes before the next one. */
  killServer(): void {
    this.remember();
    this.mourn();
    this.server.kill();
    this.leaving.clear();
    this.asBlank.length = 0;
    this.outstanding = 0;
  }

  /** Asked while no server runs, too: the honest leg may go before one has come up. */
  mourn(): void {
    if (logIsLost(this, null) || membersAreLost(this, null)) this.#taintAll();
  }

  /** A server that comes up now may believe a leg of which only those that are gone knew what it has missed. */
  aboutToStart(): void {
    this.mourn();
    this.#isForgotten = forgetsLeg(this, null);
    this.#slotsBefore = this.#standing?.slots ?? [];
  }

  /** The next process on this machine. */
  newServer(): void {
    this.server = this.#newServer();
    this.idleBytes = -1;
  }

  /** Operations of all drives so far. */
  get operations(): number {
    let sum = 0;
    for (const medium of this.machine.media.values()) sum += medium.operations;
    return sum;
  }

  isHarmed(path: string): boolean {
    const medium = this.machine.media.get(path);
    if (medium === undefined) return true;
    const broken = medium.isVanished || medium.isHung || medium.isReadOnly || medium.hasFaults;
    // Who has it open reaches nothing any more, and has not noticed yet.
    const unfit = medium.isShrunk || medium.isSevered || this.#isHopeless(medium);
    return broken || unfit || this.changed.has(path) || this.#struckUnseen.has(path);
  }

  /** Out of it as soon as somebody looks at the answer. */
  isJustStruck(path: string): boolean {
    const struckAtUs = this.#struckAtUs.get(path);
    return struckAtUs !== undefined && this.world.nowUs - struckAtUs <= DEFAULT_DEADLINE_MS * 1000;
  }

  /** Called before anything is put right: what a start meets meanwhile is out, however well the drive is afterwards. */
  noteUnseen(): void {
    const { alive, running } = this.server;
    if (!alive || (running && !this.core.stopping)) return;
    for (const medium of this.machine.media.values())
      if (medium.isVanished || medium.isHung || medium.isReadOnly || this.#isHopeless(medium))
        this.#struckUnseen.add(medium.path);
  }

  /** Copies of members and legs that somebody has plugged in, and what each is a copy of. */
  readonly clones = new Map<string, string>();

  /** Of each pair the one that was not in use: while the original hung, its copy may have taken its place. */
  get oddCopies(): string[] {
    const { slots, legs } = this.standing();
    const used = new Set([...slots, ...legs].map(({ path }) => path));
    return [...this.clones].map(([copy, of]) => (used.has(copy) && !used.has(of) ? of : copy));
  }

  /** A drive that hangs, or answers in hours, is pulled out: the server that waits for it cannot let it go. */
  pullOutHung(): void {
    for (const medium of this.machine.media.values())
      if (medium.isHung || this.#isHopeless(medium)) medium.pullOut();
  }

  /** Some drive answers reads with errors, or will, or has lost the end where its label is. */
  anyBroken(): boolean {
    for (const medium of this.machine.media.values())
      if (medium.hasFaults || medium.isHung || medium.isShrunk) return true;
    return false;
  }

  anySlow(): boolean {
    for (const medium of this.machine.media.values()) if (this.#isHopeless(medium)) return true;
    return false;
  }

  #isHopeless({ slowness }: SimMedium): boolean {
    return slowness >= hopelessSlowness(this.plan.config);
  }

  /** Some drive is another one by now, and whoever has it in use will know within a second. */
  anySevered(): boolean {
    for (const medium of this.machine.media.values()) if (medium.isSevered) return true;
    return false;
  }

  /** Some drive has been pulled out; the volume may not have had the time to put that on record. */
  anyGone(): boolean {
    for (const medium of this.machine.media.values()) if (medium.isVanished) return true;
    return false;
  }

  /** Slots whose part of this stripe has a sector that cannot be read, or could not when this window asked for it. */
  badIn({ members, geometry, window }: VolumeCore, stripe: StripeIndex): number {
    const { chunkBytes } = geometry;
    let mask = 0;
    for (const { path, layout, slot } of members.slots) {
      const medium = this.machine.media.get(path);
      if (medium === undefined || layout === null) continue;
      if (this.#refusedReads.length === 0 && !medium.hasFaults) continue;
      const from = layout.dataOffset + stripe * chunkBytes;
      const to = from + chunkBytes;
      const wasRefused = this.#refusedReads.some(
        (read) =>
          read.path === path && read.window === window?.id && read.from < to && from < read.to,
      );
      if (wasRefused || medium.isBadIn(from, to)) mask |= bit(slot);
    }
    return mask;
  }

  anyLatent(but = ''): boolean {
    const media = [...this.machine.media.values()];
    return media.some(({ path, hasLatent }) => path !== but && hasLatent);
  }

  /** How things stood when somebody last looked; null before a volume has run. */
  get stood(): Standing | null {
    return this.#standing;
  }

  /** How things stand, as of now or, with no volume running, of when one last was. */
  standing(): Standing {
    if (this.server.running) this.remember();
    assert(this.#standing !== null, 'a volume has run before');
    return this.#standing;
  }

  remember(): void {
    if (!this.server.running) return;
    const { core } = this;
    if (!core.stopping) this.#struckUnseen.clear();
    const { members } = core;
    this.#geometry = core.geometry;
    this.#generation = core.metadata.generation;
    const offsets = new Map(this.#dataOffsets);
    this.#dataOffsets.clear();
    for (const { path, layout, slot, uuid } of members.slots) {
      // Not there when this server came up, and may be back as it is by then.
      const holder = this.#holders[slot] ?? path;
      const before = uuid === '' ? undefined : offsets.get(holder);
      if (layout === null && before !== undefined) this.#dataOffsets.set(holder, before);
      if (layout === null) continue;
      this.#dataOffsets.set(path, layout.dataOffset);
      this.#holders[slot] = path;
    }
    this.#standing = {
      mode: core.mode,
      slots: members.slots.map((member) => ({
        path: member.path,
        state: members.stateOnRecord(member),
        isGuess: this.#holders[member.slot] !== member.path,
        labelOffsets: member.layout?.labelOffsets ?? [],
      })),
      spares: members.spares.map(({ path }) => path),
      legs: standingLegs(core),
      tolerated: core.tolerated,
      inDoubt: core.geometry.level.parityChunks > 0 && startsDirect(core) && inDoubt(core),
    };
  }

  /** How long drives take, with a stream of its own for each. */
  latencyOf(config: Config, seed: number): Latency {
    const streams = new Map<number, Stream>();
    const { latency, latencyUs } = config;
    return (medium) => {
      if (latency === 'none') return 0;
      if (latency === 'constant') return latencyUs;
      let stream = streams.get(medium.index);
      if (stream === undefined) {
        stream = new Stream(seed, `${medium.path} latency`);
        streams.set(medium.index, stream);
      }
      const draw = stream.next();
      return latency === 'uniform'
        ? draw * latencyUs
        : latencyUs * (0.2 / (1 + 0.2 / HEAVY_TAIL - draw));
    };
  }

  #newServer(): Server {
    const { world, machine, plan } = this;
    const number = this.#processes++;
    return new Server({
      world,
      machine,
      pool: this.#pool,
      latency: this.latencyOf(plan.config, plan.seed + number),
      randomName: `process ${number}`,
      limits: plan.config.limits,
      heard: (kind, detail) => {
        if (kind === 'data-in-doubt') this.#doubt();
        hear(this, kind, detail);
      },
    });
  }

  get #pool(): ReturnType<Pools['take']> {
    // One live process at a time: each begins with the pool of the one before, as new.
    this.#taken ??= this.pools.take();
    return this.#taken;
  }

  #taken: ReturnType<Pools['take']> | null = null;

  close(): void {
    this.server.kill();
    if (this.#taken !== null) this.pools.give(this.#taken);
    this.#taken = null;
    for (const medium of this.machine.media.values()) medium.scrap();
  }

  /**
   * Wrong data on a member that nothing but a checksum could find: the stripes it lies in are nobody's promise from here
   * on. Everything else still is. While no server runs, what was a member when one last did is one.
   */
  taint(path: string, offset: number, lengthBytes: number): void {
    if (this.server.running) this.remember();
    const dataOffset = this.#dataOffsets.get(path);
    if (this.#geometry === null || dataOffset === undefined) return;
    const geometry = this.#geometry;
    const from = Math.max(0, offset - dataOffset);
    const to = Math.min(geometry.memberDataBytes, offset + lengthBytes - dataOffset);
    const { chunkBytes, stripeDataBytes } = geometry;
    for (let stripe = Math.floor(from / chunkBytes); stripe * chunkBytes < to; stripe++) {
      const first = (stripe * stripeDataBytes) / SECTOR_BYTES;
      const sectors = stripeDataBytes / SECTOR_BYTES;
      for (let i = 0; i < sectors; i++) this.oracle.tainted.add(first + i);
    }
  }

  /** A volume that was started by force says itself what may be wrong; one that does not is held to everything. */
  cameUp(): void {
    const { generation } = this.core.metadata;
    const wasSaid = this.#doubtSince !== null && this.#doubtSince !== generation;
    this.#doubtSince = null;
    if (this.core.dataInDoubt !== null || wasSaid) this.#doubt();
    if (this.#isForgotten) this.#taintAll();
    const { members, mode } = this.core;
    for (const { path, state } of members.slots) {
      const before = this.#slotsBefore.find((slot) => slot.path === path)?.state ?? 'none';
      // As when one is let in while the server runs (hearing.ts): an older image is of the freeze, or it would be out still.
      const isOfFreeze = mode === 'frozen' && isOut(before) && this.rolledBack.has(path);
      // It is on record that it was taken back, or rebuilt; the process died before it could say so.
      const isAccepted = before === 'returning' || before === 'rebuilding';
      if (state === 'online' && (isOfFreeze || isAccepted)) this.changed.delete(path);
    }
  }

  /** Only beyond the promises: more is lost than they cover, and an alarm names the regions. */
  #doubt(): void {
    if (this.plan.promise === 'covered') return;
    if (!this.server.running) {
      this.#doubtSince ??= this.#generation;
      return;
    }
    const { geometry, intent } = this.core;
    const { stripeCount, stripeDataBytes } = geometry;
    const sectors = stripeDataBytes / SECTOR_BYTES;
    for (let stripe = 0; stripe < stripeCount; stripe++) {
      const region = intent.firstRegion(stripe as StripeIndex);
      if (!intent.bits.get(region) && !intent.bits.get(intent.lastRegion(stripe as StripeIndex)))
        continue;
      for (let i = 0; i < sectors; i++) this.oracle.tainted.add(stripe * sectors + i);
    }
  }

  #taintAll(): void {
    for (let sector = 0; sector < this.oracle.sectors; sector++) this.oracle.tainted.add(sector);
  }

  /**
   * No member of a frozen volume changes, but for the drive that is coming back; nor does one that failed before the freeze
   * count: it is on record as stale, and what it was given before may take effect late. So may what a drive was given that
   * came back as another one, and was not taken.
   */
  #frozenStays(medium: SimMedium, offset: number): void {
    if (this.forkDepth > 0 || !this.server.running || this.core.mode !== 'frozen') return;
    const { members, window } = this.core;
    const member = members.slots.find(({ path }) => path === medium.path);
    if (member === undefined || member.layout === null) return;
    if (offset < member.layout.dataOffset || member.state === 'returning') return;
    if (member.state === 'away' && this.changed.has(medium.path)) return;
    if (isOut(member.state) && window !== null && member.eventsAtChange < window.frozenEvents)
      return;
    throw new Objection(
      'frozen members',
      `${medium.path} was written at ${offset} while the volume is frozen`,
    );
  }

  #noteRefusal({ path }: SimMedium, { effect }: DriveFault, operation: Operation): void {
    const { kind, offset, lengthBytes } = operation;
    const window = this.server.running ? this.core.window : null;
    if (window === null || kind !== 'read' || effect !== 'error') return;
    this.#refusedReads.push({ path, window: window.id, from: offset, to: offset + lengthBytes });
  }

  #watch(medium: SimMedium): SimMedium {
    const mayFail = (): boolean => covers(this, medium.path, 'member');
    medium.mayStrike = (fault) => !this.fatal.has(fault) || mayFail();
    medium.pace = (slowness) =>
      slowness < hopelessSlowness(this.plan.config) || mayFail() ? slowness : 1;
    medium.onStrike = (_, fault, operation) => {
      countFault(this, medium.path, fault, operation);
      this.#noteRefusal(medium, fault, operation);
      const isSeen = this.forkDepth > 0 || (this.server.running && !this.core.stopping);
      if (!isSeen && this.fatal.has(fault)) this.#struckUnseen.add(medium.path);
      if (this.forkDepth === 0 && this.fatal.has(fault))
        this.#struckAtUs.set(medium.path, this.world.nowUs);
      const silent = fault.effect === 'lost' || fault.effect === 'misdirected';
      if (!silent) return;
      // Spent, but what it left stays: a leg that is silently wrong counts as lost until another takes its place.
      if (operation.kind !== 'read') this.changed.add(medium.path);
      const { offset, lengthBytes } = operation;
      const beside = fault.shiftBytes ?? 0;
      this.taint(medium.path, offset + Math.min(0, beside), lengthBytes + Math.abs(beside));
      if (operation.kind === 'flush') this.liars.add(medium.path);
    };
    medium.onChange = (_, offset) => {
      staysAsItIs(this, medium, offset);
      this.#frozenStays(medium, offset);
    };
    return medium;
  }
}

const isOut = (state: string): boolean => state === 'failed' || state === 'missing';

/** With the end of a window on record a start is one outside a window, whatever the mode still is. */
const startsDirect = ({ mode, windowEnding }: VolumeCore): boolean =>
  mode === 'direct' || windowEnding !== null;

function standingLegs({ log }: VolumeCore): StandingLeg[] {
  if (log === null) return [];
  const { legUuids, legStates } = log;
  const { legs } = log.status();
  return legs.map(({ path, state }, leg) => ({
    path,
    state,
    uuid: legUuids[leg],
    isOut: legStates[leg] !== 'online',
  }));
}

/**
 * A crash may leave stripes half written. Where every change of a stripe is in the log first, that costs nothing, whoever
 * is lost with it; without that (no log, its last leg gone, parity still to be made good), a chunk that is then lost is
 * made of what does not add up.
 */
function inDoubt(core: VolumeCore): boolean {
  const { metadata, stripeLogWord, log } = core;
  if (log === null || !log.stripes.usable) return true;
  const isWhole = stripeLogWord === 'whole' && metadata.stripeLogWritten === 'whole';
  return (!metadata.clean || core.resync !== null) && !isWhole;
}
