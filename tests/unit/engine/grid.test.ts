/**
 * Every level, every number of members from the least, every set of absent members that may be: reads and writes around
 * the edges of chunks and stripes against a flat model. In a window also what is held: exactly what needs both of the
 * absent members and was not written since the freeze.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { Scene } from './scene.ts';

interface Range {
  readonly start: number;
  readonly sectors: number;
}

/** In sectors: lengths and offsets one sector before, at, and one behind each edge. */
function edgeRanges(scene: Scene): Range[] {
  const g = scene.core.geometry;
  const chunk = g.chunkBytes / SECTOR;
  const stripe = chunk * g.dataChunks;
  const total = scene.model.sectors;
  const edges = [
    0,
    chunk,
    stripe - chunk,
    stripe,
    2 * stripe,
    total - stripe,
    total - chunk,
    total,
  ];
  const lengths = [1, 2, chunk - 1, chunk, chunk + 1, 2 * chunk, stripe, stripe + 2, 2 * stripe];
  const ranges = new Map<string, Range>();
  for (const edge of edges) {
    for (const shift of [-1, 0, 1]) {
      for (const sectors of lengths) {
        const start = edge + shift;
        if (start >= 0 && start + sectors <= total)
          ranges.set(`${start}+${sectors}`, { start, sectors });
      }
    }
  }
  return [...ranges.values()];
}

/** With both absent and nothing in the log: is this sector to be had? */
function readable(
  scene: Scene,
  sector: number,
  absent: readonly number[],
  logged: ReadonlySet<number>,
): boolean {
  if (logged.has(sector)) return true;
  const g = scene.core.geometry;
  if (g.level.mirrored) return absent.length < g.members;
  const offset = (sector * SECTOR) as VolumeOffset;
  return absent.length < 2 || !absent.includes(g.dataSlot(g.stripeOf(offset), g.indexOf(offset)));
}

async function readAround(scene: Scene, { start, sectors }: Range, where: string): Promise<void> {
  const from = Math.max(0, start - 1);
  const to = Math.min(scene.model.sectors, start + sectors + 1);
  await scene.check(where, from, to - from);
}

async function readWithTwoAbsent(
  scene: Scene,
  { start, sectors }: Range,
  absent: readonly number[],
  logged: ReadonlySet<number>,
  where: string,
): Promise<void> {
  const { world, model } = scene;
  const { errno, data } = await world.until(world.read(start * SECTOR, sectors * SECTOR));
  let all = true;
  for (let at = start; at < start + sectors; at++) all &&= readable(scene, at, absent, logged);
  assert.equal(errno, all ? 0 : EIO, `${where}: read of ${start}+${sectors}`);
  if (all) model.check(start, data, where);
}

function subsets(members: number, most: number): number[][] {
  const sets: number[][] = [];
  for (let mask = 0; mask < 1 << members; mask++) {
    const set = Array.from({ length: members }, (_, slot) => slot).filter(
      (slot) => mask & (1 << slot),
    );
    if (set.length <= most) sets.push(set);
  }
  return sets;
}

const shuffle = <T>(scene: Scene, items: T[]): T[] => {
  for (let i = items.length - 1; i > 0; i--) {
    const j = scene.world.random.below(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
};

const sizes = [1, 3, 4, 5].flatMap((level) => {
  const least = level === 1 ? 2 : 3;
  return [least, least + 1].map((members) => ({ level, members }));
});

for (const { level, members } of sizes) {
  const title = `RAID ${level} of ${members}`;
  const pairs = subsets(members, 2).filter((set) => set.length === 2);
  const ordered = pairs.flatMap(
    ([a, b]) =>
      [
        [a, b],
        [b, a],
      ] as [number, number][],
  );

  test(`${title}, direct: every absent set, every edge`, async () => {
    for (const absent of subsets(members, level === 1 ? members - 1 : 1)) {
      const scene = await Scene.make(level, { members, seed: 100 * level + members });
      const { world } = scene;
      const where = `absent ${absent.join(' and ') || 'nobody'}`;
      await scene.put(0, scene.model.sectors);
      for (const slot of absent)
        assert.ok((await world.until(world.v.failDrive(String(slot)))).ok, where);
      for (const range of shuffle(scene, edgeRanges(scene))) {
        await scene.put(range.start, range.sectors);
        await readAround(scene, range, `${where}, ${range.start}+${range.sectors}`);
      }
      await scene.settle(where);
    }
  });

  for (const [how, early] of [
    ['fails in the window', false],
    ['failed before', true],
  ] as const) {
    test(`${title}, frozen: every pair of which the second ${how}, replay, replacement`, async () => {
      for (const [away, failed] of ordered) {
        const where = `${away} away, ${failed} ${how}`;
        const scene = await Scene.make(level, { members, seed: 10 * away + failed });
        const { world } = scene;
        const fail = async (): Promise<void> =>
          assert.ok((await world.until(world.v.failDrive(String(failed)))).ok, where);
        await scene.put(0, scene.model.sectors);
        if (early) await fail();
        await scene.open(String(away), { onDoubleAbsence: 'error', allowDegraded: true });
        const ranges = shuffle(scene, edgeRanges(scene));
        const logged = new Set<number>();
        const put = async ({ start, sectors }: Range): Promise<void> => {
          await scene.put(start, sectors);
          for (let at = start; at < start + sectors; at++) logged.add(at);
        };
        const frozen = Array.from({ length: members }, (_, slot) => scene.region(slot));
        for (const range of ranges.slice(0, 12)) {
          await put(range);
          if (!early) await readAround(scene, range, where);
        }
        if (!early) await fail();
        for (const range of ranges)
          await readWithTwoAbsent(scene, range, [away, failed], logged, where);
        for (const range of ranges.slice(12, 24)) await put(range);
        for (const range of ranges.slice(0, 40))
          await readWithTwoAbsent(scene, range, [away, failed], logged, where);
        frozen.forEach((bytes, slot) => {
          assert.ok(
            Buffer.compare(bytes, scene.region(slot)) === 0,
            `${where}: slot ${slot} changed while frozen`,
          );
        });
        await scene.closeAndWait();
        assert.equal(scene.state, 'degraded', where);
        await scene.check(`${where}, after the replay`);
        await scene.settle(`${where}, after the replacement`);
      }
    });
  }
}
