/**
 * What ATA drives answer (ATA/ATAPI command set): IDENTIFY DEVICE as `hdparm --Istdout` prints it, 256 words in
 * hexadecimal, and the self-test status as smartctl gives it in JSON.
 */

import type { Look } from './look.ts';

export interface AtaIdentity {
  readonly serial: string;
  readonly firmware: string;
  readonly model: string;
  readonly capacityBytes: number | null;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
}

const WORDS = 256;

/** Null: not 256 words, all of them empty (no ATA drive answered), or a checksum that is wrong. */
export function parseIdentify(printed: string): AtaIdentity | null {
  const words = printed
    .split('\n')
    .filter((line) => /^\s*([0-9a-f]{4}\s+){7}[0-9a-f]{4}\s*$/i.test(line))
    .flatMap((line) => line.trim().split(/\s+/))
    .map((word) => Number.parseInt(word, 16));
  if (words.length !== WORDS || words.every((word) => word === 0) || !checksumFits(words)) {
    return null;
  }
  const word = (index: number): number => words[index]!;
  const wide = (index: number, count: number): number =>
    Array.from({ length: count }, (_, i) => word(index + i) * 2 ** (16 * i)).reduce(
      (a, b) => a + b,
    );
  // Two characters a word, the first in the upper byte.
  const text = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((value) => String.fromCharCode(value >> 8, value & 0xff))
      .join('')
      .replace(/\0/g, ' ')
      .trim();
  const sizes = word(106);
  const isValid = (sizes & 0xc000) === 0x4000;
  const logicalBlockBytes = isValid && (sizes & 0x1000) !== 0 ? wide(117, 2) * 2 : 512;
  const perPhysical = isValid && (sizes & 0x2000) !== 0 ? 2 ** (sizes & 0x0f) : 1;
  const has48Bits = (word(83) & 0x0400) !== 0;
  const blocks = has48Bits ? wide(100, 4) : wide(60, 2);
  return {
    serial: text(10, 20),
    firmware: text(23, 27),
    model: text(27, 47),
    capacityBytes: blocks === 0 ? null : blocks * logicalBlockBytes,
    logicalBlockBytes,
    physicalBlockBytes: logicalBlockBytes * perPhysical,
  };
}

/** Word 255 makes the sum of all bytes zero, where it is marked by 0xa5. */
function checksumFits(words: readonly number[]): boolean {
  if ((words[255]! & 0xff) !== 0xa5) return true;
  return words.reduce((sum, value) => sum + (value >> 8) + (value & 0xff), 0) % 256 === 0;
}

interface SmartctlJson {
  readonly ata_smart_data?: {
    readonly self_test?: { readonly status?: { readonly value?: number } };
  };
}

/** `smartctl -j -c`: the upper half of the byte is the result, the lower the tenths that are left. */
export function parseSelfTestStatus(json: string): Look | null {
  let value: number | undefined;
  try {
    value = (JSON.parse(json) as SmartctlJson).ata_smart_data?.self_test?.status?.value;
  } catch {
    return null;
  }
  if (typeof value !== 'number') return null;
  const result = value >> 4;
  if (result === 15) return { state: 'running', share: (10 - (value & 0x0f)) / 10 };
  if (result === 0) return { state: 'passed' };
  if (result <= 2) return { state: 'unknown', note: 'the self-test was aborted' };
  if (result === 3) return { state: 'unknown', note: 'the drive could not complete the self-test' };
  if (result > 8) return { state: 'unknown', note: `the drive answers with a reserved value` };
  return { state: 'failed', note: `the self-test failed (${ataFailures[result - 4]})` };
}

const ataFailures = ['unknown element', 'electrical', 'servo', 'read', 'handling damage'];

/** Both flags are what hdparm asks for; without them it only warns. It takes mode 3 or 7 as the drive allows. */
export const fwdownloadArgs = (device: string, image: string): string[] => [
  '--yes-i-know-what-i-am-doing',
  '--please-destroy-my-drive',
  '--fwdownload',
  image,
  device,
];
