/**
 * Two lives of a volume (a second failure in a window and its repair; a drive that comes back late), ended at every drive
 * operation in turn: by a kill, where of what was in flight chance leaves some; by a power cut, where nothing that was not
 * flushed is left; and by a second crash in the middle of the recovery. After each, the volume is put together from what
 * the drives hold, all of it reads right, it is brought back to optimal, and its parity adds up.
 *
 * `LOCUM_EVERY=1` crashes at every operation; the default takes some, evenly, with another phase for each case. Of the
 * levels that share all their code, the everyday run tears fewer of the labels of a return.
 * `LOCUM_POINT=n` runs one.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Death, dies, Life } from './life.ts';
import { Random } from './random.ts';

const every = Number(process.env['LOCUM_EVERY'] ?? 0);
const only = Number(process.env['LOCUM_POINT'] ?? 0);
const SAMPLED = 8;

type Story = 'secondFailure' | 'lateReturn';

async function crashAt(
  level: number,
  story: Story,
  point: number,
  how: Death,
  twice: boolean,
  variant = 0,
): Promise<void> {
  const life = new Life(level, level);
  const random = new Random(1_000 * level + point + 1_000_000 * variant);
  let where = '';
  try {
    if (!(await dies(life, () => life[story](point)))) return;
    where = `${how} at operation ${point} (${life.chapter})`;
    const restored = async (target: number): Promise<void> => {
      await life.reborn(how, random.next, target);
      if (life.mode === 'direct') await life.readAll('after the crash');
      await life.recover();
      await life.readAll('recovered');
      await life.addsUp();
    };
    if (!twice) return await restored(Number.POSITIVE_INFINITY);
    const second = 1 + random.below(120);
    where += `, again at ${second}`;
    if (await dies(life, () => restored(second))) await restored(Number.POSITIVE_INFINITY);
  } catch (error) {
    const { message } = error as Error;
    const events = [...life.model.story, ...life.world.events.slice(-12)].join('\n  ');
    throw new Error(`RAID ${level}: ${where}: ${message}\n  ${events}`, { cause: error });
  }
}

const cases: [Death, boolean][] = [
  ['kill', false],
  ['power cut, nothing kept', false],
  ['kill', true],
  ['power cut, some kept', true],
];

for (const story of ['secondFailure', 'lateReturn'] as const) {
  for (const level of [1, 3, 4, 5]) {
    for (const [how, twice] of cases) {
      const what = story === 'secondFailure' ? 'a second failure' : 'a late return';
      test(`RAID ${level}, ${what}: ${how}${twice ? ', twice,' : ''} at every operation`, async () => {
        const whole = new Life(level, level);
        await whole[story](Number.POSITIVE_INFINITY);
        const { operations } = whole;
        const step = every > 0 ? every : Math.max(1, Math.floor(operations / SAMPLED));
        const phase = (level * 7 + how.length + Number(twice)) % step;
        const points = only > 0 ? [only] : [];
        for (let point = 1 + phase; only === 0 && point <= operations; point += step)
          points.push(point);
        const failures: string[] = [];
        for (const point of points) {
          await crashAt(level, story, point, how, twice).catch((error: Error) =>
            failures.push(error.message),
          );
        }
        const shown = failures.slice(0, 8).join('\n');
        assert.equal(failures.length, 0, `${failures.length} of ${points.length}:\n${shown}`);
      });
    }
  }
}

const tornVariants = { 1: 2, 3: 1, 4: 1, 5: 2 } as const;

/** The first label that a returning drive gets meets labels it has missed: torn, it must not take its newest with it. */
for (const level of [1, 3, 4, 5] as const) {
  test(`RAID ${level}: a power cut at every operation of a return, torn in several ways`, async () => {
    const points: number[] = [];
    const whole = new Life(level, level);
    whole.onOperation = () => {
      if (whole.chapter === 'return') points.push(whole.operations);
    };
    await whole.secondFailure(Number.POSITIVE_INFINITY);
    assert.ok(points.length > 0);
    for (const point of points) {
      for (let variant = 1; variant <= (every > 0 ? 4 : tornVariants[level]); variant++)
        await crashAt(level, 'secondFailure', point, 'power cut, some kept', false, variant);
    }
  });
}
