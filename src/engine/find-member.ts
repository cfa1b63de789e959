/** DRIVE on the command line: a slot number, a path, or a unique prefix of the member's uuid. */

import { done, type Outcome, refuse } from '../core/problems.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';

export function findMember(v: VolumeCore, drive: string): Outcome<Member> {
  const all = [...v.members.slots, ...v.members.spares];
  const byPath = all.find((member) => member.path === drive);
  if (byPath) return done(byPath);
  if (/^\d{1,2}$/.test(drive)) {
    const bySlot = v.members.slots[Number(drive)];
    if (bySlot) return done(bySlot);
  }
  const prefix = drive.toLowerCase();
  const byUuid = all.filter((member) => prefix.length >= 2 && member.uuid.startsWith(prefix));
  if (byUuid.length === 1) return done(byUuid[0] as Member);
  if (byUuid.length > 1)
    return refuse('drive-ambiguous', { drive, matches: byUuid.length, volume: v.name });
  const known = v.members.slots
    .map((member) => `${member.slot} (${member.path || 'no drive'})`)
    .join(', ');
  return refuse('drive-unknown', { drive, volume: v.name, known });
}
