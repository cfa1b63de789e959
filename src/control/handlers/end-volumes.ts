/** The operations that end a volume: stopped, forgotten, destroyed. One that clients still use is left alone. */

import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../../api/errors.ts';
import type { Handlers, Input, Reply } from '../../api/operations.ts';
import { type Outcome, refuse } from '../../core/problems.ts';
import type { Asking } from '../asking.ts';
import { reply } from '../replies.ts';
import type { VolumeHandle } from '../volume-handle.ts';
import type { VolumeTable } from '../volume-table.ts';

const GOODBYE_MS = 100;
const GOODBYE_ROUNDS = 10;

export function endHandlers(
  table: VolumeTable,
  asking: Asking,
): Pick<Handlers, 'volumeStop' | 'volumeDestroy'> {
  return {
    volumeStop: (input) => stop(table, input),
    volumeDestroy: (input) => destroy(table, asking, input),
  };
}

function stop(
  table: VolumeTable,
  { params: { volume }, body }: Input<'volumeStop'>,
): Promise<Outcome<Reply<'volumeStop'>>> {
  return table.exclusively(volume, async () => {
    const entry = table.entries.get(volume);
    if (!entry) return refuse('volume-unknown', { volume });
    const { handle } = entry;
    if (handle && entry.problem === null) {
      const clients = body.force === true ? 0 : await clientsOf(handle);
      if (clients > 0) return refuse('volume-in-use', { volume, clients });
      const ended = await table.end(volume, handle, 'stop');
      if (!ended.ok) return ended;
      if (handle.last) await table.remember(volume, handle.last, true);
      table.announce(volume, 'volume-stopped', 'info', `Volume ${volume} was stopped on request.`);
    } else if (body.forget !== true) {
      const reason = entry.problem ? explain(entry.problem).message : 'it is stopped already';
      return refuse('volume-not-running', { volume, reason });
    }
    if (body.forget === true) await table.forget(volume);
    return reply({});
  });
}

function destroy(
  table: VolumeTable,
  asking: Asking,
  { params: { volume }, body }: Input<'volumeDestroy'>,
): Promise<Outcome<Reply<'volumeDestroy'>>> {
  return table.exclusively(volume, async () => {
    const running = asking.running(volume);
    if (!running.ok) return running;
    if (body.confirm !== volume) return refuse('confirm-mismatch', { volume });
    const clients = await clientsOf(running.value);
    if (clients > 0) return refuse('volume-in-use', { volume, clients });
    const ended = await table.end(volume, running.value, 'destroy');
    if (!ended.ok) return ended;
    await table.forget(volume);
    table.announce(
      volume,
      'volume-destroyed',
      'warning',
      `Volume ${volume} was destroyed on request.`,
    );
    return reply({});
  });
}

/** A client that has just said goodbye is still there for a moment. */
async function clientsOf(handle: VolumeHandle): Promise<number> {
  for (let round = 0; ; round += 1) {
    await handle.refresh();
    const clients = handle.last?.connections ?? 0;
    if (clients === 0 || round === GOODBYE_ROUNDS) return clients;
    await delay(GOODBYE_MS);
  }
}
