/** The comparison of a returning drive with the frozen survivors, before it is trusted. */

import { isDriveGone, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type MemberOffset, type StripeIndex } from '../base/units.ts';
import type { VerifyMode } from '../core/status.ts';
import { noteReadError } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { reconstruct } from './reconstruct.ts';
import type { StepResult, Sweep } from './sweep.ts';
import { recoveryFor, sweepOver } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/**
 * The returning drive against the frozen survivors. `recent`: regions that were being written before the freeze and a
 * hundredth of the rest; `sample`: a tenth; `full`: everything.
 */
export function startVerify(v: VolumeCore, member: Member, mode: VerifyMode): Sweep {
  const share =
    mode === 'full'
      ? 1
      : mode === 'sample'
        ? v.limits.verifySampleShare
        : v.limits.verifyRecentShare;
  const every = Math.max(1, Math.round(1 / share));
  const seed = v.environment.random(4);
  const phase = new DataView(seed.buffer, seed.byteOffset).getUint32(0) % every;
  const recent = recoveryFor(v, 'bitmap', 0 as StripeIndex);
  const job: Sweep = sweepOver(
    v,
    {
      kind: 'verify',
      slot: member.slot,
      fromStripe: 0 as StripeIndex,
      wanted: (stripe) => stripe % every === phase || stripe === 0 || recent.marked(stripe),
      checkpoint: async () => {},
    },
    false,
    async (_first, _count, offset, bytes, buffer) => {
      const { buffers, kernels } = v.environment;
      const own = await buffers.takeLater(bytes, 'scratch');
      try {
        if (own === 0) return { failed: 'no memory for a step' };
        const errno = await v.members.readData(member.slot, offset, own, bytes);
        if (errno !== OK) return { failed: `drive ${member.path} cannot be read (errno ${errno})` };
        const made = await reconstruct(
          v.sources,
          member.slot,
          v.members.absentMask | bit(member.slot),
          offset,
          buffer,
          bytes,
        );
        if (made.errno !== OK) {
          const other = made.member;
          if (other !== null) noteReadError(v, other, made.errno);
          if (other?.state !== 'online') return { failed: 'the other drives cannot be read' };
          return await compareBlocks(v, job, member.slot, { offset, bytes, own, buffer });
        }
        if (!kernels.equal(own, buffer, bytes)) {
          for (let at = 0; at < bytes; at += v.geometry.chunkBytes) {
            const length = Math.min(v.geometry.chunkBytes, bytes - at);
            if (!kernels.equal((own + at) as Address, (buffer + at) as Address, length))
              job.mismatches++;
          }
        }
        return 'done';
      } finally {
        if (own !== 0) buffers.give(own);
      }
    },
  );
  v.verifyJob = job;
  return job;
}

interface Compared {
  readonly offset: MemberOffset;
  readonly bytes: number;
  readonly own: Address;
  readonly buffer: Address;
}

/**
 * Block by block around sectors that the others cannot read: those stay uncompared, and are not counted as checked. The
 * drive that is back can mend them.
 */
async function compareBlocks(
  v: VolumeCore,
  job: Sweep,
  slot: number,
  { offset, bytes, own, buffer }: Compared,
): Promise<StepResult> {
  const { kernels } = v.environment;
  let differs = -1;
  for (let at = 0; at < bytes; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, bytes - at);
    const place = (offset + at) as MemberOffset;
    const unusable = v.members.absentMask | bit(slot);
    const made = await reconstruct(v.sources, slot, unusable, place, buffer, length);
    if (made.errno !== OK) {
      if (made.member?.state !== 'online' || isDriveGone(made.errno))
        return { failed: 'the other drives cannot be read' };
      job.skippedBytes += length;
      continue;
    }
    const chunk = Math.floor(at / v.geometry.chunkBytes);
    if (chunk === differs || kernels.equal((own + at) as Address, buffer, length)) continue;
    differs = chunk;
    job.mismatches++;
  }
  return 'done';
}
