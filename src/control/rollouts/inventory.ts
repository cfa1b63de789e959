/**
 * What is in the volumes: every member and spare with its model, serial, firmware and health, asked of the drives
 * themselves. A drive that is away in a window is not asked: somebody works on it.
 */

import { explain } from '../../api/errors.ts';
import { done, type Outcome } from '../../core/problems.ts';
import type { InventoryDrive } from '../../core/rollout-report.ts';
import type { DriveStatus } from '../../core/status.ts';
import { plainRequest } from '../../core/task-request.ts';
import { askDrive } from './rollout-planner.ts';
import type { RolloutTools } from './rollout-tools.ts';

/** Asking a drive starts a program or two; a shelf of them is not asked all at once. */
const AT_ONCE = 4;

/** Null: all volumes that run; a volume that does not is left out then, and refused when it was named. */
export async function inventoryOf(
  tools: RolloutTools,
  wanted: readonly string[] | null,
): Promise<Outcome<InventoryDrive[]>> {
  const drives: { readonly volume: string; readonly drive: DriveStatus }[] = [];
  for (const volume of wanted ?? tools.volumes.names()) {
    const status = await tools.volumes.status(volume);
    if (!status.ok && wanted !== null) return status;
    if (!status.ok) continue;
    drives.push(...status.value.drives.map((drive) => ({ volume, drive })));
  }
  const listed: InventoryDrive[] = [];
  for (let first = 0; first < drives.length; first += AT_ONCE) {
    const some = drives.slice(first, first + AT_ONCE);
    listed.push(...(await Promise.all(some.map((one) => entryOf(tools, one.volume, one.drive)))));
  }
  return done(listed);
}

async function entryOf(
  tools: RolloutTools,
  volume: string,
  { slot, path, uuid, state }: DriveStatus,
): Promise<InventoryDrive> {
  const entry = { volume, slot, path, uuid, state };
  if (path === '') return { ...entry, facts: null, note: 'no drive is there' };
  if (state === 'away') return { ...entry, facts: null, note: 'it is away: a window is open' };
  const { wholePath } = await tools.volumes.wholeOf(path);
  const asked = await askDrive(tools, wholePath, plainRequest);
  return asked.ok
    ? { ...entry, facts: asked.value.facts, note: asked.value.facts.healthNote }
    : { ...entry, facts: null, note: explain(asked.problem).message };
}
