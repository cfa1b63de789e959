/** Step 3 of an assembly: the volume in memory, every member in its state, the window where it was. Nothing is written. */

import type { StripeIndex } from '../base/units.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import type { AssemblyDecision } from '../core/assembly.ts';
import type { FoundLeg } from '../core/assembly-legs.ts';
import type { AssembledSlot } from '../core/assembly-slots.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import { FEATURE_BITMAP, type Superblock } from '../core/format/superblock.ts';
import { Geometry } from '../core/geometry.ts';
import type { Drive } from '../io/drive.ts';
import type { AssembleRequest, EngineEnvironment } from './contract.ts';
import { doubtFound } from './doubt.ts';
import { emptyMember } from './drive-commands.ts';
import { memberFailed } from './failure.ts';
import { Intent } from './intent.ts';
import type { Limits } from './limits.ts';
import type { MemberMetadata } from './member-metadata.ts';
import { type Member, Members } from './members.ts';
import { Metadata } from './metadata.ts';
import { recoveryFor } from './sweep-job.ts';
import { VolumeCore, type WindowFacts } from './volume-core.ts';
import { nothingSeenYet } from './window-state.ts';

/** What was found at the given paths, open. */
export interface Opened {
  readonly drives: Map<string, { drive: Drive; metadata: MemberMetadata }>;
  readonly legs: Map<string, { drive: Drive; found: FoundLeg; readErrors: number }>;
}

export function coreFrom(
  environment: EngineEnvironment,
  limits: Limits,
  decision: AssemblyDecision,
  opened: Opened,
  request: AssembleRequest,
): VolumeCore {
  const { superblock, label, window } = decision;
  const { memberDataBytes, memberCount } = superblock;
  const geometry = new Geometry(decision.level, memberCount, decision.chunkBytes, memberDataBytes);
  const slots = decision.slots.map((slot) => memberFrom(slot, decision, opened, request));
  let core: VolumeCore | null = null;
  const members = new Members(slots, (member, reason, code) =>
    core === null ? Promise.resolve() : memberFailed(core, member, reason, code),
  );
  const v = new VolumeCore(
    environment,
    limits,
    decision.name,
    decision.volumeUuid,
    geometry,
    members,
  );
  core = v;
  const layout = [...decision.layouts.values()][0];
  if (layout === undefined) throw new Error('assemble: a volume without a layout');
  const bits = new IntentBits(layout.bitmapChunkBytes, memberDataBytes);
  let eventsCleared = decision.events;
  for (const { drive, metadata } of opened.drives.values()) {
    if (!v.members.slots.some((member) => member.drive === drive && member.state === 'online'))
      continue;
    const { bitmapRegion, bitmapHeader } = metadata;
    if (bitmapRegion === null || bitmapHeader === null) continue;
    const own = new IntentBits(layout.bitmapChunkBytes, memberDataBytes);
    own.load(bitmapRegion);
    bits.merge(own);
    eventsCleared = Math.min(eventsCleared, bitmapHeader.eventsCleared);
  }
  if (decision.mayBeOlder || (!decision.bitmapTrusted && (decision.unclean || v.degraded)))
    bits.setAll();
  v.intent = new Intent(v, layout, bits, eventsCleared);
  v.metadata = new Metadata(v, {
    events: decision.events,
    sequence: decision.sequence,
    generation: label?.generation ?? uuidFromBytes(environment.random(16)),
    history: [...(label?.history ?? [])],
    clean: !decision.unclean,
    stripeLog: label?.stripeLog ?? 'void',
  });
  for (const { drive, metadata } of opened.drives.values())
    v.metadata.noteCopy(drive, metadata.newestCopy);
  v.stripeLogFound = decision.stripeLog;
  v.metadata.log = label?.log ?? null;
  v.metadata.scrub = label?.scrub ?? null;
  for (const spare of decision.spares) {
    const drive = opened.drives.get(spare.path)?.drive;
    const layoutOfSpare = decision.layouts.get(spare.path);
    if (drive === undefined || layoutOfSpare === undefined) continue;
    v.members.spares.push({
      ...emptyMember(-1),
      deviceNumber: spare.deviceNumber,
      uuid: spare.uuid,
      path: spare.path,
      state: 'spare',
      reason: '',
      drive,
      layout: layoutOfSpare,
      superblock: withBitmap(spare.superblock, layoutOfSpare.bitmapOffset),
    });
  }
  if (window !== null) restoreWindow(v, decision);
  for (const slot of decision.slots) {
    const member = v.members.at(slot.slot);
    if (slot.verdict !== 'recovering' || slot.recovery === null || member.drive === null) continue;
    member.recovery = recoveryFor(v, slot.recovery.kind, slot.recovery.cursorStripe as StripeIndex);
  }
  v.members.refresh();
  // From the first moment on: a member that fails before the resync has begun must not be made from parity in doubt.
  if (decision.unclean && v.mode !== 'frozen') {
    const all = !v.degraded || decision.level.mirrored;
    v.resync = all ? recoveryFor(v, 'bitmap', 0 as StripeIndex) : doubtFound(v, decision);
  }
  return v;
}

/**
 * Where an absent member was last seen: a server lists paths in the order of the slots (`paths`). Only a place to look
 * at first; what is found there is identified like any other drive.
 */
function lastSeenAt(slot: number, opened: Opened, request: AssembleRequest): string {
  const path = request.drivePaths[slot] ?? '';
  return opened.drives.has(path) ? '' : path;
}

function memberFrom(
  slot: AssembledSlot,
  decision: AssemblyDecision,
  opened: Opened,
  request: AssembleRequest,
): Member {
  const path = slot.path ?? lastSeenAt(slot.slot, opened, request);
  const found = opened.drives.get(path);
  const drive = found?.drive ?? null;
  const layout = decision.layouts.get(path) ?? null;
  const superblock =
    slot.superblock && layout ? withBitmap(slot.superblock, layout.bitmapOffset) : null;
  const base: Member = {
    ...emptyMember(slot.slot),
    deviceNumber: slot.deviceNumber ?? -1,
    uuid: slot.uuid ?? '',
    path,
    layout,
    superblock,
    errors: { read: found?.metadata.readErrors ?? 0, write: 0 },
    reasonCode: slot.reason,
    eventsAtChange: slot.eventsAtChange,
  };
  const use = (state: Member['state'], reason: string, open: boolean): Member => ({
    ...base,
    state,
    reason,
    drive: open ? drive : null,
  });
  const { window } = decision;
  switch (slot.verdict) {
    case 'in-sync':
      return { ...use('online', '', true), reasonCode: 'none' };
    case 'recovering':
      return use('rebuilding', '', true);
    case 'away':
      // In replay the drive is a member again; before that it stays closed, also when its file happens to be here.
      if (window?.state === 'replaying' && drive !== null)
        return { ...use('online', '', true), reasonCode: 'none' };
      if (window?.state === 'replaying') {
        base.eventsAtChange = decision.events;
        return use('missing', 'not found at start', false);
      }
      return window?.state === 'thawing'
        ? use('failed', 'did not come back in time', false)
        : use('away', `away for ${window?.purpose ?? 'a window'}`, false);
    case 'failed':
      if (isOfFrozenImage(slot, window)) return { ...use('online', '', true), reasonCode: 'none' };
      return use('failed', `failed before (${slot.reason})`, false);
    case 'missing':
      // Not on record yet: it has everything up to now, and misses what comes.
      if (!slot.recorded) base.eventsAtChange = decision.events;
      return use('missing', 'not found at start', false);
    case 'stale':
    case 'stale-by-bitmap':
      if (isOfFrozenImage(slot, window)) return { ...use('online', '', true), reasonCode: 'none' };
      return use('missing', 'out of date', false);
  }
}

/** It went while the window was open, and nothing was written to any member since: as good as the others. */
const isOfFrozenImage = (slot: AssembledSlot, window: AssemblyDecision['window']): boolean =>
  window !== null &&
  frozenStill(window.state) &&
  slot.frozenGeneration &&
  slot.reason !== 'operator' &&
  slot.eventsAtChange >= window.frozenEvents;

const frozenStill = (state: string): boolean =>
  state === 'open' || state === 'returning' || state === 'freezing';

/** A member of an adopted array without a bitmap gets one. */
const withBitmap = (superblock: Superblock, bitmapOffset: number): Superblock => ({
  ...superblock,
  bitmapOffset,
  features: (superblock.features | FEATURE_BITMAP) >>> 0,
});

function restoreWindow(v: VolumeCore, decision: AssemblyDecision): void {
  const window = decision.window;
  if (window === null) return;
  const { clock } = v.environment;
  const sinceOpened = clock.wallMs() - window.openedWallMs;
  const facts: WindowFacts = {
    id: window.id,
    token: window.token,
    purpose: window.purpose,
    state: frozenStill(window.state) ? 'open' : window.state,
    slot: window.slot,
    memberUuid: window.memberUuid,
    path: v.members.at(window.slot).path,
    openedWallMs: window.openedWallMs,
    // The time the server was down counts; a wall clock that jumped back does not give time back.
    elapsedBeforeMs: Math.max(
      window.elapsedMs,
      Math.min(sinceOpened, window.elapsedMs + window.maxMs),
    ),
    sinceMs: clock.nowMs(),
    maxMs: window.maxMs,
    onDoubleAbsence: window.onDoubleAbsence,
    waitMs: window.waitMs,
    logEpoch: window.logEpoch,
    frozenEvents: window.frozenEvents,
    blockBytes: null,
    outcome: window.outcome,
    ...nothingSeenYet(),
  };
  v.window = facts;
  v.cursor = window.cursorStripe as StripeIndex;
  if (frozenStill(window.state)) {
    v.mode = 'frozen';
    v.members.frozen = true;
    v.metadata.labelsOnly = true;
    v.metadata.clean = true;
  } else {
    v.mode = 'replaying';
  }
}
