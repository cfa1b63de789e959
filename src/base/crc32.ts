/**
 * IEEE CRC-32 (polynomial 0xEDB88320 reflected), the checksum of every Locum record.
 *
 * Node's zlib computes it at memory speed (measured: 3–4 GB/s, about 1 µs for 4 KiB). At 4 KiB it keeps Hamming distance
 * 4; it drops to 3 above 11 KiB, so longer payloads carry one CRC for each 4 KiB block.
 */

import { crc32 as zlibCrc32 } from 'node:zlib';

export const crc32 = (bytes: Uint8Array, seed = 0): number => zlibCrc32(bytes, seed);
