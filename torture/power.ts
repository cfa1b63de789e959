/**
 * The power is cut: a server lives on drives that record every write and flush in order, and then the same server is
 * started on what each place of that recording would have left behind: everything (which is also what `kill -9`
 * leaves), nothing since the last flush, single writes, some of them, torn ones; sometimes with a member or a leg lost as
 * well. What was durable at that place must be there.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stream } from '../sim/streams.ts';
import { shortFolder } from '../tests/support/locum.ts';
import { noFuseBecause } from './drives-mount.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';
import { Checker, type Given, type Started, writeSparse } from './power-check.ts';
import { Expectation, type Loss } from './power-expect.ts';
import { Life, type LifeShape, volume } from './power-life.ts';
import { away, type Story, shortStories, stories } from './power-lives.ts';
import type { Mark } from './power-record.ts';
import { type Choice, cutsOf, lossyChoices, Replay } from './power-replay.ts';
import { Tally } from './tally.ts';

const sampledCuts = 15;
/** A life of which every cut is taken is a short one, and still has hundreds. */
const shortLoad = 0.02;
const everyCutSeconds = 720;
const checkersAtOnce = 2;
/** Every so many images the volume is also brought to rest, scrubbed and read again. */
const settleEvery = 6;
const memberMebi = 2;
/** Failures of which the images are kept; the others only tell that there were more. */
const failuresKept = 5;

export interface PowerLimits {
  readonly livesMax: number;
  /** Cuts taken of each life, spread over it; infinite: every one of a short life, as it is and with some of it lost. */
  readonly cutsOfLife: number;
}

/** Some cuts of many lives. */
export const powerPart: Part = {
  name: 'power',
  weight: 3,
  run: (options) =>
    runPower(options, { livesMax: Number.POSITIVE_INFINITY, cutsOfLife: sampledCuts }),
};

/** Every cut of one. */
export const prefixesPart: Part = {
  name: 'prefixes',
  weight: 1.5,
  leastSeconds: everyCutSeconds,
  run: async (options) => ({
    ...(await runPower(options, { livesMax: 1, cutsOfLife: Number.POSITIVE_INFINITY })),
    part: 'prefixes',
  }),
};

export async function runPower(options: PartOptions, limits: PowerLimits): Promise<PartResult> {
  const tally = new Tally();
  const reason = noFuseBecause();
  if (reason !== null) tally.notCovered(`Power cuts of the real server: ${reason}.`);
  const until = performance.now() + options.seconds * 1000;
  const random = new Stream(options.seed, 'power');
  for (
    let number = 0;
    reason === null && number < limits.livesMax && performance.now() < until;
    number++
  ) {
    // Every story once before any comes again; where to begin is chance.
    const told = Number.isFinite(limits.cutsOfLife) ? stories : shortStories;
    const story = told[(options.seed + number) % told.length]!;
    const seed = random.u32();
    const run = new LifeRun({ ...options, ...limits }, tally, story, seed, until);
    try {
      await run.run();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      tally.fail(`${run.name}: ${text}`);
    }
  }
  return tally.result(powerPart.name);
}

/** A cut with what was chosen for it. */
interface Cut {
  readonly place: number;
  readonly mark: Mark;
  readonly choice: Choice;
  readonly lost: 'nothing' | 'member' | 'leg';
  /** The same place has been taken as it is. */
  readonly isAgain: boolean;
}

class LifeRun {
  readonly name: string;
  readonly #options: PartOptions & PowerLimits;
  readonly #tally: Tally;
  readonly #story: Story;
  readonly #random: Stream;
  readonly #shape: LifeShape;
  readonly #seed: number;
  readonly #until: number;
  #images = 0;

  constructor(
    options: PartOptions & PowerLimits,
    tally: Tally,
    story: Story,
    seed: number,
    until: number,
  ) {
    this.#options = options;
    this.#tally = tally;
    this.#story = story;
    this.#random = new Stream(seed, 'cuts');
    this.#seed = seed;
    this.#until = until;
    const level = this.#random.pick(story.levels);
    const isShort = !Number.isFinite(options.cutsOfLife);
    const more = isShort ? 0 : this.#random.below(level === 1 ? 2 : 3);
    this.#shape = {
      level,
      members: (level === 1 ? 2 : 3) + more,
      memberBytes: memberMebi * 2 ** 20,
      chunkBytes: this.#random.pick([4096, 16_384, 65_536]),
      io: this.#random.pick(['uring', 'node'] as const),
      loadShare: isShort ? shortLoad : 1,
    };
    const { members, io } = this.#shape;
    this.name = `seed ${options.seed}, life ${seed} (${story.name}; RAID ${level} of ${members}, ${io})`;
  }

  async run(): Promise<void> {
    const folder = await shortFolder('/dev/shm');
    try {
      const life = await this.#record(folder.path);
      await this.#cutAll(life, folder.path);
    } finally {
      await folder.remove();
    }
  }

  async #record(folder: string): Promise<Life> {
    const life = await Life.begin(folder, this.#shape, this.#seed);
    try {
      await this.#story.run(life);
      await life.finish();
    } finally {
      await life.stop();
    }
    if (life.host.errors.length > 0) {
      this.#tally.fail(
        `${this.name}: the host got errors: ${life.host.errors.slice(0, 3).join('; ')}`,
      );
    }
    this.#tally.count('recorded lives');
    this.#tally.count(
      'recorded drive writes and flushes',
      cutsOf(life.recording.entries).length - 1,
    );
    this.#tally.count('recorded host operations', life.host.answered);
    return life;
  }

  /** Images are made in one pass forward, by whichever checker is free next. */
  async #cutAll(life: Life, folder: string): Promise<void> {
    const { recording, host, sizeBytes } = life;
    const expectation = new Expectation(host.requests, recording.entries, sizeBytes);
    const cuts = this.#choose(life);
    const replay = new Replay(recording);
    const places = new Set<number>();
    const startedMs = performance.now();
    const work = async (index: number): Promise<void> => {
      const at = join(folder, `checker${index}`);
      mkdirSync(at);
      const checker = await Checker.start(
        at,
        volume,
        this.#random.pick(['uring', 'node'] as const),
      );
      try {
        for (let cut = cuts.shift(); cut; cut = cuts.shift()) {
          if (performance.now() > this.#until) break;
          replay.advance(cut.place);
          places.add(cut.place);
          // With nothing to lose it is the prefix as it is, and that has been looked at.
          if (cut.isAgain && cut.lost === 'nothing' && replay.unflushed === 0) continue;
          await this.#check(checker, life, expectation, cut, replay);
        }
      } finally {
        await checker.stop();
      }
    };
    await Promise.all(Array.from({ length: checkersAtOnce }, (_, index) => work(index)));
    this.#tally.count('power-cut prefixes', places.size);
    if (!Number.isFinite(this.#options.cutsOfLife)) {
      const all = cutsOf(recording.entries).length;
      if (places.size === all) this.#tally.count('lives started on every prefix');
      else this.#tally.notCovered(`Of a life of ${all} prefixes ${places.size} had their turn.`);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    const rate = (this.#images / seconds).toFixed(1);
    this.#options.say(
      `${this.name}: ${places.size} cuts, ${this.#images} images, ${rate} a second`,
    );
  }

  #choose(life: Life): Cut[] {
    const { entries } = life.recording;
    const all = cutsOf(entries);
    const { cutsOfLife } = this.#options;
    const isEvery = cutsOfLife >= all.length;
    const step = isEvery ? 1 : all.length / cutsOfLife;
    const from = this.#random.next() * step;
    const places = all.filter(
      (_, index) =>
        Math.floor((index + step - from) / step) !== Math.floor((index - 1 + step - from) / step),
    );
    let at = 0;
    let mark: Mark = { name: 'start', state: 'optimal', lost: 'no' };
    const cuts: Cut[] = [];
    for (const place of places) {
      for (; at < place; at++) {
        const entry = entries[at]!;
        if (entry.kind === 'mark') mark = entry.mark;
      }
      const random = this.#random;
      if (isEvery) {
        cuts.push({ place, mark, choice: 'all', lost: 'nothing', isAgain: false });
      }
      const isWhole = !isEvery && random.chance(0.15);
      const choice = isWhole ? 'all' : random.pick(lossyChoices);
      const dice = random.below(10);
      const lost =
        dice < 2 && mark.lost !== 'no'
          ? 'member'
          : dice === 9 && mark.isLegOut !== true
            ? 'leg'
            : 'nothing';
      cuts.push({ place, mark, choice, lost, isAgain: isEvery });
    }
    return cuts;
  }

  async #check(
    checker: Checker,
    life: Life,
    expectation: Expectation,
    cut: Cut,
    replay: Replay,
  ): Promise<void> {
    const { place, mark, lost } = cut;
    const choice = replay.unflushed === 0 ? 'all' : cut.choice;
    const images = replay.images(choice, this.#random);
    const given: Given = {
      drives: images.slice(0, life.driveCount),
      legs: images.slice(life.driveCount),
      withoutDrive: lost === 'member' ? this.#memberToLose() : null,
      withoutLeg: lost === 'leg' ? this.#random.below(2) : null,
    };
    const loss: Loss = choice === 'all' ? 'kill' : 'power';
    const number = ++this.#images;
    this.#tally.count('power-cut images');
    this.#tally.hit(`C-2 power cut, of what was not flushed: ${choice}`, mark.state);
    if (lost !== 'nothing')
      this.#tally.hit(`C-2 power cut, and a ${lost} is lost with it`, mark.state);
    const wrong: string[] = [];
    try {
      const started = await checker.begin(given);
      wrong.push(...this.#judge(started, expectation, cut, loss));
      if (started.bytes !== null && number % settleEvery === 0) {
        const { mismatches } = await checker.settle();
        if (mismatches > 0) wrong.push(`${mismatches} stripes whose redundancy disagrees`);
        const again = await checker.read();
        if (!again.equals(started.bytes)) wrong.push('what was read has changed since');
        this.#tally.count('volumes brought to rest and scrubbed');
      }
      if (started.bytes !== null) await checker.end();
    } catch (error) {
      wrong.push(error instanceof Error ? error.message : String(error));
      await checker.restart();
    }
    if (wrong.length === 0) return;
    const isMany = this.#tally.failures.length >= failuresKept;
    const kept = isMany
      ? 'none'
      : await keep(
          given,
          `${this.name}\ncut at ${place}: ${JSON.stringify(cut)}, kept ${choice}\n${wrong.join('\n')}\n`,
        );
    this.#tally.fail(
      `${this.name}: cut at ${place} (${mark.name}), kept: ${choice}, lost: ${lost}: ${wrong.slice(0, 3).join('; ')}; images in ${kept}`,
    );
  }

  /** Not the drive that is away: it is the one that comes back. */
  #memberToLose(): number {
    const others = this.#shape.members - 1;
    const number = this.#random.below(others);
    return number < away ? number : number + 1;
  }

  #judge(started: Started, expectation: Expectation, cut: Cut, loss: Loss): string[] {
    const { place, mark, lost } = cut;
    if (started.bytes !== null) return expectation.wrongIn(started.bytes, place, loss);
    const isExcused =
      lost === 'member' && mark.lost === 'maybe' && refusals.includes(started.refusedWith ?? '');
    if (isExcused) this.#tally.count('starts refused because a member was lost in doubt');
    return isExcused ? [] : [`the start was refused: ${started.refusedWith}: ${started.said}`];
  }
}

/** What a volume may say when a member is lost together with the power while nothing had frozen it. */
const refusals: readonly string[] = ['members-missing', 'dirty-and-degraded'];

/** Keeps the images of a failure, which no seed can bring back: the life ran at its own speed. */
async function keep(given: Given, story: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'locum-power-cut-'));
  for (const [stem, images, without] of [
    ['drive', given.drives, given.withoutDrive],
    ['leg', given.legs, given.withoutLeg],
  ] as const) {
    for (const [index, image] of images.entries()) {
      if (index !== without) writeSparse(join(folder, `${stem}${index}.img`), image);
    }
  }
  writeFileSync(join(folder, 'story.txt'), story);
  return folder;
}
