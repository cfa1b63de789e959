/**
 * What a drive says about itself, and how what it says after a task is judged against what it said before. Success of a
 * task is what the drive says afterwards, never what a tool printed.
 *
 * Sizes in bytes. A text that the drive does not give is empty; `null` is a number that it does not give.
 */

export const transports = ['nvme', 'scsi', 'ata', 'image', 'other'] as const;
export type Transport = (typeof transports)[number];

export const healths = ['ok', 'failing', 'unknown'] as const;
export type Health = (typeof healths)[number];

export interface DriveFacts {
  /** The whole drive: a partition's drive, not the partition. */
  path: string;
  transport: Transport;
  model: string;
  serial: string;
  /** Firmware revision as the drive gives it, without padding. */
  firmware: string;
  capacityBytes: number | null;
  logicalBlockBytes: number | null;
  physicalBlockBytes: number | null;
  health: Health;
  /** Why, in the drive's own words; empty when it is well or says nothing. */
  healthNote: string;
}

/** Why the drive that answers is not the one that left, or not of the shape it had; null when it is. */
export interface FactsDiffer {
  readonly what: 'serial' | 'model' | 'capacity' | 'block-size';
  readonly before: string;
  readonly after: string;
}

/**
 * New firmware may rename the model (some vendors do), so the model counts only for a drive without a serial number. What
 * either side does not give is not compared.
 */
export function compareFacts(before: DriveFacts, after: DriveFacts): FactsDiffer | null {
  const who = before.serial !== '' && after.serial !== '' ? 'serial' : 'model';
  const pairs = [
    [who, before[who], after[who]],
    ['capacity', before.capacityBytes, after.capacityBytes],
    ['block-size', before.logicalBlockBytes, after.logicalBlockBytes],
    ['block-size', before.physicalBlockBytes, after.physicalBlockBytes],
  ] as const;
  for (const [what, was, is] of pairs) {
    const bothGiven = ![was, is].some((value) => value === null || value === '');
    if (bothGiven && was !== is) return { what, before: String(was), after: String(is) };
  }
  return null;
}

const words = {
  serial: ['serial', ''],
  model: ['model', ''],
  capacity: ['capacity', ' bytes'],
  'block-size': ['block size', ' bytes'],
} as const satisfies Record<FactsDiffer['what'], readonly [string, string]>;

/** The middle of a sentence: "its serial is B, it was A". */
export function saidOfDiffer({ what, before, after }: FactsDiffer): string {
  const [word, unit] = words[what];
  return `its ${word} is ${after}${unit}, it was ${before}${unit}`;
}
