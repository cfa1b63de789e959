/**
 * What is wrong has to be said (P6): at rest each member and leg that is not there is out in the status, with an alarm for
 * each, and a volume that lacks one is not called optimal. The drives themselves are asked, not the engine.
 */

import { objectTo } from './objection.ts';
import type { Scene } from './scene.ts';

/** A quiet volume looks at its drives every second, and gives one that hangs its deadline. */
const NOTICED_US = 30 * 1_000_000;

export function everythingIsSaid(scene: Scene, where: string): void {
  const { server, machine } = scene;
  const { drives, log, alarms, state } = server.volume.status();
  const codes = alarms.map(({ code }) => code);
  const legs = log?.legs ?? [];
  if (!scene.anySlow())
    for (const { path, state: own } of [...drives, ...legs])
      objectTo(
        'said',
        own === 'online' && machine.media.get(path)?.isVanished === true && isLong(scene, path),
        () => `${where}: ${path} is gone, and is called online`,
      );
  if (state === 'halted') {
    objectTo('said', !codes.includes('halted'), () => `${where}: halted without an alarm`);
    return;
  }
  const out = drives.filter(({ state: own }) => own === 'failed' || own === 'missing');
  const ofDrives = codes.filter((code) => code === 'drive-failed' || code === 'second-failure');
  const besides = out.filter(
    ({ slot }) => slot !== null && slot !== server.volume.core.window?.slot,
  );
  objectTo(
    'said',
    ofDrives.length < besides.length,
    () =>
      `${where}: ${besides.length} drives are out, of which the alarms are: ${codes.join(', ')}`,
  );
  objectTo(
    'said',
    log === null && scene.plan.config.legs > 0,
    () => `${where}: the volume runs without its log, and the status says nothing of it`,
  );
  const isLegOut = legs.some(({ state: own }) => own !== 'online');
  objectTo(
    'said',
    isLegOut && !codes.includes('leg-lost') && !codes.includes('log-lost'),
    () => `${where}: a leg is out, and the alarms are: ${codes.join(', ')}`,
  );
  objectTo(
    'said',
    state === 'optimal' && (besides.length > 0 || server.volume.core.degraded),
    () => `${where}: optimal with ${besides.length} drives out`,
  );
  scene.coverage.count('alarms held against the drives');
}

/** Gone for long enough, while this server ran. */
function isLong({ vanishedAtUs, world, server }: Scene, path: string): boolean {
  const sinceUs = Math.max(vanishedAtUs.get(path) ?? Number.POSITIVE_INFINITY, server.startedAtUs);
  return world.nowUs - sinceUs > NOTICED_US;
}
