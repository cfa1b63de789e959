/**
 * Brings a firmware image to a SCSI drive in pieces of 4 KiB.
 *
 *   scsi-download-tool.js SG_WRITE_BUFFER dmc_offs_save|dmc_offs_defer IMAGE DEVICE
 *
 * sg_write_buffer sends a whole file itself, but gives up at the first unit attention. A unit attention says that something
 * else has happened and that the command was *not* carried out; with firmware under way it is normal. So each piece is a
 * command of its own, repeated when it meets one, and an image is never half downloaded because of that.
 */

import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { say } from './say.ts';
import { DOWNLOAD_PIECE_BYTES, type DownloadMode, writeBufferArgs } from './scsi-format.ts';

/** Of sg3-utils. */
const UNIT_ATTENTION = 6;
const ATTEMPTS = 5;
const SAID_CHARS = 4096;

const [program = '', mode, image = '', device = ''] = process.argv.slice(2);

interface Sent {
  /** Null: it could not be started, or a signal ended it. */
  readonly status: number | null;
  readonly said: string;
}

/** A tool that prints without end is let finish: to end it, or to make it wait, could cost the drive. */
function run(args: readonly string[]): Promise<Sent> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const keep = (piece: Buffer): void => {
      if (said.length < SAID_CHARS) said += piece.toString('utf8').slice(0, SAID_CHARS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve({ status: null, said: String(error) }));
    child.once('close', (status) => resolve({ status, said: said.trim() }));
  });
}

async function send(offsetBytes: number, lengthBytes: number): Promise<number> {
  const args = writeBufferArgs(mode as DownloadMode, image, offsetBytes, lengthBytes, device);
  let sent = await run(args);
  for (let again = 1; again < ATTEMPTS && sent.status === UNIT_ATTENTION; again += 1) {
    sent = await run(args);
  }
  if (sent.status !== 0) say(`byte ${offsetBytes}: ${sent.said}`);
  return sent.status ?? 1;
}

const sizeBytes = statSync(image).size;
let status = 0;
let percent = -1;
for (let offset = 0; offset < sizeBytes && status === 0; offset += DOWNLOAD_PIECE_BYTES) {
  status = await send(offset, Math.min(DOWNLOAD_PIECE_BYTES, sizeBytes - offset));
  const reached = Math.floor(
    (Math.min(sizeBytes, offset + DOWNLOAD_PIECE_BYTES) / sizeBytes) * 100,
  );
  if (status === 0 && reached !== percent) say(`${reached} %`);
  percent = reached;
}
if (status === 0) say(`${sizeBytes} bytes sent to ${device}`);
process.exitCode = status;
