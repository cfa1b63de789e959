/**
 * The operator and bad luck: commands and failures at random moments, one after the other, while the hosts write and until
 * the server is killed. Every command is legal to give; a refusal is an answer like any other.
 *
 * Failures stay within what the promises cover: a member is lost only while the volume is optimal, or frozen with enough
 * time and log left that it cannot thaw meanwhile; a leg only while the other one is online.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../sim/streams.ts';
import { purposes, type VolumeStatus, verifyModes } from '../src/core/status.ts';
import type { Load } from './kill-load.ts';
import { isLogToMend, mendLog } from './kill-log.ts';
import { absent, Broken, type KillScene, members, stateName, volume } from './kill-scene.ts';

type Act = () => Promise<void>;

/** Until a window may thaw by itself, and how full its log may be, for a second failure still to be covered. */
const secondFailureLeastMs = 30_000;
const secondFailureLogLeftBytes = 40 * 2 ** 20;

export class Operator {
  readonly #scene: KillScene;
  readonly #random: Stream;
  readonly #load: Load;
  #over = false;
  #sawFullLog = false;

  constructor(scene: KillScene, random: Stream, load: Load) {
    this.#scene = scene;
    this.#random = random;
    this.#load = load;
  }

  /** No further command is begun. */
  over(): void {
    this.#over = true;
  }

  async run(): Promise<void> {
    const random = this.#random;
    while (!this.#over) {
      await sleep(random.below(random.chance(0.3) ? 400 : 80));
      if (this.#over) return;
      const status = await this.#scene.look();
      if (status === null || this.#over) continue;
      this.#watchLog(status);
      await this.#choose(status)();
    }
  }

  /** Counted once in a cycle. */
  #watchLog(status: VolumeStatus): void {
    const { log, state } = status;
    const isFull =
      log !== null && (log.usedBytes > 0.95 * log.capacityBytes || state === 'suspended');
    if (isFull && !this.#sawFullLog) this.#scene.tally.hit('R-4 log full', stateName(status));
    this.#sawFullLog ||= isFull;
  }

  #choose(status: VolumeStatus): Act {
    const acts: (readonly [number, Act])[] = [
      [1, () => this.#drop(status)],
      [1, () => this.#scrub()],
      [1, () => this.#inspect()],
    ];
    if (status.alarms.some(({ code }) => code === 'volume-stopped')) return () => this.#start();
    if (status.state === 'halted') return async () => {};
    if (status.window === null) this.#withoutWindow(status, acts);
    else this.#inWindow(status, acts);
    const legs = status.log?.legs ?? [];
    if (legs.length > 1 && legs.every(({ state }) => state === 'online') && this.#legsThere()) {
      acts.push([1, () => this.#loseLeg(status)]);
    }
    if (isLogToMend(status)) acts.push([4, () => this.#mendLog(status)]);
    acts.push([0.7, () => this.#stop()]);
    return this.#weighed(acts);
  }

  #withoutWindow(status: VolumeStatus, acts: (readonly [number, Act])[]): void {
    const gone = members(status).filter(({ state }) => state === 'failed' || state === 'missing');
    const isRebuilding = members(status).some(({ state }) => state === 'rebuilding');
    // A drive whose loss nobody has noticed yet is the one that may be lost.
    if (!this.#scene.unseen) acts.push([6, () => this.#open(status)]);
    if (status.state === 'optimal' && !this.#scene.unseen) {
      acts.push([4, () => this.#loseMember(status)]);
      acts.push([1, () => this.#swap(status)]);
      if (!status.drives.some(({ state }) => state === 'spare'))
        acts.push([0.5, () => this.#spare()]);
    }
    if (gone.length > 0 && !isRebuilding) {
      acts.push([3, () => this.#comeBack(status)], [3, () => this.#replace(status)]);
    }
  }

  #inWindow(status: VolumeStatus, acts: (readonly [number, Act])[]): void {
    acts.push([5, () => this.#close(status)]);
    acts.push([1, () => this.#abort()]);
    acts.push([1, async () => void (await this.#scene.of('window/extend', { byMs: 5_000 }))]);
    if (this.#mayLoseSecond(status)) acts.push([6, () => this.#loseMember(status)]);
    const away = [...this.#scene.pulled].some(([, { kind }]) => kind === 'member');
    if (away) acts.push([2, () => this.#putBackMember()]);
  }

  #mayLoseSecond(status: VolumeStatus): boolean {
    const { window, log, state } = status;
    if (state !== 'frozen' || window === null || log === null || window.state !== 'open')
      return false;
    if (absent(status) > this.#scene.tolerated || this.#scene.sacrificed) return false;
    if (this.#scene.unseen) return false;
    const leftMs = Date.parse(window.deadlineAt) - Date.now();
    const leftBytes = log.capacityBytes - log.usedBytes;
    return leftMs > secondFailureLeastMs && leftBytes > secondFailureLogLeftBytes;
  }

  #legsThere(): boolean {
    return ![...this.#scene.pulled.values()].some(({ kind }) => kind === 'leg');
  }

  #weighed(acts: readonly (readonly [number, Act])[]): Act {
    let dice = this.#random.next() * acts.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, act] of acts) {
      dice -= weight;
      if (dice < 0) return act;
    }
    return async () => {};
  }

  async #open(status: VolumeStatus): Promise<void> {
    const random = this.#random;
    const drive = random.pick(members(status));
    const short = random.chance(0.3);
    if (absent(status) >= this.#scene.tolerated) this.#scene.exposed = true;
    const reply = await this.#scene.of('window', {
      drive: String(drive.slot),
      purpose: random.pick(purposes),
      maxMs: short ? 1_000 + random.below(3_000) : 600_000,
      onDoubleAbsence: random.chance(0.75) ? 'error' : 'wait',
      waitMs: 200,
      allowDegraded: random.chance(0.5),
      allowSingleLog: random.chance(0.5),
    });
    if (reply.kind === 'done') this.#scene.tally.count('windows opened');
  }

  async #close(status: VolumeStatus): Promise<void> {
    const random = this.#random;
    const rebuild = absent(status) === 1 && random.chance(0.15);
    const verify = random.pick(verifyModes);
    const path = status.window?.drive.path ?? '';
    if (this.#scene.pulled.has(path)) this.#scene.putBack(path);
    // The drive's own contents are given up with this: until the window is closed no other may be lost.
    if (rebuild) this.#scene.sacrificed = true;
    const blank = rebuild && random.chance(0.5) ? { drivePath: await this.#blank('d') } : {};
    const how = rebuild ? { rebuild, ...blank } : {};
    const reply = await this.#scene.of('window/close', { verify, ...how });
    if (reply.kind === 'done') this.#scene.tally.count('windows closed');
    if (reply.kind === 'refused' && reply.code === 'window-verify-mismatch') {
      if (!this.#scene.sacrificed) throw new Broken(`nothing touched the drive: ${reply.message}`);
    }
  }

  async #abort(): Promise<void> {
    await this.#scene.of('window/abort');
  }

  async #loseMember(status: VolumeStatus): Promise<void> {
    const scene = this.#scene;
    const drive = this.#random.pick(members(status).filter(({ state }) => state === 'online'));
    if (status.window !== null) scene.exposed = true;
    const state = stateName(status);
    if (this.#random.chance(0.5)) {
      await scene.of('drives/fail', { drive: String(drive.slot) });
      scene.tally.hit('a member failed by the operator', state);
    } else {
      scene.pull(drive.path, 'member');
      scene.tally.hit('F-14 vanish', state);
      await sleep(this.#random.below(1_600));
    }
    scene.tally.count(status.window === null ? 'members lost' : 'second failures in a window');
  }

  async #putBackMember(): Promise<void> {
    const [path] = [...this.#scene.pulled].find(([, { kind }]) => kind === 'member') ?? [];
    if (path === undefined) return;
    this.#scene.putBack(path);
    this.#scene.tally.hit('F-15 re-appear, same generation', stateName(this.#scene.last));
    await sleep(this.#random.below(1_500));
  }

  /** The drive that was out is added again: a short resync by bitmap, or a full one. */
  async #comeBack(status: VolumeStatus): Promise<void> {
    const gone = members(status).find(({ state }) => state === 'failed' || state === 'missing');
    if (gone === undefined || gone.path === '') return;
    this.#scene.putBack(gone.path);
    const reply = await this.#scene.of('drives', { path: gone.path });
    if (reply.kind === 'done')
      this.#scene.tally.hit('F-15 re-appear, same generation', stateName(status));
  }

  async #replace(status: VolumeStatus): Promise<void> {
    const gone = members(status).find(({ state }) => state === 'failed' || state === 'missing');
    if (gone !== undefined) await this.#replaceSlot(Number(gone.slot));
  }

  /** A member that works is replaced: the volume is degraded until the new one is complete. */
  async #swap(status: VolumeStatus): Promise<void> {
    await this.#replaceSlot(Number(this.#random.pick(members(status)).slot));
  }

  async #replaceSlot(slot: number): Promise<void> {
    const path = await this.#blank('d');
    const reply = await this.#scene.of('drives/replace', { drive: String(slot), with: path });
    if (reply.kind === 'done') this.#scene.tally.count('rebuilds begun');
  }

  async #spare(): Promise<void> {
    const path = await this.#blank('d');
    await this.#scene.of('drives', { path, spare: true });
  }

  async #blank(stem: string): Promise<string> {
    const path = this.#scene.newFile(stem);
    await this.#scene.blankImage(path);
    return path;
  }

  async #loseLeg(status: VolumeStatus): Promise<void> {
    const scene = this.#scene;
    const leg = this.#random.pick(status.log?.legs ?? []);
    scene.pull(leg.path, 'leg');
    scene.tally.hit('R-1 one leg fails', stateName(status));
    scene.tally.count('log legs lost');
    await sleep(this.#random.below(1_200));
  }

  async #mendLog(status: VolumeStatus): Promise<void> {
    if (await mendLog(this.#scene, status)) this.#scene.tally.count('log legs replaced');
  }

  async #scrub(): Promise<void> {
    const stop = this.#random.chance(0.3);
    await this.#scene.of(
      stop ? 'scrub/stop' : 'scrub',
      stop ? {} : { repair: this.#random.chance(0.3) },
    );
  }

  /** Commands that change nothing, given by the command line. */
  async #inspect(): Promise<void> {
    const commands = [
      ['status', volume],
      ['log', 'check', volume],
      ['window', 'history', volume],
      ['drive', 'ls', volume],
    ];
    const words = this.#random.pick(commands);
    const { code, stderr } = await this.#scene.locum.run(...words);
    this.#scene.note(`locum ${words.join(' ')}: exit code ${code}`);
    if (/\n\s+at |TypeError|AssertionError/.test(stderr)) {
      this.#scene.tally.fail(`locum ${words.join(' ')} broke: ${stderr}`);
    }
  }

  async #drop(status: VolumeStatus): Promise<void> {
    if (!this.#load.dropOne()) return;
    this.#scene.note('a host vanished');
    this.#scene.tally.hit('N-2 disconnect with in-flight writes', stateName(status));
    await sleep(10);
  }

  async #stop(): Promise<void> {
    const scene = this.#scene;
    scene.stopping = true;
    await scene.of('stop', { force: true });
    scene.tally.count('volumes stopped and started');
  }

  async #start(): Promise<void> {
    const reply = await this.#scene.assemble();
    if (reply.kind === 'done') this.#scene.stopping = false;
    else
      for (const [path, { kind }] of this.#scene.pulled)
        if (kind === 'member') this.#scene.putBack(path);
  }
}
