/**
 * Closing a file whose work is done. On NFS `close` may fail of what was written, which a flush has said before, or of
 * nothing that matters to whoever has only read: it must not take the place of what came of the work.
 */

import { closeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

export const closeFile = (file: FileHandle): Promise<void> => file.close().catch(() => {});

export function closeDescriptor(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It is closed all the same.
  }
}
