/** The overlay against a flat array of sectors: random operations, and the edges one by one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DATA, GAP, Overlay, type OverlayKind, TRIM, ZERO } from '../../../../src/core/overlay.ts';
import { randomNumbers } from './random-numbers.ts';

/**
 * What the overlay has to answer, one element per sector: kind, and the location of that very
 * sector.
 */
class Model {
  readonly kinds: number[];
  readonly locations: number[];

  constructor(sectors: number) {
    this.kinds = new Array<number>(sectors).fill(GAP);
    this.locations = new Array<number>(sectors).fill(0);
  }

  insert(start: number, sectors: number, kind: number, location: number): void {
    for (let i = 0; i < sectors; i += 1) {
      this.kinds[start + i] = kind;
      this.locations[start + i] = kind === DATA ? location + i : location;
    }
  }

  removeIf(start: number, sectors: number, kind: number, location: number): number {
    let removed = 0;
    for (let i = 0; i < sectors; i += 1) {
      const here = kind === DATA ? location + i : location;
      if (this.kinds[start + i] !== kind || this.locations[start + i] !== here) continue;
      this.insert(start + i, 1, GAP, 0);
      removed += 1;
    }
    return removed;
  }

  removeBelow(sector: number): void {
    for (let i = 0; i < sector; i += 1) this.insert(i, 1, GAP, 0);
  }
}

function compare(overlay: Overlay, model: Model, start: number, sectors: number): void {
  let at = start;
  overlay.forEachPiece(start, sectors, (pieceStart, pieceSectors, kind, location) => {
    assert.equal(pieceStart, at);
    assert.ok(pieceSectors > 0);
    for (let i = 0; i < pieceSectors; i += 1) {
      if (
        model.kinds[at + i] === kind &&
        model.locations[at + i] === (kind === DATA ? location + i : location)
      )
        continue;
      assert.fail(`sector ${at + i}: kind ${kind} at ${location}, expected ${model.kinds[at + i]}`);
    }
    at += pieceSectors;
  });
  assert.equal(at, start + sectors);
  const slice = model.kinds.slice(start, start + sectors);
  assert.equal(
    overlay.anyIn(start, sectors),
    slice.some((kind) => kind !== GAP),
  );
  assert.equal(
    overlay.covers(start, sectors),
    slice.every((kind) => kind !== GAP),
  );
}

function compareAll(overlay: Overlay, model: Model): void {
  overlay.assertState();
  compare(overlay, model, 0, model.kinds.length);
  assert.equal(overlay.liveSectors, model.kinds.filter((kind) => kind === DATA).length);
  let last = 0;
  let extents = 0;
  overlay.exportTo((start, sectors, kind) => {
    assert.ok(start >= last);
    for (let i = start; i < start + sectors; i += 1) assert.equal(model.kinds[i], kind);
    last = start + sectors;
    extents += 1;
  });
  assert.equal(extents, overlay.extentCount);
}

interface Shape {
  readonly sectors: number;
  readonly operations: number;
  readonly longest: number;
  readonly removals: number;
}

function play(seed: number, shape: Shape): void {
  const random = randomNumbers(seed);
  const overlay = new Overlay();
  const model = new Model(shape.sectors);
  let location = 1000;
  const past: [number, number, OverlayKind, number][] = [];
  for (let step = 0; step < shape.operations; step += 1) {
    const sectors = 1 + random(shape.longest);
    const start = random(shape.sectors - sectors + 1);
    const choice = random(100);
    if (choice >= shape.removals) {
      const kind = ([DATA, DATA, DATA, ZERO, TRIM] as const)[random(5)] as OverlayKind;
      // Now and then exactly behind the record before, so that extents grow.
      location += random(3) === 0 ? 0 : 8;
      overlay.insert(start, sectors, kind, location);
      model.insert(start, sectors, kind, location);
      past.push([start, sectors, kind, location]);
      location += sectors;
    } else if (choice > 0 && past.length > 0) {
      const [pastStart, pastSectors, kind, pastLocation] = past[
        random(past.length)
      ] as (typeof past)[number];
      const expected = model.removeIf(pastStart, pastSectors, kind, pastLocation);
      assert.equal(overlay.removeIf(pastStart, pastSectors, kind, pastLocation), expected);
    } else if (random(20) === 0) {
      overlay.removeBelow(start);
      model.removeBelow(start);
    }
    compare(overlay, model, start, sectors);
    const first = overlay.firstFrom(start);
    const expectedFirst = model.kinds.findIndex((kind, i) => i >= start && kind !== GAP);
    assert.equal(first?.start ?? -1, expectedFirst);
    if (first !== null) {
      assert.equal(first.kind, model.kinds[first.start]);
      assert.equal(first.location, model.locations[first.start]);
    }
    if (step % 64 === 0) overlay.assertState();
  }
  compareAll(overlay, model);
}

const shapes: readonly [string, Shape, number][] = [
  ['crowded', { sectors: 64, operations: 400, longest: 20, removals: 20 }, 200],
  ['many small extents', { sectors: 8000, operations: 3000, longest: 3, removals: 5 }, 8],
  ['long ones over small ones', { sectors: 6000, operations: 2500, longest: 900, removals: 10 }, 8],
  ['much taken out again', { sectors: 5000, operations: 3000, longest: 4, removals: 60 }, 8],
];

for (const [name, shape, seeds] of shapes) {
  test(`random operations agree with a flat array of sectors: ${name}`, () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      try {
        play(seed, shape);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
}

test('filling many leaves, cutting across them, draining them from the front', () => {
  const sectors = 40_000;
  const overlay = new Overlay();
  const model = new Model(sectors);
  const put = (start: number, length: number, kind: OverlayKind, location: number): void => {
    overlay.insert(start, length, kind, location);
    model.insert(start, length, kind, location);
  };
  for (let i = 0; i < 10_000; i += 1) put(i * 4, 2, DATA, i * 16);
  compareAll(overlay, model);
  assert.equal(overlay.extentCount, 10_000);
  put(1001, 20_000, ZERO, 7);
  compareAll(overlay, model);
  put(30_000, 1, TRIM, 8);
  put(0, 1, TRIM, 9);
  compareAll(overlay, model);
  for (let sector = 0; sector <= sectors; sector += 613) {
    overlay.removeBelow(sector);
    model.removeBelow(sector);
    overlay.assertState();
  }
  overlay.removeBelow(sectors);
  assert.equal(overlay.extentCount, 0);
  assert.equal(overlay.anyIn(0, sectors), false);
});

test('in descending order', () => {
  const overlay = new Overlay();
  const model = new Model(6000);
  for (let i = 2999; i >= 0; i -= 1) {
    overlay.insert(i * 2, 1, DATA, i * 3);
    model.insert(i * 2, 1, DATA, i * 3);
  }
  compareAll(overlay, model);
});

test('records that follow each other in the volume and on the leg are one extent', () => {
  const overlay = new Overlay();
  overlay.insert(0, 8, DATA, 100);
  overlay.insert(8, 8, DATA, 108);
  assert.equal(overlay.extentCount, 1);
  overlay.insert(16, 8, DATA, 117);
  assert.equal(overlay.extentCount, 2);
  overlay.insert(24, 8, ZERO, 5);
  overlay.insert(32, 8, ZERO, 5);
  overlay.insert(40, 8, ZERO, 6);
  assert.equal(overlay.extentCount, 4);
  overlay.assertState();
});

test('taking out a record leaves newer ones of the same range', () => {
  const overlay = new Overlay();
  overlay.insert(10, 20, DATA, 500);
  overlay.insert(15, 5, DATA, 900);
  overlay.insert(25, 2, ZERO, 901);
  assert.equal(overlay.removeIf(10, 20, DATA, 500), 13);
  const left: number[][] = [];
  overlay.exportTo((...extent) => left.push(extent));
  assert.deepEqual(left, [
    [15, 5, DATA, 900],
    [25, 2, ZERO, 901],
  ]);
  assert.equal(overlay.removeIf(15, 5, ZERO, 900), 0);
  assert.equal(overlay.removeIf(15, 5, DATA, 901), 0);
  overlay.assertState();
});

test('sectors beyond 32 bits', () => {
  const overlay = new Overlay();
  const far = 2 ** 44;
  overlay.insert(far, 2 ** 33, ZERO, 3);
  overlay.insert(far + 5, 8, DATA, 2 ** 43);
  assert.deepEqual(overlay.firstFrom(far + 6), {
    start: far + 6,
    sectors: 7,
    kind: DATA,
    location: 2 ** 43 + 1,
  });
  assert.ok(overlay.covers(far, 2 ** 33));
  assert.equal(overlay.covers(far - 1, 8), false);
  overlay.assertState();
});

test('an empty overlay answers', () => {
  const overlay = new Overlay();
  assert.equal(overlay.anyIn(0, 100), false);
  assert.equal(overlay.covers(0, 1), false);
  assert.equal(overlay.firstFrom(0), null);
  assert.equal(overlay.removeIf(0, 10, DATA, 0), 0);
  overlay.removeBelow(100);
  const pieces: number[][] = [];
  overlay.forEachPiece(3, 4, (...piece) => pieces.push(piece));
  assert.deepEqual(pieces, [[3, 4, GAP, 0]]);
});

test('a checkpoint loads into the same overlay, which then can be written to', () => {
  const random = randomNumbers(7);
  const original = new Overlay();
  const model = new Model(50_000);
  for (let i = 0; i < 8000; i += 1) {
    const start = random(49_990);
    original.insert(start, 1 + (i % 9), DATA, i * 16);
    model.insert(start, 1 + (i % 9), DATA, i * 16);
  }
  const extents: [number, number, OverlayKind, number][] = [];
  original.exportTo((...extent) => extents.push(extent));
  const loaded = new Overlay();
  loaded.insert(1, 2, TRIM, 3);
  let at = 0;
  loaded.bulkLoad(extents.length, (extent) => {
    [extent.start, extent.sectors, extent.kind, extent.location] = extents[
      at
    ] as (typeof extents)[number];
    at += 1;
  });
  compareAll(loaded, model);
  for (let i = 0; i < 2000; i += 1) {
    const start = random(49_990);
    loaded.insert(start, 3, ZERO, i);
    model.insert(start, 3, ZERO, i);
  }
  compareAll(loaded, model);
  loaded.clear();
  assert.equal(loaded.extentCount, 0);
  assert.equal(loaded.liveSectors, 0);
});

test('changing it from a visitor is refused', () => {
  const overlay = new Overlay();
  overlay.insert(0, 10, DATA, 1);
  assert.throws(() => overlay.forEachPiece(0, 10, () => overlay.insert(0, 1, ZERO, 1)), /visited/);
  assert.throws(() => overlay.exportTo(() => overlay.removeBelow(5)), /visited/);
  overlay.insert(0, 10, DATA, 1);
  overlay.assertState();
});

test('a visitor may ask the overlay', () => {
  const overlay = new Overlay();
  for (let i = 0; i < 1000; i += 1) overlay.insert(i * 2, 1, DATA, i * 5);
  let pieces = 0;
  overlay.forEachPiece(0, 2000, (start) => {
    overlay.anyIn(2000 - start, 1);
    pieces += 1;
  });
  assert.equal(pieces, 2000);
});

test('extents to load that are out of order are a bug', () => {
  const overlay = new Overlay();
  assert.throws(() => {
    overlay.bulkLoad(2, (extent) => {
      extent.start = 5;
      extent.sectors = 1;
    });
  }, /order/);
});

test('between two leaves, the first of which is full, there is room in the second', () => {
  for (const extents of [300, 512, 600]) {
    const overlay = new Overlay();
    const model = new Model(4 * extents + 4);
    const put = (start: number, location: number): void => {
      overlay.insert(start, 1, DATA, location);
      model.insert(start, 1, DATA, location);
    };
    // In ascending order, so that the leaves are left full: 256 extents each.
    for (let i = 0; i < extents; i += 1) put(4 * i, 10 * i);
    put(4 * 256 - 2, 77_777);
    compareAll(overlay, model);
    assert.equal(overlay.extentCount, extents + 1);
    assert.equal(overlay.firstFrom(4 * 256 - 2)?.location, 77_777);
  }
});

test('extents of every kind are loaded as they were exported', () => {
  const seed = Number(process.env['LOCUM_SEED'] ?? 5);
  console.log(`LOCUM_SEED=${seed}`);
  const random = randomNumbers(seed);
  for (const extents of [0, 1, 191, 192, 193, 2000]) {
    const list: [number, number, OverlayKind, number][] = [];
    let at = 0;
    for (let i = 0; i < extents; i += 1) {
      const sectors = 1 + random(5);
      list.push([at, sectors, ([DATA, ZERO, TRIM] as const)[random(3)] as OverlayKind, 9 * i]);
      at += sectors + random(3);
    }
    const overlay = new Overlay();
    overlay.insert(0, 7, DATA, 1);
    const model = new Model(at + 8);
    let next = 0;
    overlay.bulkLoad(extents, (extent) => {
      const [start, sectors, kind, location] = list[next++] as (typeof list)[number];
      Object.assign(extent, { start, sectors, kind, location });
      model.insert(start, sectors, kind, location);
    });
    compareAll(overlay, model);
    const exported: (typeof list)[number][] = [];
    overlay.exportTo((...extent) => exported.push(extent));
    assert.deepEqual(exported, list);
  }
});

test('memory: an empty overlay has next to none, a million extents fit into 60 MB', () => {
  const overlay = new Overlay();
  assert.ok(overlay.memoryBytes <= 1024);
  overlay.bulkLoad(1_000_000, (extent) => {
    extent.start += 2;
    extent.sectors = 1;
  });
  assert.ok(overlay.memoryBytes > 24e6 && overlay.memoryBytes < 60e6, `${overlay.memoryBytes}`);
  overlay.clear();
  assert.ok(overlay.memoryBytes <= 1024, 'and gives it back');
});
