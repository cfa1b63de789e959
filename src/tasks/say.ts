/**
 * What Locum's own tools print, a line at a time. It goes to a file in the state directory, and that may be full, or gone
 * read-only: a line is lost then, and nothing else. A download that ended there would leave the drive with half an image,
 * and a read test would say of the drive what is wrong with the disk of the server.
 */

import { writeSync } from 'node:fs';

export function say(text: string): void {
  try {
    writeSync(1, `${text}\n`);
  } catch {
    // Nobody to tell.
  }
}
