/**
 * A volume under load, brought into a state in which something is to go wrong, and brought home afterwards: what the
 * parts that provoke single faults have in common. The fault itself is theirs.
 *
 * What is acknowledged is in the ledger. Bringing home means: everything that the status asks for is done, every sector is
 * read back, a scrub finds nothing, and the server ends on its own.
 */

import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../sim/streams.ts';
import type { LocumEvent, VolumeStatus } from '../src/core/status.ts';
import { SectorLedger, sectorBytes } from '../tests/support/sector-ledger.ts';
import { ask, type Reply } from './control-client.ts';
import { bringHome } from './kill-home.ts';
import type { LifeEnd } from './kill-life.ts';
import { Load } from './kill-load.ts';
import { absent, Broken, describe, type KillScene, members } from './kill-scene.ts';

/** `freezing`, `replaying` and `rebuilding` are under way when the fault comes; the others last. */
export const stageNames = [
  'optimal',
  'freezing',
  'frozen',
  'replaying',
  'degraded',
  'rebuilding',
] as const;
export type StageName = (typeof stageNames)[number];

/** The drive that leaves in windows, and the one that fails where a volume is degraded. */
export const awaySlot = 1;
export const failedSlot = 0;
const readyMs = 250;
/** NBD's answers of a volume that is halted, or of reads that nothing can serve. */
const excusable = [5, 108];

export class Stage {
  readonly scene: KillScene;
  readonly name: StageName;
  /** From here on the host may be refused: what goes wrong is more than the promises cover. */
  mayRefuse = false;
  readonly #random: Stream;
  #ledger = new SectorLedger(0);
  #load: Load | null = null;
  #eventsBefore = 0;

  constructor(scene: KillScene, name: StageName, random: Stream) {
    this.scene = scene;
    this.name = name;
    this.#random = random;
  }

  /** The server runs, the volume is made and loaded, and is where the stage begins. */
  async prepare(): Promise<void> {
    const { scene } = this;
    mkdirSync(scene.locum.state, { recursive: true });
    await scene.locum.start();
    await scene.create();
    const status = await this.#optimal();
    this.#ledger = new SectorLedger(status.sizeBytes / sectorBytes);
    this.#load = new Load({
      connect: () => scene.connect(),
      ledger: this.#ledger,
      random: this.#random,
      connections: 2,
      inFlight: 3,
      pauseMs: 6,
      excused: (errno) => this.mayRefuse && excusable.includes(errno),
    });
    await sleep(readyMs);
    if (this.name === 'degraded' || this.name === 'rebuilding') {
      await this.#done(scene.of('drives/fail', { drive: String(failedSlot) }));
    }
    if (this.name === 'frozen' || this.name === 'replaying') await this.#done(this.#open());
    await sleep(readyMs);
    this.#eventsBefore = (await this.events()).at(-1)?.sequence ?? 0;
  }

  /** What makes the stage move, once the fault is in place. A refusal is an answer like any other. */
  async move(): Promise<void> {
    const { scene } = this;
    if (this.name === 'freezing') await this.#open();
    if (this.name === 'replaying') await scene.of('window/close', {});
    if (this.name === 'rebuilding') {
      const path = scene.newFile('d');
      await scene.blankImage(path);
      await scene.of('drives/replace', { drive: String(failedSlot), with: path });
    }
  }

  #open(): Promise<Reply> {
    const drive = String(awaySlot);
    const how = { purpose: 'firmware', maxMs: 600_000, onDoubleAbsence: 'error', waitMs: 200 };
    return this.scene.of('window', { drive, ...how });
  }

  /** Requests answered so far: while this stands still the hosts wait. */
  get answers(): number {
    const { answered = 0, reads = 0, flushes = 0 } = this.#load ?? {};
    return answered + reads + flushes;
  }

  /** Everything said since the stage was ready. */
  async events(): Promise<LocumEvent[]> {
    const path = `/v1/events?after=${this.#eventsBefore}&limit=1000`;
    const reply = await ask(this.scene.locum.controlPath, 'GET', path);
    return reply.kind === 'done' ? (reply.body['events'] as LocumEvent[]) : [];
  }

  /** Has the server told of trouble: an event, an error count, something that is out, or a refusal of what was asked? */
  async hasSaid(): Promise<boolean> {
    const status = await this.scene.look();
    if (status === null) return false;
    const isOut =
      status.drives.some(({ errors }) => errors.read + errors.write > 0) ||
      (status.log?.legs ?? []).some(({ state, errors }) => state !== 'online' || errors.read > 0);
    return isOut || (await this.events()).some(({ severity }) => severity !== 'info');
  }

  /** After a kill, or where a volume is halted: the server again, and the volume with all that is there. */
  async restart({ force = false, meanwhile = () => {} } = {}): Promise<void> {
    const { scene } = this;
    await scene.locum.stop('SIGKILL');
    this.#ledger.serverGone();
    meanwhile();
    await scene.locum.start();
    const status = await this.#status();
    if (status.state !== 'halted') return;
    const reply = await scene.assemble(force);
    if (reply.kind === 'done') return;
    throw new Broken(`the volume does not start: ${describe(reply)}: ${status.story.why}`);
  }

  /** No load any more; everything is mended, read and checked. */
  async end(): Promise<LifeEnd> {
    const { scene } = this;
    await this.#load?.ended();
    this.mayRefuse = true;
    let status = await scene.look();
    if (status === null || status.state === 'halted') {
      await this.restart();
      status = await this.#status();
    }
    scene.exposed = absent(status) > scene.tolerated;
    const end = await bringHome(scene, this.#ledger);
    const { answered = 0, problems = [] } = this.#load ?? {};
    scene.tally.count('writes acknowledged', answered);
    if (problems.length > 0) throw new Broken(problems.slice(0, 5).join('\n'));
    return end;
  }

  /** Whatever happened, nothing of it goes on. */
  async abandon(): Promise<void> {
    this.#load?.end();
    await this.scene.locum.stop('SIGKILL');
    await this.#load?.ended();
  }

  pathOf(slot: number): string {
    const status = this.scene.last;
    return status === null ? '' : (members(status).find((it) => it.slot === slot)?.path ?? '');
  }

  get legPaths(): string[] {
    return (this.scene.last?.log?.legs ?? []).map(({ path }) => path);
  }

  async #done(asked: Promise<Reply>): Promise<void> {
    const reply = await asked;
    if (reply.kind !== 'done') throw new Broken(`the stage was not reached: ${describe(reply)}`);
    await this.#status();
  }

  /** The first resync is over: until then parity is in doubt, and a drive that is lost is one fault too many. */
  async #optimal(): Promise<VolumeStatus> {
    const limitMs = performance.now() + 60_000;
    for (;;) {
      const status = await this.#status();
      if (status.state === 'optimal') return status;
      if (performance.now() > limitMs) throw new Broken(`it stays ${status.state}`);
      await sleep(30);
    }
  }

  async #status(): Promise<VolumeStatus> {
    const status = await this.scene.look();
    if (status === null) throw new Broken('the server does not know the volume any more');
    return status;
  }
}
