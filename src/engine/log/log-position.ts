/** The end of the window's chain of segments: where the next one goes and what it links to. */

export interface LogPosition {
  /** Of the last segment; 0 for none. */
  readonly sequence: number;
  readonly headerCrc: number;
  readonly run: bigint;
  /** In blocks from the start of the record area. */
  readonly endBlocks: number;
  readonly committedThrough: number;
  /** Records in all segments up to here. */
  readonly records: number;
}

export const EMPTY_LOG: LogPosition = {
  sequence: 0,
  headerCrc: 0,
  run: 0n,
  endBlocks: 0,
  committedThrough: 0,
  records: 0,
};
