/**
 * Puts a volume together from its members and legs alone and brings it to where it was: optimal, degraded, in a window,
 * in the middle of a replay. What belongs to what is decided in core/assembly.ts; here it is carried out.
 *
 *   1 open and read every drive and leg      4 log opened, its overlay and un-released stripe images recovered
 *   2 decide                                 5 stripe images redone: degraded stripes add up again
 *   3 members in their states                6 labels rolled forward, then the images released
 *                                            7 resync, rebuild, replay go on
 *
 * Step 3 is assemble-core.ts, 4 and 5 are assemble-log.ts.
 */

import type { StripeIndex } from '../base/units.ts';
import { type AssemblyDecision, decideAssembly } from '../core/assembly.ts';
import type { FoundDrive } from '../core/assembly-identity.ts';
import type { Label } from '../core/format/label.ts';
import { done, type Outcome, type Problem, refuse } from '../core/problems.ts';
import { coreFrom, type Opened } from './assemble-core.ts';
import { completeFreeze, openLog, redoStripes, releaseFound } from './assemble-log.ts';
import { catchUp } from './catch-up.ts';
import type {
  AssembleRequest,
  AssembleVolume,
  EngineEnvironment,
  RunningVolume,
} from './contract.ts';
import { openGuarded } from './identify.ts';
import { type Limits, limitsFrom } from './limits.ts';
import { viewLeg } from './log/leg-identity.ts';
import { checkPlaces } from './log-setup.ts';
import { readMemberMetadata } from './member-metadata.ts';
import { noteReAdds, reAddWaiting } from './re-add.ts';
import { resumeRebuild, startRebuildOfSpare } from './rebuild.ts';
import { startResync, startScrub } from './resync.ts';
import { Volume } from './volume.ts';
import type { VolumeCore } from './volume-core.ts';

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
  v.assembling = true;
  v.legSharesFileSystem = places.value.sharesFileSystem;
  if (decision.forced || decision.leavesBehind) v.metadata.newGeneration();

  const logged = await openLog(v, decision, opened); // 4
  if (!logged.ok) return logged;
  const labels = labelsOf(opened);
  // First of all that is written: a member that fails in the redo is put on record at once, with a number of its own.
  await catchUp(v, decision, labels);
  await v.members.settled();
  const redone = await redoStripes(v, decision, request.force); // 5
  if (!redone.ok) {
    await v.log?.leave();
    return redone;
  }
  await completeFreeze(v, decision, opened, labels);
  // What is not used is let go: it may be given again, as a new one.
  const closing = [...opened.drives.values(), ...opened.legs.values()]
    .filter(({ drive }) => v.log?.holds(drive) !== true)
    .filter(({ drive }) => !v.members.present().some((member) => member.drive === drive))
    .map(({ drive }) => drive.close());
  await Promise.all(closing);
  const volume = new Volume(v);
  await v.intent.writeAll();
  // Halted: one that cannot be done without took no write. The others must not get ahead of it, start after start.
  if (!v.halted) await v.metadata.commit(); // 6
  await v.members.settled();
  await releaseFound(v);
  goOn(v, volume, decision); // 7
  volume.start();
  v.emit('volume-assembled', 'info', `Volume ${v.name} was assembled`, {
    trail: decision.trail.join('; '),
  });
  const overridden = [...decision.overridden, ...redone.value];
  if (overridden.length > 0) {
    const inSpite = overridden.join(', ');
    const message = `Volume ${v.name} was started by force, in spite of ${inSpite}`;
    v.emit('volume-forced', 'warning', message, { overridden: inSpite });
  }
  return done(volume);
}

function labelsOf(opened: Opened): Map<string, Label> {
  const labels = new Map<string, Label>();
  for (const [path, { metadata }] of opened.drives)
    if (metadata.label.kind === 'label') labels.set(path, metadata.label.value);
  return labels;
}

/**
 * Opens what is there. A path that does not exist, hangs or cannot be opened is a missing member, not an error: whether the
 * volume may do without is decided later. One that is busy is an error.
 */
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
      if (isMissing(drive.problem) && request.drivePaths.length > 1) continue;
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
      if (isMissing(drive.problem)) continue;
      return drive;
    }
    const { header, readErrors } = await viewLeg(environment.buffers, drive.value);
    opened.legs.set(path, { drive: drive.value, found: { path, header }, readErrors });
  }
  if (opened.drives.size === 0)
    return refuse('member-not-found', { paths: request.drivePaths.join(', ') });
  return done(undefined);
}

const isMissing = ({ code }: Problem): boolean =>
  code === 'drive-path-missing' || code === 'drive-open-failed';

/** 7: whatever was under way goes on. */
function goOn(v: VolumeCore, volume: Volume, decision: AssemblyDecision): void {
  v.assembling = false;
  noteReAdds(v, decision.slots);
  if (v.mode === 'frozen') return;
  startResync(v);
  if (v.mode === 'replaying') {
    volume.windows.replaying.start();
    return;
  }
  for (const member of v.members.slots) if (member.state === 'rebuilding') resumeRebuild(v, member);
  v.ownBeside(reAddWaiting(v));
  const scrub = v.metadata.scrub;
  if (scrub?.active === true && !v.degraded) {
    startScrub(v, scrub.repair, scrub.cursorStripe as StripeIndex, scrub.mismatches);
  }
  v.ownBeside(startRebuildOfSpare(v));
}
