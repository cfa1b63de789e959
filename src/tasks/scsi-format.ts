/** What SCSI drives answer, as bytes (SPC-5, SBC-4): offsets are those of the standards, numbers are big-endian. */

import type { Look } from './look.ts';

export interface Inquiry {
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
}

const text = (bytes: Buffer, from: number, to: number): string =>
  bytes.subarray(from, to).toString('latin1').replace(/\0/g, ' ').trim();

/** Standard INQUIRY data; null when it is too short, or of something that is no disk. */
export function parseInquiry(bytes: Buffer): Inquiry | null {
  if (bytes.length < 36) return null;
  const deviceType = bytes[0]! & 0x1f;
  // 0x00: a disk, 0x14: a zoned one. The upper bits say that a unit is there at all.
  if (bytes[0]! >> 5 !== 0 || (deviceType !== 0x00 && deviceType !== 0x14)) return null;
  return {
    vendor: text(bytes, 8, 16),
    product: text(bytes, 16, 32),
    revision: text(bytes, 32, 36),
  };
}

/** VPD page 0x80, unit serial number; empty when it is another page. */
export function parseSerialPage(bytes: Buffer): string {
  if (bytes.length < 4 || bytes[1] !== 0x80) return '';
  return text(bytes, 4, 4 + bytes.readUInt16BE(2));
}

export interface Capacity {
  readonly capacityBytes: number;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number | null;
}

/** READ CAPACITY (16). */
export function parseCapacity16(bytes: Buffer): Capacity | null {
  if (bytes.length < 14) return null;
  const blocks = Number(bytes.readBigUInt64BE(0)) + 1;
  const logicalBlockBytes = bytes.readUInt32BE(8);
  if (logicalBlockBytes === 0) return null;
  const physicalBlockBytes = logicalBlockBytes * 2 ** (bytes[13]! & 0x0f);
  return { capacityBytes: blocks * logicalBlockBytes, logicalBlockBytes, physicalBlockBytes };
}

/** READ CAPACITY (10), for drives that are too old for the other; null when the drive is too large for it. */
export function parseCapacity10(bytes: Buffer): Capacity | null {
  if (bytes.length < 8 || bytes.readUInt32BE(0) === 0xffff_ffff) return null;
  const logicalBlockBytes = bytes.readUInt32BE(4);
  if (logicalBlockBytes === 0) return null;
  const capacityBytes = (bytes.readUInt32BE(0) + 1) * logicalBlockBytes;
  return { capacityBytes, logicalBlockBytes, physicalBlockBytes: null };
}

/** Log page 0x10, self-test results: what the newest one says; null when it is another page, or a drive without one. */
export function parseSelfTestPage(bytes: Buffer): Look | null {
  if (bytes.length < 24 || (bytes[0]! & 0x3f) !== 0x10) return null;
  const result = bytes[8]! & 0x0f;
  if (result === 0x0f) return { state: 'running', share: null };
  if (result === 0) return { state: 'passed' };
  if (result <= 2) return { state: 'unknown', note: 'the self-test was aborted' };
  if (result === 3) return { state: 'unknown', note: 'the drive could not complete the self-test' };
  const segment = bytes[9]!;
  return {
    state: 'failed',
    note: `the self-test failed${segment === 0 ? '' : ` in segment ${segment}`}`,
  };
}

export type DownloadMode = 'dmc_offs_save' | 'dmc_offs_defer';
export const DOWNLOAD_PIECE_BYTES = 4096;

/** One piece of a firmware download. */
export const writeBufferArgs = (
  mode: DownloadMode,
  image: string,
  offsetBytes: number,
  lengthBytes: number,
  device: string,
): string[] => [
  `--mode=${mode}`,
  `--in=${image}`,
  `--skip=${offsetBytes}`,
  `--offset=${offsetBytes}`,
  `--length=${lengthBytes}`,
  device,
];
