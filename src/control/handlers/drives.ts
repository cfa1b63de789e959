/** The operations on the drives of a volume. A drive that another volume has claimed is refused here already. */

import type { Handlers } from '../../api/operations.ts';
import type { Asking } from '../asking.ts';
import type { VolumeTable } from '../volume-table.ts';

export function driveHandlers(
  table: VolumeTable,
  asking: Asking,
): Pick<Handlers, 'driveAdd' | 'driveFail' | 'driveRemove' | 'driveReplace'> {
  return {
    driveAdd: async ({ params: { volume }, body }) => {
      const free = await table.claims.check(volume, [body.path]);
      if (!free.ok) return free;
      const { path, spare = false, force = false } = body;
      return table.expecting(volume, { drives: [path], logs: [] }, () =>
        asking.change(volume, 'addDrive', [path, spare, force]),
      );
    },
    driveFail: ({ params, body }) => asking.change(params.volume, 'failDrive', [body.drive]),
    driveRemove: ({ params, body }) => asking.change(params.volume, 'removeDrive', [body.drive]),
    driveReplace: async ({ params: { volume }, body }) => {
      const free = await table.claims.check(volume, [body.with]);
      if (!free.ok) return free;
      const { drive, with: path, force = false } = body;
      return table.expecting(volume, { drives: [path], logs: [] }, () =>
        asking.change(volume, 'replaceDrive', [drive, path, force]),
      );
    },
  };
}
