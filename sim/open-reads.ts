/**
 * Reads that are under way. One that needs two members which are both absent may be refused, and by the time of its answer
 * either may be back: so each is looked at when it is asked, at every second failure, and when it is answered.
 */

import { anyNeedsAbsent } from './hosts.ts';
import type { Scene } from './scene.ts';
import type { Server } from './server.ts';

export interface Asked {
  readonly lba: number;
  readonly sectors: number;
  readonly calledAt: number;
}

export interface OpenRead {
  readonly asked: Asked;
  /** Of this process, or of that of a fork. */
  readonly server: Server;
  mayBeRefused: boolean;
}

export class OpenReads {
  readonly #open = new Set<OpenRead>();

  begin(scene: Scene, asked: Asked): OpenRead {
    const { server, core } = scene;
    const mayBeRefused = core.window !== null && anyNeedsAbsent(scene, core, asked);
    const read = { asked, server, mayBeRefused };
    this.#open.add(read);
    return read;
  }

  end(read: OpenRead): void {
    this.#open.delete(read);
  }

  /** At the moment of its answer. */
  mayBeRefused(scene: Scene, { mayBeRefused, asked }: OpenRead): boolean {
    return mayBeRefused || anyNeedsAbsent(scene, scene.core, asked);
  }

  secondFailure(scene: Scene): void {
    for (const read of this.#open) {
      if (!read.server.alive) this.#open.delete(read);
      else if (read.server === scene.server)
        read.mayBeRefused ||= anyNeedsAbsent(scene, scene.core, read.asked);
    }
  }
}
