/** The operations on the log of a volume. A leg that another volume has claimed is refused here already. */

import type { Handlers } from '../../api/operations.ts';
import { type Asking, QUICK_MS } from '../asking.ts';
import { reply } from '../replies.ts';
import type { VolumeTable } from '../volume-table.ts';

export function logHandlers(
  table: VolumeTable,
  asking: Asking,
): Pick<Handlers, 'logShow' | 'logCheck' | 'logReplace' | 'logAdd'> {
  return {
    logShow: ({ params }) =>
      asking.ask(params.volume, 'logReport', [], (log) => reply({ log }), QUICK_MS),
    logCheck: ({ params }) =>
      asking.ask(params.volume, 'checkLog', [], (check) => reply({ check })),
    logReplace: async ({ params: { volume }, body }) => {
      const free = await table.claims.check(volume, [body.with]);
      if (!free.ok) return free;
      const { leg, with: path, sizeBytes = null, force = false } = body;
      return table.expecting(volume, { drives: [], logs: [path] }, () =>
        asking.change(volume, 'replaceLeg', [{ leg, path, sizeBytes, force }]),
      );
    },
    logAdd: async ({ params: { volume }, body }) => {
      const free = await table.claims.check(volume, body.logs);
      if (!free.ok) return free;
      const { logs: paths, sizeBytes = null, force = false } = body;
      return table.expecting(volume, { drives: [], logs: paths }, () =>
        asking.change(volume, 'addLog', [{ paths, sizeBytes, force }]),
      );
    },
  };
}
