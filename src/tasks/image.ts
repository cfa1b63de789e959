/**
 * A firmware image is looked at before anything is touched: it can be read, is not empty, is not absurdly large, and has
 * the checksum that was given for it. Whether it is meant for the drive only the drive can say; a policy of the user's
 * (`--model`) narrows it down.
 */

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { ImageReport, TaskRequest } from '../core/run-report.ts';
import { closeFile } from '../io/close-file.ts';

/** The largest firmware of a drive seen is some tens of MiB. */
export const IMAGE_BYTES_MAX = 256 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/** Path, size and SHA-256 of an image that may be used. */
export async function checkImage(
  path: string,
  expectedSha256: string | null,
): Promise<Outcome<ImageReport>> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    return refuse('image-unreadable', { image: path, reason: messageOf(error) });
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) {
      return refuse('image-unreadable', { image: path, reason: 'it is not a regular file' });
    }
    if (stat.size === 0) return refuse('image-empty', { image: path });
    if (stat.size > IMAGE_BYTES_MAX) {
      const sizes = { sizeBytes: stat.size, mostBytes: IMAGE_BYTES_MAX };
      return refuse('image-too-large', { image: path, ...sizes });
    }
    const hash = createHash('sha256');
    const piece = Buffer.alloc(PIECE_BYTES);
    let sizeBytes = 0;
    // No further than the size it had: a file that grows is refused by its checksum, if by nothing else.
    while (sizeBytes < stat.size) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, sizeBytes);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
      sizeBytes += bytesRead;
    }
    const sha256 = hash.digest('hex');
    if (expectedSha256 !== null && sha256 !== expectedSha256.toLowerCase()) {
      const sums = { found: sha256, expected: expectedSha256 };
      return refuse('image-wrong-checksum', { image: path, ...sums });
    }
    return done({ path, sizeBytes, sha256 });
  } catch (error) {
    return refuse('image-unreadable', { image: path, reason: messageOf(error) });
  } finally {
    await closeFile(file);
  }
}

/** The image of a firmware request, and the model that it may go to. `facts` is what the drive says of itself. */
export async function checkFirmware(
  facts: DriveFacts,
  request: TaskRequest,
  needsImage: boolean,
): Promise<Outcome<void>> {
  const { imagePath, imageSha256, model } = request;
  if (imagePath === null && needsImage) return refuse('image-none', { path: facts.path });
  if (imagePath !== null) {
    const image = await checkImage(imagePath, imageSha256);
    if (!image.ok) return image;
  }
  if (model !== null && !facts.model.toLowerCase().includes(model.toLowerCase())) {
    const models = { found: facts.model || 'without a name', expected: model };
    return refuse('drive-wrong-model', { path: facts.path, ...models });
  }
  return done(undefined);
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
