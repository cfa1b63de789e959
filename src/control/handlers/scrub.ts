/** The operations on the scrub of a volume. */

import type { Handlers } from '../../api/operations.ts';
import { type Asking, QUICK_MS } from '../asking.ts';
import { reply } from '../replies.ts';

export function scrubHandlers(
  asking: Asking,
): Pick<Handlers, 'scrubStart' | 'scrubStop' | 'scrubStatus'> {
  return {
    scrubStart: ({ params, body }) =>
      asking.ask(params.volume, 'startScrub', [body.repair === true], (job) => reply({ job })),
    scrubStop: ({ params }) => asking.ask(params.volume, 'stopScrub', [], (job) => reply({ job })),
    scrubStatus: ({ params }) =>
      asking.ask(params.volume, 'scrubStatus', [], (job) => reply({ job }), QUICK_MS),
  };
}
