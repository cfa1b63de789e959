/**
 * Before a server starts again, something is kept from it that it must not do without (P5): both legs of the log of an open
 * window, or all of it but a leg that is behind. It has to refuse the volume, and to serve all of it once they are back.
 *
 * A window that a command was closing when the server died may be closed; then the volume may be served, and right.
 */

import { existsSync } from 'node:fs';
import type { VolumeStatus } from '../src/core/status.ts';
import type { SectorLedger } from '../tests/support/sector-ledger.ts';
import { Broken, type KillScene } from './kill-scene.ts';
import { verifyAll } from './kill-verify.ts';

/** The legs to hide, and one out of the way that is shown in their place; null when there is nothing to try. */
interface Withheld {
  readonly fault: string;
  readonly hidden: readonly string[];
  readonly shown: string | null;
}

function choose(scene: KillScene, status: VolumeStatus): Withheld | null {
  if (status.state !== 'frozen' || status.log === null) return null;
  const online = status.log.legs.filter(({ state }) => state === 'online').map(({ path }) => path);
  if (!online.every((path) => existsSync(path))) return null;
  const behind = [...scene.pulled].find(
    ([path, { kind, noticed }]) => kind === 'leg' && noticed && existsSync(`${path}.pulled`),
  );
  if (behind !== undefined && online.length === 1) {
    return { fault: 'R-7 stale log leg', hidden: online, shown: behind[0] };
  }
  return online.length === 0
    ? null
    : { fault: 'R-10 log missing at start', hidden: online, shown: null };
}

/** `status`: just before the server ended. */
export async function withholdTheLog(
  scene: KillScene,
  ledger: SectorLedger,
  status: VolumeStatus,
  state: string,
): Promise<void> {
  const what = choose(scene, status);
  if (what === null) return;
  scene.note(`${what.fault}: ${what.hidden.length} legs withheld`);
  for (const path of what.hidden) scene.hide(path);
  if (what.shown !== null) scene.unhide(what.shown);
  await scene.locum.start();
  const found = await scene.peek();
  if (found === null) throw new Broken(`${what.fault}: the server does not know the volume`);
  const codes = found.alarms.map(({ code }) => code).join(' ');
  scene.note(`without it: ${found.state} (${codes})`);
  if (found.state !== 'halted') {
    if (found.window !== null) {
      throw new Broken(`${what.fault}: the window is open and the volume is served all the same`);
    }
    const { wrong } = await verifyAll(scene, ledger);
    if (wrong.length > 0) throw new Broken(`${what.fault}: ${wrong.slice(0, 5).join('\n')}`);
  } else scene.tally.hit(what.fault, state);
  await scene.locum.stop('SIGKILL');
  if (what.shown !== null) scene.hide(what.shown);
  for (const path of what.hidden) scene.unhide(path);
}
