/**
 * The first thing written at a start: members that a crash left a step behind are brought to where the others are, with
 * the numbers of that step and not with new ones. So however often a start dies in the middle, no two members are ever
 * more than one step apart; two steps behind would look like an older copy, restored.
 *
 *   found       d0 #11 · events 12     d1 #12 · 12     d2 #12 · 11
 *   caught up   d0 #12 · events 12     d1 #12 · 12     d2 #12 · 12      only then the next commit: #13 · 13
 */

import { ENOMEM, type Errno, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import type { AssemblyDecision } from '../core/assembly.ts';
import type { Label } from '../core/format/label.ts';
import { encodeLabel } from '../core/format/label-codec.ts';
import {
  encodeSuperblock,
  FEATURE_LOCUM_WINDOW,
  FEATURE_RECOVERY_OFFSET,
  type Superblock,
} from '../core/format/superblock.ts';
import { type Copy, copiesFor, type Newest } from './label-copies.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';

/** `labels`: the newest label found on each member, by path. */
export async function catchUp(
  v: VolumeCore,
  decision: AssemblyDecision,
  labels: ReadonlyMap<string, Label>,
): Promise<void> {
  const truth = decision.label;
  if (truth === null) return;
  const writes: Promise<() => void>[] = [];
  for (const member of v.members.present()) {
    // One that is being rebuilt is far behind anyway, and must never be ahead; spares hold nothing.
    if (member.state !== 'online' || member.superblock === null) continue;
    const own = labels.get(member.path)?.sequence ?? 0;
    const label = own < truth.sequence ? labelOf(truth, member) : null;
    const isOlder = member.superblock.events < decision.events && !v.metadata.labelsOnly;
    const superblock = isOlder ? superblockOf(decision, member.superblock) : null;
    if (label !== null || superblock !== null) writes.push(write(v, member, label, superblock));
  }
  // One that does not take it is failed when all others have it: that is a step of its own.
  for (const tell of await Promise.all(writes)) tell();
}

/** The same for one member, whatever it has. */
export async function catchUpOne(
  v: VolumeCore,
  decision: AssemblyDecision,
  member: Member,
): Promise<void> {
  const { label } = decision;
  if (label === null || member.superblock === null) return;
  const superblock = superblockOf(decision, member.superblock);
  const tell = await write(v, member, labelOf(label, member), superblock);
  tell();
}

const labelOf = (truth: Label, member: Member): Label => ({
  ...truth,
  memberUuid: member.uuid,
  slot: member.slot < 0 ? null : member.slot,
});

/** What all members have alike in the newest superblock; the rest is the drive's own. */
function superblockOf(decision: AssemblyDecision, own: Superblock): Superblock {
  const { features, roles, resyncBytes, updatedUs } = decision.superblock;
  // Of the step that opens a window there may be labels and no superblock.
  const windowBit = decision.label?.window == null ? 0 : FEATURE_LOCUM_WINDOW;
  return {
    ...own,
    features: ((features & ~FEATURE_RECOVERY_OFFSET) | windowBit) >>> 0,
    roles: [...roles],
    resyncBytes,
    updatedUs,
    events: decision.events,
  };
}

/**
 * Its newest label is never overwritten: torn by a power cut, the member would be as far behind as it was. Returns what is
 * to be done about it when the others are written too.
 */
async function write(
  v: VolumeCore,
  member: Member,
  label: Label | null,
  superblock: Superblock | null,
): Promise<() => void> {
  const { drive, layout } = member;
  if (drive === null || layout === null) return () => {};
  const { buffers } = v.environment;
  const buffer = await buffers.takeLater(2 * BLOCK_BYTES, 'engine');
  let errno: Errno = ENOMEM;
  try {
    const writes: Promise<Errno>[] = [];
    let written: Newest | undefined;
    if (label !== null) {
      const scratch = (buffer + BLOCK_BYTES) as Address;
      const newest = await v.metadata.newestCopy(drive, layout, scratch);
      buffers.slice(buffer, BLOCK_BYTES).set(encodeLabel(label));
      const { spare, turn } = copiesFor(label.sequence, newest);
      written = { copy: turn, sequence: label.sequence };
      const put = (copy: Copy): Promise<Errno> =>
        drive.write(layout.labelOffsets[copy] as DriveOffset, buffer, BLOCK_BYTES);
      let first: Errno = OK;
      if (spare !== null) {
        first = await put(spare);
        if (first === OK) first = await drive.flush();
      }
      writes.push(first === OK ? put(turn) : Promise.resolve(first));
    }
    if (superblock !== null) {
      const address = (buffer + BLOCK_BYTES) as Address;
      buffers.slice(address, BLOCK_BYTES).set(encodeSuperblock(superblock));
      writes.push(drive.write(layout.superOffset as DriveOffset, address, BLOCK_BYTES));
    }
    errno = (await Promise.all(writes)).find((result) => result !== OK) ?? OK;
    if (errno === OK) errno = await drive.flush();
    if (label !== null) v.metadata.noteCopy(drive, errno === OK ? written : undefined);
  } finally {
    if (buffer !== 0) buffers.give(buffer);
  }
  if (errno === OK && superblock !== null) member.superblock = superblock;
  return () => {
    if (errno === OK || member.drive !== drive) return;
    const reason = `its metadata could not be written (errno ${errno})`;
    v.members.fail(member, reason, 'write-error');
  };
}
