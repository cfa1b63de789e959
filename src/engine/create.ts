/**
 * Makes a volume: everything that can be refused is refused before the first byte is written.
 *
 * Order: arguments · places · missing images made · drives opened and looked at · layout · log formatted · metadata on
 * all members. The metadata comes last: a create that stops half-way leaves drives that no one takes for a volume.
 */

import { KIB, MIB, type StripeIndex } from '../base/units.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import { planMember, planVolume, type VolumeGeometry } from '../core/format/member-layout.ts';
import { Geometry } from '../core/geometry.ts';
import type { LevelDescriptor } from '../core/levels/descriptor.ts';
import { levelByNumber } from '../core/levels/index.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { Drive } from '../io/drive.ts';
import type { CreateRequest, CreateVolume, EngineEnvironment, RunningVolume } from './contract.ts';
import { contentOf, emptyMember } from './drive-commands.ts';
import { memberFailed } from './failure.ts';
import { openGuarded } from './identify.ts';
import { Intent } from './intent.ts';
import { type Limits, limitsFrom } from './limits.ts';
import { LogStore, peekLeg } from './log/log-store.ts';
import { attachLog, checkPlaces } from './log-setup.ts';
import { readMemberMetadata } from './member-metadata.ts';
import { type Member, Members } from './members.ts';
import { Metadata } from './metadata.ts';
import { newSuperblock } from './new-superblock.ts';
import { startResync } from './resync.ts';
import { recoveryFor } from './sweep-job.ts';
import { Volume } from './volume.ts';
import { VolumeCore } from './volume-core.ts';

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

export const createVolume: CreateVolume = async (environment, request) => {
  const limits = limitsFrom(environment.limits);
  const level = checkArguments(request);
  if (!level.ok) return level;
  const places = await checkPlaces(environment, request.drivePaths, request.logPaths);
  if (!places.ok) return places;
  const opened: Drive[] = [];
  const outcome = await make(
    environment,
    limits,
    request,
    level.value,
    places.value.sharesFileSystem,
    opened,
  );
  if (!outcome.ok) for (const drive of opened) await drive.close();
  return outcome;
};

function checkArguments(request: CreateRequest): Outcome<LevelDescriptor> {
  const { name, drivePaths, logPaths, chunkBytes } = request;
  if (!namePattern.test(name)) return refuse('volume-name-invalid', { name });
  const level = levelByNumber(request.level);
  if (level === null) return refuse('level-unknown', { level: request.level });
  const count = drivePaths.length;
  if (count < level.minMembers || count > level.maxMembers) {
    const most = level.maxMembers;
    return refuse('drive-count', {
      level: request.level,
      given: count,
      least: level.minMembers,
      most,
    });
  }
  if (chunkBytes !== null && !level.chunkBytesAllowed(chunkBytes)) {
    return refuse('chunk-invalid', { chunkBytes, level: request.level });
  }
  if (logPaths.length > 2) return refuse('leg-count', { given: logPaths.length });
  return done(level);
}

async function make(
  environment: EngineEnvironment,
  limits: Limits,
  request: CreateRequest,
  level: LevelDescriptor,
  sharesFileSystem: boolean,
  opened: Drive[],
): Promise<Outcome<RunningVolume>> {
  const { name, drivePaths, logPaths, force } = request;
  const images = await makeImages(environment, request);
  if (!images.ok) return images;
  const drives = await openAll(environment, limits, drivePaths, opened);
  if (!drives.ok) return drives;
  const legs = await openAll(environment, limits, logPaths, opened);
  if (!legs.ok) return legs;
  const looked = await lookAt(environment, drives.value, legs.value, force);
  if (!looked.ok) return looked;

  const chunkBytes = request.chunkBytes ?? level.defaultChunkBytes;
  const drivesBytes = drives.value.map((drive) => drive.sizeBytes);
  const planned = planVolume({ drivesBytes, chunkBytes });
  if (planned.kind === 'too-small') {
    const smallest = drives.value.reduce((least, drive) =>
      drive.sizeBytes < least.sizeBytes ? drive : least,
    );
    const { path, sizeBytes } = smallest;
    return refuse('drive-too-small', { path, sizeBytes, leastBytes: planned.leastBytes });
  }
  const geometry = new Geometry(
    level,
    drives.value.length,
    chunkBytes,
    planned.value.memberDataBytes,
  );
  const v = assembleCore(environment, limits, name, geometry, planned.value, drives.value);
  if (!v.ok) return v;
  const core = v.value;
  core.legSharesFileSystem = sharesFileSystem;
  if (legs.value.length > 0) {
    const log = await LogStore.format(environment, legs.value, {
      volumeUuid: core.uuid,
      volumeName: name,
    });
    if (!log.ok) return log;
    core.logPaths = [...logPaths];
    attachLog(core, log.value);
  }
  // Images that were just made are zeroes, and zeroes agree with each other; other drives have to be made to.
  const allFresh = drivePaths.every((path) => images.value.has(path));
  if (!allFresh && !request.assumeClean) {
    core.intent.bits.setAll();
    core.metadata.clean = false;
  }
  await core.intent.writeAll();
  await core.metadata.commit();
  await core.members.settled();
  if (core.degraded || core.halted)
    return refuse('io-error', { what: 'a drive while the volume was made' });
  if (core.intent.bits.any) {
    core.resync = recoveryFor(core, 'bitmap', 0 as StripeIndex);
    startResync(core);
  }
  const volume = new Volume(core);
  volume.start();
  core.emit('volume-created', 'info', `Volume ${name} was created`, {
    level: level.number,
    members: drives.value.length,
  });
  return done(volume);
}

/** Creates the images that are missing and allowed to be; answers which. */
async function makeImages(
  environment: EngineEnvironment,
  request: CreateRequest,
): Promise<Outcome<ReadonlySet<string>>> {
  const made = new Set<string>();
  const wanted = [
    ...request.drivePaths.map((path) => ({ path, sizeBytes: request.imageSizeBytes })),
    ...request.logPaths.map((path) => ({ path, sizeBytes: request.logSizeBytes })),
  ];
  for (const { path, sizeBytes } of wanted) {
    if (sizeBytes === null || (await environment.exists(path))) continue;
    const created = await environment.createImage(path, sizeBytes);
    if (!created.ok) {
      await environment.removeImages([...made]);
      return created;
    }
    made.add(path);
  }
  return done(made);
}

async function openAll(
  environment: EngineEnvironment,
  limits: Limits,
  paths: readonly string[],
  opened: Drive[],
): Promise<Outcome<Drive[]>> {
  const drives: Drive[] = [];
  for (const path of paths) {
    const drive = await openGuarded(environment, limits, path);
    if (!drive.ok) return drive;
    opened.push(drive.value);
    drives.push(drive.value);
  }
  return done(drives);
}

async function lookAt(
  environment: EngineEnvironment,
  drives: readonly Drive[],
  legs: readonly Drive[],
  force: boolean,
): Promise<Outcome<void>> {
  if (force) return done(undefined);
  for (const drive of drives) {
    const metadata = await readMemberMetadata(environment.buffers, drive);
    const content =
      (await contentOf({ environment }, drive, metadata)) ?? (await legContent(environment, drive));
    if (content !== null) return refuse('drive-has-data', { path: drive.path, content });
  }
  for (const leg of legs) {
    const metadata = await readMemberMetadata(environment.buffers, leg);
    const content = await contentOf({ environment }, leg, metadata);
    if (content !== null) return refuse('drive-has-data', { path: leg.path, content });
    const used = await legContent(environment, leg);
    if (used !== null) return refuse('leg-in-use', { path: leg.path, content: used });
  }
  return done(undefined);
}

async function legContent(environment: EngineEnvironment, drive: Drive): Promise<string | null> {
  const leg = await peekLeg(environment.buffers, drive);
  return leg.valid ? `the log of volume "${leg.volumeName}"` : null;
}

/** The core of a new volume, its members given their identities; nothing is written yet. */
function assembleCore(
  environment: EngineEnvironment,
  limits: Limits,
  name: string,
  geometry: Geometry,
  shared: VolumeGeometry,
  drives: readonly Drive[],
): Outcome<VolumeCore> {
  const slots: Member[] = [];
  for (const [slot, drive] of drives.entries()) {
    const planned = planMember(drive.sizeBytes, shared);
    if (planned.kind === 'too-small') {
      const { path, sizeBytes } = drive;
      return refuse('drive-too-small', { path, sizeBytes, leastBytes: planned.leastBytes });
    }
    slots.push({
      ...emptyMember(slot),
      deviceNumber: slot,
      uuid: uuidFromBytes(environment.random(16)),
      path: drive.path,
      state: 'online',
      reason: '',
      drive,
      layout: planned.value,
    });
  }
  let core: VolumeCore | null = null;
  const members = new Members(slots, (member, reason, code) =>
    core === null ? Promise.resolve() : memberFailed(core, member, reason, code),
  );
  core = new VolumeCore(
    environment,
    limits,
    name,
    uuidFromBytes(environment.random(16)),
    geometry,
    members,
  );
  core.intent = new Intent(
    core,
    shared,
    new IntentBits(shared.bitmapChunkBytes, shared.memberDataBytes),
    1,
  );
  const generation = uuidFromBytes(environment.random(16));
  core.metadata = new Metadata(core, {
    events: 1,
    sequence: 0,
    generation,
    history: [],
    clean: true,
    stripeLog: 'void',
  });
  for (const member of slots) {
    if (member.layout) member.superblock = newSuperblock(core, member, member.layout, 1);
    core.metadata.markFresh(member);
  }
  return done(core);
}

/** Least sizes that make sense, for messages. */
export const leastSizes = { driveBytes: MIB + 64 * KIB, legBytes: 16 * MIB } as const;
