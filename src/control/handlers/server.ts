/** The operations that are about the server: what it is, and what has happened on it. */

import type { Handlers } from '../../api/operations.ts';
import { reply } from '../replies.ts';
import type { VolumeTable } from '../volume-table.ts';

const EVENTS_DEFAULT = 100;
const EVENTS_MAX = 10_000;

export function serverHandlers(table: VolumeTable): Pick<Handlers, 'server' | 'events'> {
  return {
    server: async () => reply(table.options.server()),
    events: async ({ query }) => {
      const limit = Math.min(EVENTS_MAX, Number(query.limit ?? EVENTS_DEFAULT));
      return reply({
        events: table.options.events.list(Number(query.after ?? 0), query.volume ?? null, limit),
      });
    },
  };
}
