/**
 * How full the log of a window may become before something is done. Each mark is said once, as an
 * event of the window: 70 % is worth knowing, at 85 % the drive is asked for, at 95 % the window
 * ends, unless a second member is absent: then nothing may end it, and writes are held. The last 5
 * % are for what must still be written then: after-images.
 */

export const logMarks = [70, 85, 95] as const;
export type LogMark = (typeof logMarks)[number];

export const logFillPercent = (usedBytes: number, capacityBytes: number): number =>
  capacityBytes > 0 ? (usedBytes * 100) / capacityBytes : 0;

/** The highest mark that has been reached; 0 when none has. */
export function logMarkOf(
  usedBytes: number,
  capacityBytes: number,
  marks: readonly number[] = logMarks,
): number {
  const percent = logFillPercent(usedBytes, capacityBytes);
  return marks.reduce((highest, mark) => (percent >= mark ? Math.max(highest, mark) : highest), 0);
}

/** Are host writes to be held? Only when nothing else can make room. */
export const mustHoldWrites = (
  mark: number,
  secondAbsent: boolean,
  highest: number = logMarks[2],
): boolean => mark >= highest && secondAbsent;
