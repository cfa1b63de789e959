/**
 * The life of one volume: made, then killed again and again under load, verified after every restart, and brought home in
 * the end: window closed, lost members and legs replaced, everything read back, parity or mirrors checked, stopped cleanly.
 *
 * A cycle: hosts write, the operator works, and at a moment nobody chose the server ends: by `kill -9`, by SIGTERM, or by
 * `kill -9` and again while it recovers, up to three deep. The ledger in this process knows what was acknowledged.
 */

import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stream } from '../sim/streams.ts';
import type { VolumeStatus } from '../src/core/status.ts';
import { locumPath } from '../tests/support/locum.ts';
import { runProgram } from '../tests/support/processes.ts';
import { SectorLedger, sectorBytes } from '../tests/support/sector-ledger.ts';
import { bringHome } from './kill-home.ts';
import { Load } from './kill-load.ts';
import { Operator } from './kill-operator.ts';
import {
  absent,
  Broken,
  describe,
  KillScene,
  type Shape,
  stateName,
  volume,
} from './kill-scene.ts';
import { verifyAll } from './kill-verify.ts';
import { withholdTheLog } from './kill-withheld.ts';
import type { Tally } from './tally.ts';

/** NBD's errno for a server, or an export, that is going away. */
const ESHUTDOWN = 108;
const EIO = 5;

export interface LifeOptions {
  readonly seed: number;
  readonly shape: Shape;
  readonly folder: string;
  readonly cycles: number;
  /** No further cycle is begun after this moment of `performance.now()`. */
  readonly untilMs: number;
  readonly tally: Tally;
}

/** How a life ended: the members in the order of their slots and what they hold together, for another judge. */
export interface LifeEnd {
  readonly drives: readonly string[];
  readonly digest: string;
}

export class Life {
  readonly #options: LifeOptions;
  readonly #scene: KillScene;
  #ledger = new SectorLedger(0);

  constructor(options: LifeOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
    this.#scene = new KillScene(options.folder, options.shape, options.tally);
    mkdirSync(this.#scene.locum.state, { recursive: true });
  }

  /** Null when a promise was broken: it is entered in the tally, with the story that led there. */
  async run(): Promise<LifeEnd | null> {
    const { seed, shape, tally, untilMs, cycles } = this.#options;
    const scene = this.#scene;
    try {
      await scene.locum.start();
      await scene.create();
      const status = await scene.look();
      this.#ledger = new SectorLedger((status?.sizeBytes ?? 0) / sectorBytes);
      for (let cycle = 0; cycle < cycles && performance.now() < untilMs; cycle++) {
        await this.#cycle(cycle);
      }
      return await bringHome(scene, this.#ledger);
    } catch (error) {
      const why =
        error instanceof Broken ? error.message : ((error as Error).stack ?? String(error));
      tally.fail(
        `seed ${seed}, RAID ${shape.level} of ${shape.members}, --io ${shape.io}: ${why}\n` +
          `The images are in ${scene.folder}.\nWhat happened before:\n  ${scene.story.join('\n  ')}\n` +
          `The server's last words:\n${this.#lastWords()}`,
      );
      return null;
    } finally {
      await scene.locum.stop('SIGKILL');
    }
  }

  #lastWords(): string {
    try {
      return this.#scene.locum.server.output.slice(-4_000);
    } catch {
      return 'none';
    }
  }

  async #cycle(cycle: number): Promise<void> {
    const { seed, tally } = this.#options;
    const scene = this.#scene;
    const random = new Stream(seed, `cycle ${cycle}`);
    scene.note(`cycle ${cycle}`);
    const load = new Load({
      connect: () => scene.connect(),
      ledger: this.#ledger,
      random: new Stream(seed, `load ${cycle}`),
      connections: 2 + random.below(2),
      inFlight: 1 + random.below(6),
      pauseMs: 2 + random.below(12),
      excused: (errno, isRead) =>
        (scene.stopping && errno === ESHUTDOWN) || (isRead && errno === EIO && scene.exposed),
    });
    const operator = new Operator(scene, new Stream(seed, `operator ${cycle}`), load);
    const commands = operator.run();
    // A command may break a promise long before it is waited for here.
    const broken = commands.then(
      () => null,
      (error: unknown) => error,
    );
    await Promise.race([this.#moment(random), broken]);
    const status = await scene.peek();
    const state = stateName(status);
    operator.over();
    load.end();
    await this.#die(random, state);
    await load.ended();
    const error = await broken;
    if (error !== null) throw error;
    this.#ledger.serverGone();
    this.#count(load, tally);
    if (status !== null && random.chance(0.15)) {
      await withholdTheLog(scene, this.#ledger, status, state);
    }
    await this.#revive(random, state);
    await this.#verify(`after ${state}`);
    if (load.problems.length > 0) throw new Broken(load.problems.slice(0, 5).join('\n'));
  }

  /** Any, or right after a command was given: that is when the state changes. */
  async #moment(random: Stream): Promise<void> {
    if (random.chance(0.6)) return sleep(20 + random.below(random.chance(0.3) ? 200 : 1_980));
    await sleep(random.below(800));
    const given = new Promise<void>((resolve) => {
      this.#scene.onCommand = resolve;
    });
    await Promise.race([given, sleep(2_000)]);
    this.#scene.onCommand = () => {};
    await sleep(random.below(120));
  }

  #count(load: Load, tally: Tally): void {
    tally.count('host operations', load.answered + load.reads + load.flushes);
    tally.count('writes acknowledged', load.answered);
    tally.count('reads checked under load', load.reads);
    tally.count('requests never answered', load.unanswered);
  }

  async #die(random: Stream, state: string): Promise<void> {
    const { tally } = this.#options;
    const { locum } = this.#scene;
    if (!locum.server.alive)
      throw new Broken(`the server ended by itself (${locum.server.exitCode})`);
    if (random.chance(0.15)) {
      this.#scene.note(`SIGTERM while ${state}`);
      this.#scene.stopping = true;
      await locum.stop('SIGTERM');
      if (locum.server.exitCode !== 0) {
        throw new Broken(`SIGTERM while ${state}: the server ended with ${locum.server.exitCode}`);
      }
      tally.hit('C-4 SIGTERM with clients connected', state);
      tally.count('orderly ends');
    } else {
      this.#scene.note(`kill -9 while ${state}`);
      await locum.stop('SIGKILL');
      tally.hit('C-1 kill -9 at any point', state);
      tally.count('kill cycles');
    }
  }

  /** The server again, after as many ends in the middle of its recovery as chance wants. */
  async #revive(random: Stream, state: string): Promise<void> {
    const { tally } = this.#options;
    const scene = this.#scene;
    const wasStopped = scene.last?.alarms.some(({ code }) => code === 'volume-stopped') ?? false;
    const wasFrozen = scene.last?.state === 'frozen';
    for (const [path, { kind, noticed }] of scene.pulled) {
      // Lost together with the crash, before any record of it, is two faults at one moment: not outside a window.
      if (kind === 'leg') continue;
      if (!noticed && !(wasFrozen && random.chance(0.5))) scene.putBack(path);
      else if (noticed && random.chance(0.3)) {
        scene.putBack(path);
        const isCurrent = state.startsWith('frozen');
        tally.hit(
          isCurrent ? 'F-15 re-appears at a start' : 'F-16 re-appears stale at a start',
          state,
        );
      }
    }
    const depth = random.chance(0.2) ? 1 + random.below(3) : 0;
    for (let count = 0; count < depth; count++) {
      const afterMs = 150 + random.below(700);
      await runProgram(locumPath, scene.locum.serveArgs(), { timeoutMs: afterMs });
      scene.note(`killed again ${afterMs} ms after its start`);
      tally.hit('C-3 crash during recovery, repeatedly', state);
      tally.count('kills during recovery');
    }
    scene.stopping = false;
    await scene.locum.start();
    await this.#serving(wasStopped);
  }

  /** The volume is served again: by itself, or by the commands that its status asks for and nothing more. */
  async #serving(wasStopped: boolean): Promise<void> {
    const scene = this.#scene;
    const status = await scene.look();
    if (status === null) throw new Broken('the server does not know the volume any more');
    if (status.state !== 'halted') return;
    const codes = status.alarms.map(({ code }) => code);
    scene.note(`not served: ${codes.join(' ')}`);
    const pulled = [...scene.pulled].filter(([, { kind }]) => kind === 'member');
    const force = codes.includes('members-missing') && pulled.length > 0;
    if (!(codes.includes('volume-stopped') || force)) {
      throw new Broken(
        `the volume does not start${wasStopped ? ' again' : ''}: ${status.story.why}`,
      );
    }
    let reply = await scene.assemble(force);
    if (reply.kind === 'refused' && reply.code === 'members-missing' && pulled.length > 0) {
      // Pulled and stopped before anybody noticed: the refusal asks for the drive.
      for (const [path] of pulled) scene.putBack(path);
      reply = await scene.assemble();
    }
    if (reply.kind !== 'done') throw new Broken(`the volume does not start: ${describe(reply)}`);
    if (force) this.#options.tally.count('started with --force, a member missing');
    await scene.look();
  }

  async #verify(when: string): Promise<void> {
    const scene = this.#scene;
    const status = scene.last as VolumeStatus;
    if (absent(status) > scene.tolerated) scene.exposed = true;
    const { wrong, sectors, refused } = await verifyAll(scene, this.#ledger);
    this.#options.tally.count('sectors verified after a restart', sectors);
    this.#options.tally.count('sectors out of reach while two drives were away', refused);
    if (wrong.length > 0) {
      throw new Broken(
        `${wrong.length} sectors of ${volume} are wrong ${when}:\n${wrong.slice(0, 8).join('\n')}`,
      );
    }
  }
}
