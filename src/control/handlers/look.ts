/** The operations that look at volumes and change nothing. */

import type { Handlers } from '../../api/operations.ts';
import type { Asking } from '../asking.ts';
import { reply } from '../replies.ts';
import type { VolumeTable } from '../volume-table.ts';

export function lookHandlers(
  table: VolumeTable,
  asking: Asking,
): Pick<Handlers, 'status' | 'volumeStatus' | 'volumeExport'> {
  return {
    status: async () => {
      const names = [...table.entries.keys()].sort();
      const all = await Promise.all(
        names.map((name) => asking.status(name, table.entries.get(name)!)),
      );
      return reply({ volumes: all.filter((status) => status !== null) });
    },
    volumeStatus: ({ params }) => asking.statusReply(params.volume),
    volumeExport: async ({ params: { volume } }) => {
      const running = asking.running(volume);
      if (!running.ok) return running;
      const sizeBytes = running.value.last?.status.sizeBytes ?? 0;
      return reply({ name: volume, sizeBytes, listen: table.options.server().listen });
    },
  };
}
