/** Lives of a volume that the accidents of section L happen in: degraded from early on, or with one burst of writes. */

import assert from 'node:assert/strict';
import { type Death, Life } from '../unit/engine/life.ts';
import { Random } from '../unit/engine/random.ts';
import { closeRequest, SMALL_MEMBER_BYTES, windowRequest } from '../unit/engine/scene.ts';

export const levels = [1, 3, 4, 5] as const;
export const deaths: readonly Death[] = ['kill', 'power cut, nothing kept', 'power cut, some kept'];

export class DirectedLife extends Life {
  /** Something fails, then a window, its return and the replay, all of it degraded; a replacement at the end. */
  async alreadyDegraded(target: number): Promise<void> {
    const volume = await this.begin(target);
    this.chapter = 'failure';
    assert.ok((await this.until(volume.failDrive('0'))).ok);
    this.chapter = 'degraded';
    await this.writes(3);
    await this.flush();
    await this.writes(1);
    this.chapter = 'freeze';
    const opened = await this.until(
      volume.openWindow(windowRequest('1', { onDoubleAbsence: 'error', allowDegraded: true })),
    );
    assert.ok(opened.ok, JSON.stringify(opened));
    this.chapter = 'window open';
    await this.writes(2);
    await this.flush();
    await this.writes(1);
    this.chapter = 'return';
    assert.ok((await this.until(volume.closeWindow(closeRequest()))).ok);
    this.chapter = 'replay';
    await this.writes(2);
    await this.windowEnds();
    this.chapter = 'degraded again';
    await this.writes(2);
    this.chapter = 'rebuild';
    const path = this.world.medium('new', SMALL_MEMBER_BYTES);
    this.world.drivePaths.push(path);
    assert.ok((await this.until(volume.replaceDrive('0', path, false))).ok);
    await this.writes(2);
    for (let i = 0; i < 200 && this.state() !== 'optimal'; i++) await this.pass(50);
    assert.equal(this.state(), 'optimal');
  }

  /** A window, the return of its drive and the replay, with host writes or without; it ends with the replay. */
  async throughReplay(target: number, underWrites: boolean): Promise<void> {
    const volume = await this.begin(target);
    const opened = await this.until(
      volume.openWindow(windowRequest('1', { onDoubleAbsence: 'error' })),
    );
    assert.ok(opened.ok, JSON.stringify(opened));
    this.chapter = 'window open';
    await this.writes(3);
    this.chapter = 'return';
    assert.ok((await this.until(volume.closeWindow(closeRequest({ verify: 'full' })))).ok);
    this.chapter = 'replay';
    if (underWrites) await this.writes(1);
    await this.windowEnds();
  }

  /** One drive out (or none), then a burst of writes of every kind: parts of stripes, stripes, over each other. */
  async burst(target: number, failed: number | null): Promise<void> {
    const volume = await this.begin(failed === null ? target : Number.POSITIVE_INFINITY);
    // The file systems of real hosts flush now and then; what is open to loss is what came after.
    await this.flush();
    if (failed !== null) {
      assert.ok((await this.until(volume.failDrive(String(failed)))).ok);
      this.operations = 0;
      this.target = target;
    }
    this.chapter = 'burst';
    await this.writes(1);
    const total = this.model.sectors;
    await Promise.all([this.write(0, 7), this.write(total - 24, 24), this.write(48, 32, true)]);
    await this.writes(1);
  }

  /** As `recover`, but the drive that is away is gone for good: a blank one comes back in its place, or replaces it. */
  async recoverWithNew(): Promise<void> {
    if (this.mode === 'frozen') {
      const drivePath = this.world.medium('blank', SMALL_MEMBER_BYTES);
      this.world.drivePaths.push(drivePath);
      const closed = await this.until(this.world.v.closeWindow(closeRequest({ drivePath })));
      assert.ok(closed.ok, JSON.stringify(closed));
      await this.windowEnds();
    }
    await this.recover();
  }

  /** What follows every death: started again, all of it right, brought back to optimal, parity right. */
  async restored(how: Death, chance: () => number, target: number): Promise<void> {
    await this.reborn(how, chance, target);
    if (this.mode === 'direct') await this.readAll('after the crash');
    await this.recover();
    await this.readAll('recovered');
    await this.addsUp();
  }
}

/** How many drive operations a life has, and where its chapters begin. One run for each key. */
export interface Lengths {
  readonly operations: number;
  readonly chapters: ReadonlyMap<string, number>;
}

/** The states of the volume, by the chapters of its lives. */
const stateOfChapter: Readonly<Record<string, string>> = {
  'before the window': 'optimal',
  failure: 'optimal',
  freeze: 'freezing',
  'window open': 'frozen',
  return: 'frozen',
  replay: 'replaying',
  degraded: 'degraded',
  'degraded again': 'degraded',
  rebuild: 'rebuilding',
};

export const stateIn = (chapter: string): string => stateOfChapter[chapter] ?? chapter;

/** In which state this operation falls. */
export function stateAt({ chapters }: Lengths, point: number): string {
  let found = '';
  for (const [chapter, from] of chapters) if (from <= point) found = chapter;
  return stateIn(found);
}

/** What a death is in the catalogue of faults. */
export const faultOf = (how: Death): string =>
  how === 'kill' ? 'C-1 kill' : how.endsWith('some kept') ? 'C-2 power cut, torn' : 'C-2 power cut';

const measured = new Map<string, Promise<Lengths>>();

export function lengthsOf(
  key: string,
  make: () => DirectedLife,
  live: (life: DirectedLife) => Promise<void>,
): Promise<Lengths> {
  const known = measured.get(key);
  if (known) return known;
  const measure = async (): Promise<Lengths> => {
    const life = make();
    const chapters = new Map<string, number>();
    life.onOperation = () => {
      if (life.chapter !== '' && !chapters.has(life.chapter))
        chapters.set(life.chapter, life.operations);
    };
    await live(life);
    return { operations: life.operations, chapters };
  };
  const promise = measure();
  measured.set(key, promise);
  return promise;
}

/** With what happened before, for a person. */
export async function telling(life: Life, where: () => string, act: () => Promise<void>) {
  try {
    await act();
  } catch (error) {
    const told = [...life.model.story, ...life.world.events.slice(-12)].join('\n  ');
    throw new Error(`${where()}: ${(error as Error).message}\n  ${told}`, { cause: error });
  }
}

export const randomOf = (...parts: readonly (number | string)[]): Random => {
  let seed = Number(process.env['LOCUM_SEED'] ?? 1);
  for (const character of parts.join(' ')) seed = Math.imul(seed, 31) + character.charCodeAt(0);
  return new Random(seed >>> 0);
};
