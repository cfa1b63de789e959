/**
 * L7: RethinkDB, Kafka and LogCabin took a checksum that does not match for the torn end of their log, and truncated what
 * had been committed. Here each record of a window's log is damaged in turn, in its header and in its payload, on both
 * legs alternately: nothing is lost. Damaged on both: those sectors are errors and nothing else is, or the start is
 * refused; never the end of the log.
 */

import assert from 'node:assert/strict';
import { BLOCK_BYTES } from '../../src/base/units.ts';
import { Scene } from '../unit/engine/scene.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';
import { flip, type Images, imagesOf, type LoggedSegment, putBack, segmentsOn } from './inspect.ts';
import { Prepared } from './prepared.ts';

type Part = 'header' | 'payload';
type Where = 'one leg' | 'every record, legs in turn' | 'both legs';

/** A window with a log of many records, killed; and where the records lie. */
interface Logged {
  readonly scene: Scene;
  readonly images: Images;
  readonly segments: readonly LoggedSegment[];
}

const prepared = new Prepared<Logged>();

async function prepare(level: number, checkpointed: boolean): Promise<Logged> {
  const scene = await Scene.make(level, { seed: 70 + level, members: level === 1 ? 2 : 3 });
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(16);
  await scene.flush();
  await scene.fill(8);
  await scene.flush();
  // Once hosts are quiet the log notes how far it is flushed, and later it writes a checkpoint.
  await scene.world.pass(checkpointed ? 30_000 : 3_000);
  scene.crash(false);
  const segments = segmentsOn(scene.world, 'leg0');
  assert.ok(segments.length >= 24, `${segments.length} segments`);
  return { scene, images: imagesOf(scene.world), segments };
}

const logged = (level: number, checkpointed: boolean): Promise<Logged> =>
  prepared.of(`${level} ${checkpointed}`, () => prepare(level, checkpointed));

/** Where a byte of this part lies on the leg; null: the segment has no payload. */
function placeOf(segment: LoggedSegment, part: Part): number | null {
  if (part === 'header') return segment.offset + 64;
  if (segment.totalBlocks === segment.headerBlocks) return null;
  return segment.offset + segment.headerBlocks * BLOCK_BYTES + 100;
}

async function damaged(
  level: number,
  checkpointed: boolean,
  index: number,
  part: Part,
  where: Where,
): Promise<void> {
  const { scene, images, segments } = await logged(level, checkpointed);
  const { world } = scene;
  putBack(world, images);
  scene.crash(false);
  const all = where === 'every record, legs in turn';
  for (const [at, segment] of segments.entries()) {
    if (!all && at !== index) continue;
    const place = placeOf(segment, part);
    if (place === null) continue;
    for (const leg of where === 'both legs' ? ['leg0', 'leg1'] : [`leg${at % 2}`])
      flip(world, leg, place);
  }
  const outcome = await world.tryAssemble();
  if (where !== 'both legs') {
    assert.ok(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.problem));
    await scene.check('one leg has each record');
    await scene.closeAndWait();
    await scene.settle('replayed from what each leg has');
    return;
  }
  if (part === 'header') {
    // A checkpoint may know what the header said. Without one the start is refused: a hole is not the end.
    if (outcome.ok) await scene.check('damaged headers');
    else assert.equal(outcome.problem.code, 'log-damaged');
    assert.ok(checkpointed || !outcome.ok || index === segments.length - 1, 'taken for the end');
    return;
  }
  assert.ok(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.problem));
  const unanswered = await scene.checkWhatAnswers('damaged on both legs');
  const sectors = (segments[index] as LoggedSegment).records.reduce((n, r) => n + r.sectors, 0);
  assert.ok(unanswered <= sectors, `${unanswered} sectors are errors, ${sectors} were damaged`);
}

const enumerate = (level: number): Enumeration => ({
  title: `L7 RethinkDB, Kafka, LogCabin, RAID ${level}: a damaged record is not the end of the log`,
  cases: async () => {
    const cases: Case[] = [];
    for (const [part, checkpointed] of pairs(['header', 'payload'] as const, [false, true])) {
      const { segments } = await logged(level, checkpointed);
      const what = `RAID ${level}, ${part}${checkpointed ? ' behind a checkpoint' : ''}`;
      const add = (index: number, where: Where): void => {
        const name = index < 0 ? `${what}, ${where}` : `${what} of segment ${index}, ${where}`;
        cases.push({
          name,
          hits: [['R-5 rot', 'frozen']],
          run: () => damaged(level, checkpointed, index, part, where),
        });
      };
      add(-1, 'every record, legs in turn');
      for (const [segment, where] of pairs(segments, ['one leg', 'both legs'] as const)) {
        if (placeOf(segment, part) !== null) add(segments.indexOf(segment), where);
      }
    }
    return cases;
  },
});

export const damagedRecord: readonly Enumeration[] = [1, 3, 4, 5].map(enumerate);
