/**
 * Which of the two places of a label may be written without a risk. Labels go to both in turn (label-codec.ts), but a
 * drive that was away, or that a crash left behind, has missed some, and the place whose turn it is may hold its newest:
 * torn by a power cut there, the drive would look like an older copy of itself. Then the other place comes first.
 *
 * Its newest may also have a higher number than the one to be written: the others went on without it from a label that was
 * older, the drive of a window whose survivors were gone. Then both places are written: of two that are left the higher
 * number would count.
 */

import { OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import type { LabelResult } from '../core/format/label.ts';
import { decodeLabel, labelCopyIndex } from '../core/format/label-codec.ts';
import type { MemberLayout } from '../core/format/member-layout.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Drive } from '../io/drive.ts';

export type Copy = 0 | 1;

/** The newest label of a drive: its place and its number. */
export interface Newest {
  readonly copy: Copy;
  readonly sequence: number;
}

/** null: there is no valid one. */
export function newestOf(copies: readonly [LabelResult, LabelResult]): Newest | null {
  const [first, second] = copies.map((each) => (each.kind === 'label' ? each.value.sequence : -1));
  if (first === -1 && second === -1) return null;
  return second! > first! ? { copy: 1, sequence: second! } : { copy: 0, sequence: first! };
}

/** The same, as it is on the drive; `buffer`: a block of the caller's, so that nobody who holds one waits for another. */
export async function newestCopy(
  buffers: Buffers,
  drive: Drive,
  layout: MemberLayout,
  buffer: Address,
): Promise<Newest | null> {
  const read = async (copy: Copy): Promise<LabelResult> => {
    const offset = layout.labelOffsets[copy] as DriveOffset;
    const errno = await drive.read(offset, buffer, BLOCK_BYTES);
    return errno === OK ? decodeLabel(buffers.slice(buffer, BLOCK_BYTES)) : UNREAD;
  };
  return newestOf([await read(0), await read(1)]);
}

export const UNREAD: LabelResult = { kind: 'corrupt', reason: 'it cannot be read' };

/** Does the drive take writes? What lies in the place of its older label is written there again. */
export async function takesLabels(
  buffers: Buffers,
  drive: Drive,
  layout: MemberLayout,
): Promise<boolean> {
  const buffer = await buffers.takeLater(BLOCK_BYTES, 'engine');
  try {
    const older = (await newestCopy(buffers, drive, layout, buffer))?.copy === 0 ? 1 : 0;
    const offset = layout.labelOffsets[older] as DriveOffset;
    return (
      (await drive.read(offset, buffer, BLOCK_BYTES)) === OK &&
      (await drive.write(offset, buffer, BLOCK_BYTES)) === OK &&
      (await drive.flush()) === OK
    );
  } finally {
    buffers.give(buffer);
  }
}

/**
 * Where a label with this number goes: to the place whose turn it is, and if the newest one lies there, to the other place
 * first (`spare`), flushed. One that is newer by its number alone is overwritten whosever turn it is.
 */
export function copiesFor(
  sequence: number,
  newest: Newest | null,
): { readonly spare: Copy | null; readonly turn: Copy } {
  const isAhead = newest !== null && newest.sequence >= sequence;
  const turn = isAhead ? newest.copy : labelCopyIndex(sequence);
  return { spare: turn === newest?.copy ? (turn === 0 ? 1 : 0) : null, turn };
}
