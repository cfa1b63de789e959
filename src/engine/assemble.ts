/**
 * Puts a volume together from its members and legs alone and brings it to where it was: optimal, degraded, in a window,
 * in the middle of a replay. What belongs to what is decided in core/assembly.ts; here it is carried out.
 *
 *   1 open and read every drive and leg      4 log opened, its overlay and un-released stripe images recovered
 *   2 decide                                 5 stripe images redone: degraded stripes add up again
 *   3 members in their states                6 labels rolled forward   7 resync, rebuild, replay go on
 */

import { OK } from '../base/errno.ts';
import { type Address, SECTOR_BYTES, type StripeIndex } from '../base/units.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import { type AssemblyDecision, decideAssembly } from '../core/assembly.ts';
import type { FoundDrive } from '../core/assembly-identity.ts';
import type { FoundLeg } from '../core/assembly-legs.ts';
import type { AssembledSlot } from '../core/assembly-slots.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import { FEATURE_BITMAP, type Superblock } from '../core/format/superblock.ts';
import { Geometry } from '../core/geometry.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { Drive } from '../io/drive.ts';
import type {
  AssembleRequest,
  AssembleVolume,
  EngineEnvironment,
  RunningVolume,
} from './contract.ts';
import { emptyMember } from './drive-commands.ts';
import { memberFailed } from './failure.ts';
import { openGuarded } from './identify.ts';
import { Intent } from './intent.ts';
import { type Limits, limitsFrom } from './limits.ts';
import { viewLeg } from './log/leg-identity.ts';
import { LogStore } from './log/log-store.ts';
import { attachLog, checkPlaces, refreshLogRecord } from './log-setup.ts';
import { type MemberMetadata, readMemberMetadata } from './member-metadata.ts';
import { type Member, Members } from './members.ts';
import { Metadata } from './metadata.ts';
import { resumeRebuild, startRebuild, startRebuildOfSpare } from './rebuild.ts';
import { startResync, startScrub } from './resync.ts';
import { recoveryFor } from './sweep-job.ts';
import { Volume } from './volume.ts';
import { VolumeCore, type WindowFacts } from './volume-core.ts';

interface Opened {
  readonly drives: Map<string, { drive: Drive; metadata: MemberMetadata }>;
  readonly legs: Map<string, { drive: Drive; found: FoundLeg }>;
}

export const assembleVolume: AssembleVolume = async (environment, request) => {
  const limits = limitsFrom(environment.limits);
  const opened: Opened = { drives: new Map(), legs: new Map() };
  const outcome = await assemble(environment, limits, request, opened);
  if (!outcome.ok) {
    for (const { drive } of [...opened.drives.values(), ...opened.legs.values()])
      await drive.close();
  }
  return outcome;
};

async function assemble(
  environment: EngineEnvironment,
  limits: Limits,
  request: AssembleRequest,
  opened: Opened,
): Promise<Outcome<RunningVolume>> {
  const present = await openPresent(environment, limits, request, opened); // 1
  if (!present.ok) return present;
  const places = await checkPlaces(environment, [...opened.drives.keys()], [...opened.legs.keys()]);
  if (!places.ok) return places;
  const found: FoundDrive[] = [...opened.drives.values()].map(({ drive, metadata }) => ({
    path: drive.path,
    sizeBytes: drive.sizeBytes,
    superblock: metadata.superblock,
    bitmap: metadata.bitmapHeader ? { kind: 'bitmap', value: metadata.bitmapHeader } : null,
    label: metadata.label,
  }));
  const legs = [...opened.legs.values()].map((leg) => leg.found);
  const decided = decideAssembly(found, legs, { name: request.name, force: request.force }); // 2
  if (!decided.ok) return decided;
  const decision = decided.value;
  const v = coreFrom(environment, limits, decision, opened, request); // 3
  v.legSharesFileSystem = places.value.sharesFileSystem;

  const logged = await openLog(v, decision, opened); // 4
  if (!logged.ok) return logged;
  const redone = await redoStripes(v); // 5
  if (!redone.ok) return redone;
  await completeFreeze(v, opened);
  const closing = [...opened.drives.values()]
    .filter(({ drive }) => !v.members.present().some((member) => member.drive === drive))
    .map(({ drive }) => drive.close());
  await Promise.all(closing);
  const volume = new Volume(v);
  await v.intent.writeAll();
  if (decision.forced) v.metadata.newGeneration();
  await v.metadata.commit(); // 6
  await v.members.settled();
  goOn(v, volume, decision); // 7
  volume.start();
  v.emit('volume-assembled', 'info', `Volume ${v.name} was assembled`, {
    trail: decision.trail.join('; '),
  });
  return done(volume);
}

/** Opens what is there. A path that does not exist is a missing member, not an error; one that is busy is an error. */
async function openPresent(
  environment: EngineEnvironment,
  limits: Limits,
  request: AssembleRequest,
  opened: Opened,
): Promise<Outcome<void>> {
  for (const path of request.drivePaths) {
    if (opened.drives.has(path)) continue;
    const drive = await openGuarded(environment, limits, path);
    if (!drive.ok) {
      if (drive.problem.code === 'drive-path-missing' && request.drivePaths.length > 1) continue;
      return drive;
    }
    opened.drives.set(path, {
      drive: drive.value,
      metadata: await readMemberMetadata(environment.buffers, drive.value),
    });
  }
  for (const path of request.logPaths) {
    if (opened.legs.has(path)) continue;
    const drive = await openGuarded(environment, limits, path);
    if (!drive.ok) {
      if (drive.problem.code === 'drive-path-missing') continue;
      return drive;
    }
    const { header } = await viewLeg(environment.buffers, drive.value);
    opened.legs.set(path, { drive: drive.value, found: { path, header } });
  }
  if (opened.drives.size === 0)
    return refuse('member-not-found', { paths: request.drivePaths.join(', ') });
  return done(undefined);
}

function coreFrom(
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
  if (!decision.bitmapTrusted && (decision.unclean || v.degraded)) bits.setAll();
  v.intent = new Intent(v, layout, bits, eventsCleared);
  v.metadata = new Metadata(v, {
    events: decision.events,
    sequence: decision.sequence,
    generation: label?.generation ?? uuidFromBytes(environment.random(16)),
    history: [...(label?.history ?? [])],
    clean: !decision.unclean,
  });
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
  const drive = opened.drives.get(path)?.drive ?? null;
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
      // Of the frozen image, and nothing was written to any member since: as good as the others.
      if (
        window !== null &&
        frozenStill(window.state) &&
        slot.frozenGeneration &&
        slot.reason !== 'operator' &&
        slot.eventsAtChange >= window.frozenEvents
      ) {
        return { ...use('online', '', true), reasonCode: 'none' };
      }
      return use('failed', `failed before (${slot.reason})`, false);
    case 'missing':
      // Not on record yet: it has everything up to now, and misses what comes.
      if (!slot.recorded) base.eventsAtChange = decision.events;
      return use('missing', 'not found at start', false);
    case 'stale':
    case 'stale-by-bitmap':
      return use('missing', 'out of date', false);
  }
}

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
    outcome: window.outcome,
    verify: null,
    secondFailures: [],
    recall: false,
    replayedBytes: 0,
    replayTotalBytes: 0,
    heldReads: 0,
    expired: false,
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

async function openLog(
  v: VolumeCore,
  decision: AssemblyDecision,
  opened: Opened,
): Promise<Outcome<void>> {
  const expected = decision.label?.log ?? null;
  const used = decision.legs.filter(({ state }) => state === 'online').map(({ path }) => path);
  const drives = used
    .map((path) => opened.legs.get(path)?.drive)
    .filter((drive) => drive !== undefined);
  v.logPaths = [...opened.legs.keys()];
  if (drives.length === 0) {
    if (decision.blankLegs.length === 0 || v.mode !== 'direct') return done(undefined);
    return formatLog(v, decision, opened);
  }
  const log = await LogStore.open(v.environment, drives, {
    volumeUuid: v.uuid,
    logUuid: expected?.uuid ?? null,
    ...(v.window === null ? {} : { epoch: v.window.logEpoch, windowId: v.window.id }),
    failedLegs:
      expected?.legs.filter(({ state }) => state === 'failed').map(({ uuid }) => uuid) ?? [],
    ...(v.window === null || expected === null ? {} : { lastSequence: expected.lastSequence }),
  });
  switch (log.kind) {
    case 'recovered':
    case 'idle':
      break;
    case 'missing':
      return refuse('log-missing', { volume: v.name, reason: log.reason });
    case 'damaged':
      return refuse('log-damaged', { volume: v.name, reason: log.reason });
    case 'foreign':
      return refuse('log-foreign', { volume: v.name, path: log.path ?? '', reason: log.reason });
    case 'stale':
      return refuse('log-stale', { volume: v.name, path: log.path ?? '', reason: log.reason });
  }
  attachLog(v, log.store);
  if (v.window === null) {
    // A crash between the labels that closed a window and the log's header: the labels are right.
    if (log.kind === 'recovered') await log.store.endEpoch();
  } else if (v.mode === 'replaying') {
    await log.store.pauseCheckpoints();
    log.store.overlay.removeBelow(v.geometry.stripeStart(v.cursor) / SECTOR_BYTES);
    v.window.replayTotalBytes = log.store.overlay.liveSectors * SECTOR_BYTES;
  }
  refreshLogRecord(v);
  return done(undefined);
}

async function formatLog(
  v: VolumeCore,
  decision: AssemblyDecision,
  opened: Opened,
): Promise<Outcome<void>> {
  const drives = decision.blankLegs
    .map((path) => opened.legs.get(path)?.drive)
    .filter((drive) => drive !== undefined);
  for (const drive of drives) {
    const content = await v.environment.foreignContent(drive);
    if (content !== null) return refuse('drive-has-data', { path: drive.path, content });
  }
  const log = await LogStore.format(v.environment, drives, {
    volumeUuid: v.uuid,
    volumeName: v.name,
  });
  if (!log.ok) return log;
  attachLog(v, log.value);
  return done(undefined);
}

/**
 * A crash in the middle of a freeze: the newest label says that the window is open, the drive that was to leave has not been
 * told, and no write was admitted yet. The freeze is completed, so that the drive will be known when it comes back.
 */
async function completeFreeze(v: VolumeCore, opened: Opened): Promise<void> {
  const window = v.window;
  if (window === null || v.mode !== 'frozen' || v.log === null || v.log.report().records > 0)
    return;
  const member = v.members.at(window.slot);
  const found = opened.drives.get(member.path);
  if (found === undefined || found.metadata.superblock.kind !== 'superblock') return;
  const { label, superblock } = found.metadata;
  const told = label.kind === 'label' && label.value.window?.token === window.token;
  const { events } = superblock.value;
  if ((told && events === window.frozenEvents) || events < window.frozenEvents - 1) return;
  member.drive = found.drive;
  v.metadata.labelsOnly = false;
  window.frozenEvents = v.metadata.events + 1;
  member.eventsAtChange = window.frozenEvents;
  await v.metadata.commit(member);
  await v.members.settled();
  v.metadata.labelsOnly = true;
  member.drive = null;
}

/** 5: whatever a crash left half-written in degraded stripes is written again, in order, whole. */
async function redoStripes(v: VolumeCore): Promise<Outcome<void>> {
  const { log } = v;
  if (log === null || log.stripes.pendingSegments === 0) return done(undefined);
  if (v.mode === 'frozen')
    return refuse('log-damaged', { volume: v.name, reason: 'stripe images in a frozen volume' });
  const errno = await log.stripes.redo(async (images) => {
    for (const { slot, memberOffset, address, lengthBytes } of images) {
      const member = v.members.at(slot);
      if (member.drive === null || (member.state !== 'online' && member.state !== 'rebuilding'))
        continue;
      const written = await v.members.writeData(
        slot,
        memberOffset,
        address as Address,
        lengthBytes,
      );
      if (written !== OK) return written;
    }
    return OK;
  });
  if (errno !== OK)
    return refuse('io-error', { what: 'the stripes that a crash left half-written' });
  if ((await v.flushMembers()) !== OK) return refuse('io-error', { what: 'the members' });
  await log.stripes.releaseAll();
  return done(undefined);
}

/** 7: whatever was under way goes on. */
function goOn(v: VolumeCore, volume: Volume, decision: AssemblyDecision): void {
  if (v.mode === 'frozen') return;
  if (decision.unclean && (!v.degraded || v.geometry.level.mirrored)) {
    v.resync = recoveryFor(v, 'bitmap', 0 as StripeIndex);
    startResync(v);
  }
  if (v.mode === 'replaying') {
    volume.windows.resumeReplay();
    return;
  }
  for (const member of v.members.slots) if (member.state === 'rebuilding') resumeRebuild(v, member);
  for (const slot of decision.slots) reAdd(v, slot);
  const scrub = v.metadata.scrub;
  if (scrub?.active === true && !v.degraded) {
    startScrub(v, scrub.repair, scrub.cursorStripe as StripeIndex, scrub.mismatches);
  }
  v.own(startRebuildOfSpare(v));
}

/** A member that is here but out of date comes back by itself: a short resync by bitmap, or a full rebuild. */
function reAdd(v: VolumeCore, slot: AssembledSlot): void {
  if ((slot.verdict !== 'stale' && slot.verdict !== 'stale-by-bitmap') || slot.path === null)
    return;
  const { path, superblock } = slot;
  const member = v.members.at(slot.slot);
  v.own(
    (async () => {
      const opened = await openGuarded(v.environment, v.limits, path);
      if (!opened.ok) return;
      member.drive = opened.value;
      member.path = path;
      member.superblock ??= superblock;
      const kind = slot.verdict === 'stale-by-bitmap' ? 'bitmap' : 'full';
      await startRebuild(v, member, recoveryFor(v, kind, 0 as StripeIndex));
    })(),
  );
}
