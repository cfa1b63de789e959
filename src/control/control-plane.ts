/**
 * The control plane as a whole: the volumes of this server and one handler for each operation of the API. The list of
 * volumes is in volume-table.ts, how they are asked in asking.ts, the operations in handlers/, each file one group.
 *
 * Handlers answer with values; what the volume's thread says comes through as it is, with the volume's name added.
 */

import { explain } from '../api/errors.ts';
import type { ControlPlane, Handlers } from '../api/operations.ts';
import type { Problem } from '../core/problems.ts';
import type { LocumEvent } from '../core/status.ts';
import { Asking } from './asking.ts';
import type { ControlOptions } from './control-options.ts';
import { driveHandlers } from './handlers/drives.ts';
import { endHandlers } from './handlers/end-volumes.ts';
import { logHandlers } from './handlers/log.ts';
import { lookHandlers } from './handlers/look.ts';
import { rolloutHandlers } from './handlers/rollouts.ts';
import { runHandlers } from './handlers/runs.ts';
import { scrubHandlers } from './handlers/scrub.ts';
import { serverHandlers } from './handlers/server.ts';
import { startHandlers } from './handlers/start-volumes.ts';
import { windowHandlers } from './handlers/windows.ts';
import { rolloutTools } from './rollouts/rollout-world.ts';
import { Rollouts } from './rollouts/rollouts.ts';
import { defaultRunTiming } from './runs/run-tools.ts';
import { Runs } from './runs/runs.ts';
import { SharedDrives } from './runs/shared-drive.ts';
import { WindowGroups } from './runs/window-groups.ts';
import type { Connection } from './volume-calls.ts';
import { DISCONNECT_MS, STOP_MS, VolumeTable } from './volume-table.ts';

export interface ExportInfo {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly preferredBytes: number;
}

export class Control implements ControlPlane {
  readonly handlers: Handlers;
  /** One drive, one task; rollouts are made of them. */
  readonly runs: Runs;
  readonly #table: VolumeTable;
  readonly #groups: WindowGroups;
  readonly #rollouts: Rollouts;

  constructor(options: ControlOptions) {
    const table = new VolumeTable(options);
    const asking = new Asking(table);
    this.#table = table;
    const drives = new SharedDrives(table, asking, options.tools);
    const { windowGroupsFile, saveRetryMs } = options;
    this.#groups = new WindowGroups(table, asking, drives, windowGroupsFile, saveRetryMs);
    this.runs = new Runs({
      table,
      asking,
      drives,
      groups: this.#groups,
      claims: table.claims,
      store: options.runs,
      tools: options.tools,
      timing: { ...defaultRunTiming, ...options.runTiming },
      onFault: options.onFault,
    });
    const world = { table, asking, drives, groups: this.#groups, runs: this.runs };
    this.#rollouts = new Rollouts(
      rolloutTools({ ...world, tools: options.tools }),
      options.rollouts,
    );
    asking.heed((volume) => [
      ...this.runs.concerns(volume),
      ...this.#rollouts.concerns(volume),
      ...this.#groups.concerns(volume),
      ...table.concerns(),
    ]);
    this.handlers = {
      ...serverHandlers(table),
      ...lookHandlers(table, asking),
      ...startHandlers(table),
      ...endHandlers(table, asking),
      ...driveHandlers(table, asking),
      ...windowHandlers(table, asking, this.#groups, this.runs),
      ...runHandlers(this.runs),
      ...rolloutHandlers(this.#rollouts),
      ...scrubHandlers(asking),
      ...logHandlers(table, asking),
    };
  }

  // --- the life of the server ----------------------------------------------------------------------------------------

  /** Starts what is known, all at once; resolves when each has started or been refused. Never fails as a whole. */
  async startKnown(): Promise<void> {
    const volumes = this.#table.options.known.all();
    for (const volume of volumes) {
      this.#table.entries.set(volume.name, {
        handle: null,
        problem: volume.stopped ? null : starting(volume.name),
      });
      this.#table.claims.set(volume.name, volume);
    }
    await Promise.all(
      volumes
        .filter((volume) => !volume.stopped)
        .map(async (volume) => {
          const { name } = volume;
          const outcome = await this.#table.startKnown(volume, false);
          if (!outcome.ok) {
            const { message, fix } = explain(outcome.problem);
            this.#table.announce(name, 'volume-not-started', 'critical', `${message} ${fix}`, {
              code: outcome.problem.code,
            });
          }
        }),
    );
    const { runs } = this;
    await this.#groups.resume(
      (volume) => runs.ofVolume(volume) !== null || runs.orphanAt(volume) !== null,
    );
    this.runs.resume();
    this.#rollouts.goOn();
  }

  /** Ends every volume cleanly, as far as it goes within the time that a service manager gives. */
  async close(): Promise<void> {
    this.#table.close();
    this.#groups.end();
    await this.#rollouts.close();
    await this.runs.close();
    await Promise.all(
      [...this.#table.entries].map(async ([name, { handle }]) => {
        if (!handle || handle.lost !== null) return;
        await handle.call('disconnect', [DISCONNECT_MS], DISCONNECT_MS + 500);
        const stopped = await handle.call('stop', [], STOP_MS);
        if (!stopped.ok)
          this.#table.options.onTrouble(`${name}: ${explain(stopped.problem).message}`);
        await handle.end();
      }),
    );
    // Of a volume that somebody stopped at the same moment.
    await this.#table.ended();
  }

  // --- for the NBD listeners -----------------------------------------------------------------------------------------

  exports(): ExportInfo[] {
    return [...this.#table.entries].flatMap(([name, { handle }]) => {
      const last = handle?.lost === null ? handle.last : null;
      if (!last) return [];
      const { preferredBytes, description, status } = last;
      return [{ name, description, sizeBytes: status.sizeBytes, preferredBytes }];
    });
  }

  /** Hands a connection over to its volume; false when the volume is not there any more. */
  async connect(volume: string, connection: Connection): Promise<boolean> {
    const handle = this.#table.entries.get(volume)?.handle;
    return handle ? (await handle.connect(connection)).ok : false;
  }

  subscribe(
    afterSequence: number,
    volume: string | null,
    send: (event: LocumEvent) => void,
  ): () => void {
    return this.#table.options.events.subscribe(afterSequence, volume, send);
  }
}

const starting = (volume: string): Problem => ({
  code: 'volume-not-running',
  detail: { volume, reason: 'it is being started' },
});
