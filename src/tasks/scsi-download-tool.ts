/**
 * Brings a firmware image to a SCSI drive in pieces of 4 KiB.
 *
 *   scsi-download-tool.js SG_WRITE_BUFFER dmc_offs_save|dmc_offs_defer IMAGE DEVICE
 *
 * sg_write_buffer sends a whole file itself, but gives up at the first unit attention. A unit attention says that something
 * else has happened and that the command was *not* carried out; with firmware under way it is normal. So each piece is a
 * command of its own, repeated when it meets one, and an image is never half downloaded because of that.
 */

import { spawnSync } from 'node:child_process';
import { statSync, writeSync } from 'node:fs';
import { DOWNLOAD_PIECE_BYTES, type DownloadMode, writeBufferArgs } from './scsi-format.ts';

/** Of sg3-utils. */
const UNIT_ATTENTION = 6;
const ATTEMPTS = 5;

const [program = '', mode, image = '', device = ''] = process.argv.slice(2);
const say = (text: string): void => void writeSync(1, `${text}\n`);

function send(offsetBytes: number, lengthBytes: number): number {
  let status: number | null = null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const args = writeBufferArgs(mode as DownloadMode, image, offsetBytes, lengthBytes, device);
    const sent = spawnSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
    status = sent.status;
    if (status === 0) return 0;
    if (status !== UNIT_ATTENTION) {
      say(
        `byte ${offsetBytes}: ${(sent.stderr || sent.stdout || String(sent.error ?? '')).trim()}`,
      );
      break;
    }
  }
  return status ?? 1;
}

const sizeBytes = statSync(image).size;
let status = 0;
let percent = -1;
for (let offset = 0; offset < sizeBytes && status === 0; offset += DOWNLOAD_PIECE_BYTES) {
  status = send(offset, Math.min(DOWNLOAD_PIECE_BYTES, sizeBytes - offset));
  const reached = Math.floor(
    (Math.min(sizeBytes, offset + DOWNLOAD_PIECE_BYTES) / sizeBytes) * 100,
  );
  if (status === 0 && reached !== percent) say(`${reached} %`);
  percent = reached;
}
if (status === 0) say(`${sizeBytes} bytes sent to ${device}`);
process.exitCode = status;
