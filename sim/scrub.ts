/** The last word of a run: a scrub of the volume that was brought back ends, and finds nothing. */

import { objectTo } from './objection.ts';
import type { Scene } from './scene.ts';

export async function scrub(scene: Scene, pass: (us: number) => Promise<void>): Promise<void> {
  const { volume } = scene.server;
  const begun = await volume.startScrub(false);
  if (!begun.ok) return;
  for (let i = 0; i < 600; i++) {
    await pass(100_000);
    const status = volume.scrubStatus();
    if (status.ok && status.value.state !== 'running') break;
  }
  const status = volume.scrubStatus();
  objectTo(
    'liveness',
    !status.ok || status.value.state !== 'done',
    () => `the scrub does not end: ${JSON.stringify(status)}`,
  );
  const mismatches = status.ok ? status.value.mismatches : 0;
  objectTo(
    'parity',
    mismatches > 0 && scene.oracle.tainted.size === 0,
    () => `the scrub found ${mismatches} mismatches`,
  );
}
