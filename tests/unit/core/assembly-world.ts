/**
 * Volumes for the assembly tests, as records: a stopped, healthy volume, and the ways in which its drives can be
 * changed.
 */

import { type AssemblyDecision, decideAssembly } from '../../../src/core/assembly.ts';
import type { AssemblyOptions, FoundDrive } from '../../../src/core/assembly-identity.ts';
import type { FoundLeg } from '../../../src/core/assembly-legs.ts';
import type { BitmapHeader } from '../../../src/core/format/bitmap.ts';
import type { Label, LabelMember, LabelWindow } from '../../../src/core/format/label.ts';
import type { LegHeader } from '../../../src/core/format/leg-header.ts';
import {
  FEATURE_BITMAP,
  FEATURE_LOCUM_WINDOW,
  initialRoles,
  ROLE_FAULTY,
  type Superblock,
} from '../../../src/core/format/superblock.ts';
import type { Problem } from '../../../src/core/problems.ts';

export const uuid = (digit: number): string =>
  `${String(digit).padStart(8, '0')}-0000-4000-8000-000000000000`;

export const VOLUME = uuid(1);
export const LOG = uuid(2);
export const GENERATION = uuid(3);
export const TOKEN = uuid(4);
export const WINDOW = uuid(5);
export const memberUuid = (slot: number): string => uuid(100 + slot);
export const legUuid = (leg: number): string => uuid(200 + leg);
export const path = (slot: number): string => `/d${slot}`;

const MIB = 2 ** 20;

/** One drive, taken apart so that tests can change any record of it. */
export interface Parts {
  path: string;
  sizeBytes: number;
  superblock: Superblock;
  bitmap: BitmapHeader | null;
  label: Label | null;
}

export interface World {
  drives: Parts[];
  legs: FoundLeg[];
}

export interface Shape {
  level?: 1 | 3 | 4 | 5;
  members?: number;
  events?: number;
  sequence?: number;
  log?: boolean;
}

const mdOf = { 1: [1, 0, 0], 3: [4, 0, 4096], 4: [4, 0, 65536], 5: [5, 2, 65536] } as const;

/** A volume of four RAID 5 members (or as asked) that was stopped in good order. */
export function volume(shape: Shape = {}): World {
  const { level = 5, members = 4, events = 50, sequence = 20, log = true } = shape;
  const [mdLevel, parityLayout, chunkBytes] = mdOf[level];
  const superblock = (slot: number): Superblock => ({
    setUuid: VOLUME,
    setName: 'host:tank',
    createdUs: 1e15,
    updatedUs: 1e15,
    level: mdLevel,
    parityLayout,
    chunkBytes,
    memberCount: members,
    memberDataBytes: 63 * MIB,
    features: FEATURE_BITMAP,
    bitmapOffset: 8192,
    dataOffset: MIB,
    dataSpaceBytes: 63 * MIB,
    recoveryBytes: null,
    deviceNumber: slot,
    memberUuid: memberUuid(slot),
    deviceFlags: 0,
    correctedErrors: 0,
    badBlockLog: { shift: 0, lengthBytes: 0, offset: 0 },
    events,
    resyncBytes: null,
    roles: initialRoles(members),
    byLocum: true,
  });
  const label = (slot: number): Label => ({
    volumeUuid: VOLUME,
    memberUuid: memberUuid(slot),
    slot,
    sequence,
    generation: GENERATION,
    history: [],
    events,
    name: 'tank',
    level,
    memberCount: members,
    chunkBytes: chunkBytes || 65536,
    memberDataBytes: 63 * MIB,
    clean: true,
    owner: null,
    members: Array.from({ length: members }, (_, index) => ({
      uuid: memberUuid(index),
      slot: index,
      state: 'online',
      reason: 'none',
      eventsAtChange: 1,
      changedWallMs: 0,
    })),
    log: log
      ? {
          uuid: LOG,
          epoch: 7,
          lastSequence: 0,
          legs: [0, 1].map((leg) => ({ uuid: legUuid(leg), state: 'online' })),
        }
      : null,
    stripeLog: log ? 'whole' : 'void',
    window: null,
    recovery: [],
    doubt: [],
    scrub: null,
  });
  const bitmap = (): BitmapHeader => ({
    uuid: VOLUME,
    events,
    eventsCleared: events - 5,
    syncBytes: 63 * MIB,
    stale: false,
    chunkBytes: 131072,
    daemonSleepSeconds: 5,
    reservedBytes: 4096,
  });
  const drives = Array.from({ length: members }, (_, slot) => ({
    path: path(slot),
    sizeBytes: 64 * MIB,
    superblock: superblock(slot),
    bitmap: bitmap(),
    label: label(slot),
  }));
  return { drives, legs: log ? [leg(0), leg(1)] : [] };
}

export function leg(index: number, change: Partial<LegHeader> = {}): FoundLeg {
  const header: LegHeader = {
    legIndex: index,
    logUuid: LOG,
    volumeUuid: VOLUME,
    volumeName: 'tank',
    sequence: 3,
    layout: {
      capacityBytes: 0,
      stripesOffset: 0,
      stripesBytes: 0,
      checkpointOffset: 0,
      slotBytes: 0,
      recordsOffset: 0,
      recordsBytes: 0,
    },
    epoch: 7,
    state: 'idle',
    nonce: new Uint8Array(8),
    stripeNonce: new Uint8Array(8),
    stripesReleasedThrough: 0,
    windowId: uuid(0),
    legs: [0, 1].map((peer) => ({ uuid: legUuid(peer), state: 'online' })),
    ...change,
  };
  return { path: `/log${index}`, header };
}

/** Changes the label of every drive in `on` (all by default), as one label: the next in number. */
export function relabel(
  world: World,
  change: (label: Label) => void,
  on: readonly number[] = world.drives.map((_, slot) => slot),
): void {
  for (const slot of on) {
    const { label } = world.drives[slot]!;
    if (!label) continue;
    label.sequence++;
    change(label);
  }
}

export function record(label: Label, slot: number, change: Partial<LabelMember>): void {
  Object.assign(label.members[slot]!, change);
}

/**
 * The member of `slot` leaves: the others record it, with the next events and label, and a new generation. `steps` more
 * updates follow.
 */
export function leave(
  world: World,
  slot: number,
  state: 'failed' | 'missing' = 'failed',
  steps = 0,
): void {
  const rest = world.drives.map((_, index) => index).filter((index) => index !== slot);
  const before = world.drives[slot]!.superblock.events;
  for (const index of rest) {
    const { superblock, bitmap } = world.drives[index]!;
    superblock.events = before + 1 + steps;
    superblock.roles[slot] = ROLE_FAULTY;
    if (bitmap) bitmap.events = superblock.events;
  }
  relabel(
    world,
    (label) => {
      label.events = before + 1 + steps;
      label.history = [label.generation, ...label.history];
      label.generation = uuid(1000 + label.sequence);
      record(label, slot, { state, reason: 'write-error', eventsAtChange: before + 1 });
    },
    rest,
  );
}

/** A window opens for `slot`: all members and legs have it. The volume is not stopped any more. */
export function openWindow(world: World, slot: number, change: Partial<LabelWindow> = {}): void {
  for (const { superblock, bitmap } of world.drives) {
    superblock.events++;
    superblock.features += FEATURE_LOCUM_WINDOW;
    if (bitmap) bitmap.events++;
  }
  relabel(world, (label) => {
    label.events++;
    label.clean = false;
    label.owner = { token: uuid(6), wallMs: 1000 + label.slot! };
    label.history = [label.generation, ...label.history];
    // As the engine does it: the generation of the freeze is the token of its window.
    label.generation = TOKEN;
    label.log!.epoch = 8;
    record(label, slot, { state: 'away', reason: 'window', eventsAtChange: label.events });
    label.window = {
      id: WINDOW,
      token: TOKEN,
      purpose: 'firmware',
      state: 'open',
      slot,
      memberUuid: memberUuid(slot),
      openedWallMs: 0,
      elapsedMs: label.slot!,
      maxMs: 1_800_000,
      onDoubleAbsence: 'wait',
      waitMs: 60_000,
      logEpoch: 8,
      frozenEvents: label.events,
      cursorStripe: 0,
      appliedThrough: 0,
      verified: false,
      outcome: 'none',
      ...change,
    };
  });
  world.legs = [0, 1].map((index) =>
    leg(index, { epoch: 8, state: 'logging', windowId: WINDOW, sequence: 4 }),
  );
}

export const found = ({ path, sizeBytes, superblock, bitmap, label }: Parts): FoundDrive => ({
  path,
  sizeBytes,
  superblock: { kind: 'superblock', value: superblock },
  bitmap: bitmap ? { kind: 'bitmap', value: bitmap } : null,
  label: label ? { kind: 'label', value: label } : { kind: 'none' },
});

export interface Choice {
  /** Slots given; all by default. */
  readonly only?: readonly number[];
  readonly legs?: readonly FoundLeg[];
  readonly extra?: readonly FoundDrive[];
  readonly name?: string | null;
  readonly force?: boolean;
}

function decide(world: World, choice: Choice): ReturnType<typeof decideAssembly> {
  const only = choice.only ?? world.drives.map((_, slot) => slot);
  const drives = [...only.map((slot) => found(world.drives[slot]!)), ...(choice.extra ?? [])];
  const options: AssemblyOptions = { name: choice.name ?? null, force: choice.force ?? false };
  return decideAssembly(drives, choice.legs ?? world.legs, options);
}

export function assembled(world: World, choice: Choice = {}): AssemblyDecision {
  const outcome = decide(world, choice);
  if (!outcome.ok) throw new Error(`refused: ${JSON.stringify(outcome.problem)}`);
  return outcome.value;
}

export function refused(world: World, choice: Choice = {}): Problem {
  const outcome = decide(world, choice);
  if (outcome.ok) throw new Error(`started:\n${outcome.value.trail.join('\n')}`);
  return outcome.problem;
}

export const verdicts = (decision: AssemblyDecision): string =>
  decision.slots.map(({ verdict }) => verdict).join(' ');
