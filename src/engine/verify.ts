/** The comparison of a returning drive with the frozen survivors, before it is trusted. */

import { OK } from '../base/errno.ts';
import type { Address, StripeIndex } from '../base/units.ts';
import type { VerifyMode } from '../core/status.ts';
import { noteReadError } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { reconstruct } from './reconstruct.ts';
import type { Sweep } from './sweep.ts';
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
      const own = await buffers.takeLater(bytes, 'engine');
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
          const other = made.slot >= 0 ? v.members.at(made.slot) : null;
          if (other !== null) noteReadError(v, other, made.errno);
          // One unreadable sector among the others leaves this range uncompared; the drive that is back can mend it.
          if (other?.state === 'online') return 'done';
          return { failed: 'the other drives cannot be read' };
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
