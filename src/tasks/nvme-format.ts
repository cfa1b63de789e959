/** What NVMe controllers answer, as bytes (NVM Express base specification): numbers are little-endian. */

import type { Look } from './look.ts';

export interface Controller {
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  /** Can it be given firmware, and can it test itself? */
  readonly takesFirmware: boolean;
  readonly testsItself: boolean;
  /** New firmware can become current without a reset. */
  readonly activatesLive: boolean;
}

const text = (bytes: Buffer, from: number, to: number): string =>
  bytes.subarray(from, to).toString('latin1').replace(/\0/g, ' ').trim();

/** Identify controller, 4096 bytes. */
export function parseController(bytes: Buffer): Controller | null {
  if (bytes.length < 4096) return null;
  const adminCommands = bytes.readUInt16LE(256);
  return {
    serial: text(bytes, 4, 24),
    model: text(bytes, 24, 64),
    firmware: text(bytes, 64, 72),
    takesFirmware: (adminCommands & 0x04) !== 0,
    testsItself: (adminCommands & 0x10) !== 0,
    activatesLive: (bytes[260]! & 0x10) !== 0,
  };
}

/** Identify namespace, 4096 bytes. */
export function parseNamespace(
  bytes: Buffer,
): { capacityBytes: number; logicalBlockBytes: number } | null {
  if (bytes.length < 4096) return null;
  const blocks = Number(bytes.readBigUInt64LE(0));
  const flbas = bytes[26]!;
  // Bits 5 and 6 are the upper part of the number of the format.
  const format = (flbas & 0x0f) | ((flbas & 0x60) >> 1);
  const shift = bytes[128 + 4 * format + 2]!;
  if (blocks === 0 || shift < 9 || shift > 20) return null;
  return { capacityBytes: blocks * 2 ** shift, logicalBlockBytes: 2 ** shift };
}

/** The device self-test log: what runs now, else how the last test ended. */
export function parseSelfTestLog(bytes: Buffer): Look | null {
  if (bytes.length < 32) return null;
  if ((bytes[0]! & 0x0f) !== 0) return { state: 'running', share: (bytes[1]! & 0x7f) / 100 };
  const result = bytes[4]! & 0x0f;
  switch (result) {
    case 0x0:
      return { state: 'passed' };
    case 0x5:
      return { state: 'unknown', note: 'the drive could not complete the self-test' };
    case 0x6:
      return { state: 'failed', note: 'the self-test failed' };
    case 0x7:
      return { state: 'failed', note: `the self-test failed in segment ${bytes[5]!}` };
    case 0xf:
      return { state: 'unknown', note: 'the drive has no result of a self-test' };
    default:
      return { state: 'unknown', note: 'the self-test was aborted' };
  }
}

/** nvme-cli 2 says `fw-download`, 3 says `fw download`; its own list of commands tells which. */
export function firmwareVerb(help: string, verb: 'download' | 'commit'): string[] {
  return new RegExp(`^\\s+fw-${verb}\\s`, 'm').test(help) ? [`fw-${verb}`] : ['fw', verb];
}

export const downloadArgs = (verb: readonly string[], device: string, image: string): string[] => [
  ...verb,
  device,
  `--fw=${image}`,
];

/**
 * Commit actions: 1 stores what was downloaded and makes it current at the next reset, 2 makes a slot current at the next
 * reset, 3 makes what was downloaded (or the slot) current at once. Slot 0 lets the controller choose.
 */
export const commitArgs = (
  verb: readonly string[],
  device: string,
  slot: number,
  action: 1 | 2 | 3,
): string[] => [...verb, device, `--slot=${slot}`, `--action=${action}`];
