/**
 * Every write plan is carried out on a tiny stripe in memory and compared with a flat model: each
 * level × every set of absent members up to one more than tolerated × every range at sector
 * granularity × trusted parity or not × RMW or not. One array element stands for one 512-byte
 * sector; a chunk has eight.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../../../src/base/units.ts';
import { Geometry } from '../../../../src/core/geometry.ts';
import { type LevelDescriptor, NONE } from '../../../../src/core/levels/descriptor.ts';
import { levels } from '../../../../src/core/levels/index.ts';
import {
  hasSlot,
  NO_SLOTS,
  type SlotSet,
  slotCountOf,
  slotSetOf,
} from '../../../../src/core/slot-set.ts';
import {
  copyFor,
  type NewPiece,
  planWrite,
  type WritePlanned,
} from '../../../../src/core/stripe-plan.ts';
import { randomNumbers } from '../overlay/random-numbers.ts';

const SECTOR = 512;
const COLUMNS = 8;
const CHUNK_BYTES = COLUMNS * SECTOR;

type Row = number[];
type Random = (below: number) => number;

/** A stripe as it is on the members, by index, and its parity. */
interface Stripe {
  readonly data: Row[];
  readonly parity: Row;
}

const parityLevels = levels.filter(({ mirrored }) => !mirrored);
const xorOf = (rows: readonly Row[], column: number): number =>
  rows.reduce((sum, row) => sum ^ (row[column] as number), 0);
const row = (random: Random): Row => Array.from({ length: COLUMNS }, () => random(256));

function geometryOf(level: LevelDescriptor, members: number): Geometry {
  // The level with the fixed larger chunk is a mirror, which is tested by itself.
  return new Geometry(level, members, CHUNK_BYTES, CHUNK_BYTES * members);
}

function absentSets(members: number, most: number): SlotSet[] {
  const sets: SlotSet[] = [];
  for (let mask = 0; mask < 2 ** members; mask += 1)
    if (slotCountOf(mask as SlotSet) <= most) sets.push(mask as SlotSet);
  return sets;
}

/** All ranges of one stripe of `dataChunks` chunks, as pieces in sectors. */
function ranges(dataChunks: number): NewPiece[][] {
  const all: NewPiece[][] = [];
  const sectors = dataChunks * COLUMNS;
  for (let start = 0; start < sectors; start += 1) {
    for (let end = start + 1; end <= sectors; end += 1) {
      const pieces: NewPiece[] = [];
      for (let at = start; at < end; ) {
        const index = Math.floor(at / COLUMNS);
        const to = Math.min(end, (index + 1) * COLUMNS);
        pieces.push({ index, from: at - index * COLUMNS, to: to - index * COLUMNS });
        at = to;
      }
      all.push(pieces);
    }
  }
  return all;
}

/** Several pieces per chunk with holes between them, as replay has them. */
function scattered(dataChunks: number, random: Random): NewPiece[] {
  const pieces: NewPiece[] = [];
  while (pieces.length === 0) {
    for (let index = 0; index < dataChunks; index += 1) {
      for (let at = random(6); at < COLUMNS; ) {
        const to = at + 1 + random(COLUMNS - at);
        pieces.push({ index, from: at, to });
        at = to + random(4);
      }
      if (random(3) === 0) break;
    }
  }
  return pieces;
}

const inBytes = (pieces: readonly NewPiece[]): NewPiece[] =>
  pieces.map(({ index, from, to }) => ({ index, from: from * SECTOR, to: to * SECTOR }));

/**
 * Carries the plan out as the engine would. Reads only what the plan lists; a cell that was not
 * read is NaN.
 */
function carryOut(
  plan: WritePlanned,
  old: Stripe,
  pieces: readonly NewPiece[],
  fresh: readonly Row[],
): Stripe {
  const unread = (): Row => new Array<number>(COLUMNS).fill(Number.NaN);
  const read: Stripe = { data: old.data.map(unread), parity: unread() };
  for (const { index, from, to } of plan.reads) {
    const target = index === NONE ? read.parity : (read.data[index] as Row);
    const source = index === NONE ? old.parity : (old.data[index] as Row);
    for (let column = from / SECTOR; column < to / SECTOR; column += 1)
      target[column] = source[column] as number;
  }
  const next: Stripe = { data: read.data.map((own) => [...own]), parity: unread() };
  const isNew = (index: number, column: number): boolean =>
    pieces.some((piece) => piece.index === index && piece.from <= column && column < piece.to);
  for (let column = plan.from / SECTOR; column < plan.to / SECTOR; column += 1) {
    if (plan.kind === 'rebuild') {
      const others = read.data.filter((_, index) => index !== plan.absentIndex);
      (next.data[plan.absentIndex] as Row)[column] = xorOf([...others, read.parity], column);
    }
    let change = 0;
    for (let index = 0; index < old.data.length; index += 1) {
      if (!isNew(index, column)) continue;
      const value = (fresh[index] as Row)[column] as number;
      change ^= ((read.data[index] as Row)[column] as number) ^ value;
      (next.data[index] as Row)[column] = value;
    }
    if (plan.kind === 'data-only') continue;
    if (plan.kind === 'modify') {
      next.parity[column] = (read.parity[column] as number) ^ change;
    } else {
      // NaN would turn into 0 in an XOR: every cell must be known here.
      for (const own of next.data)
        assert.ok(!Number.isNaN(own[column]), 'parity from a chunk that was not read');
      next.parity[column] = xorOf(next.data, column);
    }
  }
  if (plan.kind === 'modify') {
    for (const { index, from, to } of pieces) {
      for (let column = from; column < to; column += 1)
        assert.ok(!Number.isNaN((read.data[index] as Row)[column]));
    }
    for (let column = plan.from / SECTOR; column < plan.to / SECTOR; column += 1) {
      assert.ok(!Number.isNaN(read.parity[column]));
    }
  }
  return next;
}

/** The stripe after the given writes of the plan have reached the members. */
function applied(plan: WritePlanned, writes: readonly number[], old: Stripe, next: Stripe): Stripe {
  const after: Stripe = { data: old.data.map((own) => [...own]), parity: [...old.parity] };
  for (const i of writes) {
    const { index, from, to } = plan.writes[i] as WritePlanned['writes'][number];
    const target = index === NONE ? after.parity : (after.data[index] as Row);
    const source = index === NONE ? next.parity : (next.data[index] as Row);
    for (let column = from / SECTOR; column < to / SECTOR; column += 1) {
      assert.ok(!Number.isNaN(source[column]), 'wrote what was never known');
      target[column] = source[column] as number;
    }
  }
  return after;
}

interface Case {
  readonly geometry: Geometry;
  readonly stripe: StripeIndex;
  readonly absent: SlotSet;
  readonly parityTrusted: boolean;
  readonly rmwAllowed: boolean;
  readonly narrow?: boolean;
  readonly pieces: readonly NewPiece[];
}

const seen = new Set<string>();

function check(one: Case, random: Random): void {
  const { geometry, stripe, absent, parityTrusted, rmwAllowed, narrow = false, pieces } = one;
  const old: Stripe = {
    data: Array.from({ length: geometry.dataChunks }, () => row(random)),
    parity: [],
  };
  for (let column = 0; column < COLUMNS; column += 1) {
    old.parity.push(parityTrusted ? xorOf(old.data, column) : random(256));
  }
  const fresh = Array.from({ length: geometry.dataChunks }, () => row(random));
  const wanted = old.data.map((own, index) =>
    own.map((value, column) =>
      pieces.some((piece) => piece.index === index && piece.from <= column && column < piece.to)
        ? ((fresh[index] as Row)[column] as number)
        : value,
    ),
  );
  const absentIndex =
    geometry.level.parityChunks === 0 ? NONE : firstAbsent(geometry, stripe, absent);
  const lockstep = geometry.level.lockstep && !narrow;
  const hullFrom = lockstep ? 0 : Math.min(...pieces.map(({ from }) => from));
  const hullTo = lockstep ? COLUMNS : Math.max(...pieces.map(({ to }) => to));
  const newIn = (index: number): number =>
    pieces
      .filter((piece) => piece.index === index)
      .reduce((sum, { from, to }) => sum + to - from, 0);

  const circumstances = { absent, parityTrusted, rmwAllowed, narrow };
  const plan = planWrite(geometry, stripe, inBytes(pieces), circumstances);
  const needsOldParity = absentIndex !== NONE && newIn(absentIndex) < hullTo - hullFrom;
  if (slotCountOf(absent) > 1) {
    assert.deepEqual(plan, { kind: 'impossible', reason: 'two-absent' });
    seen.add('impossible');
    return;
  }
  if (needsOldParity && !parityTrusted) {
    assert.deepEqual(plan, { kind: 'impossible', reason: 'parity-untrusted' });
    seen.add('impossible');
    return;
  }
  assert.ok(plan.kind !== 'impossible', 'possible, but refused');
  seen.add(plan.kind);
  for (const { slot, index, from, to } of [...plan.reads, ...plan.writes]) {
    assert.ok(!hasSlot(absent, slot), 'touches an absent member');
    assert.equal(
      slot,
      index === NONE ? geometry.paritySlot(stripe) : geometry.dataSlot(stripe, index),
    );
    assert.ok(from < to && to <= CHUNK_BYTES);
  }
  assert.equal(plan.from, hullFrom * SECTOR);
  assert.equal(plan.to, hullTo * SECTOR);
  assert.equal(plan.absentIndex, absentIndex);
  if (plan.kind === 'modify') assert.ok(parityTrusted && rmwAllowed && !lockstep);
  if (plan.kind === 'rebuild') assert.ok(parityTrusted);

  const next = carryOut(plan, old, pieces, fresh);
  const everything = plan.writes.map((_, i) => i);
  const after = applied(plan, everything, old, next);
  for (let index = 0; index < geometry.dataChunks; index += 1) {
    if (index !== absentIndex) assert.deepEqual(after.data[index], wanted[index]);
  }
  if (plan.kind !== 'data-only') {
    for (let column = 0; column < COLUMNS; column += 1) {
      const inHull = column >= hullFrom && column < hullTo;
      if (inHull || parityTrusted)
        assert.equal(after.parity[column], xorOf(wanted, column), 'parity');
    }
  }
  checkCost(plan, geometry, pieces, hullTo - hullFrom, parityTrusted && rmwAllowed && !lockstep);
  if (absentIndex !== NONE && !plan.hazard) {
    checkAtomic(plan, old, next, absentIndex, wanted[absentIndex] as Row, random);
  }
  if (plan.hazard)
    assert.ok(absentIndex !== NONE && new Set(plan.writes.map(({ slot }) => slot)).size > 1);
}

function firstAbsent(geometry: Geometry, stripe: StripeIndex, absent: SlotSet): number {
  for (let index = 0; index < geometry.dataChunks; index += 1) {
    if (hasSlot(absent, geometry.dataSlot(stripe, index))) return index;
  }
  return NONE;
}

/**
 * With everything present the cheaper of the two ways is taken, and on a tie the one that does not
 * need old parity.
 */
function checkCost(
  plan: WritePlanned,
  geometry: Geometry,
  pieces: readonly NewPiece[],
  hull: number,
  rmw: boolean,
): void {
  assert.equal(
    plan.readBytes,
    plan.reads.reduce((sum, { from, to }) => sum + to - from, 0),
  );
  if (plan.absentIndex !== NONE || plan.kind === 'data-only') return;
  const written = pieces.reduce((sum, { from, to }) => sum + to - from, 0);
  const reconstruct = geometry.dataChunks * hull - written;
  const modify = written + hull;
  assert.equal(plan.readBytes / SECTOR, rmw ? Math.min(reconstruct, modify) : reconstruct);
  const expected =
    reconstruct === 0 ? 'full' : rmw && modify < reconstruct ? 'modify' : 'reconstruct';
  assert.equal(plan.kind, expected);
}

/** Without a hazard, a crash in the middle leaves each sector of the absent chunk old or new. */
function checkAtomic(
  plan: WritePlanned,
  old: Stripe,
  next: Stripe,
  absentIndex: number,
  wanted: Row,
  random: Random,
): void {
  const reached = plan.writes.map((_, i) => i).filter(() => random(2) === 0);
  const torn = applied(plan, reached, old, next);
  const others = torn.data.filter((_, index) => index !== absentIndex);
  const before = old.data.filter((_, index) => index !== absentIndex);
  for (let column = 0; column < COLUMNS; column += 1) {
    const value = xorOf([...others, torn.parity], column);
    const was = xorOf([...before, old.parity], column);
    assert.ok(value === was || value === wanted[column], 'the absent chunk changed in between');
  }
}

for (const level of parityLevels) {
  test(`every range × every absent set, carried out: ${level.title}`, () => {
    const random = randomNumbers(level.number);
    seen.clear();
    for (const members of [3, 4]) {
      const geometry = geometryOf(level, members);
      for (const absent of absentSets(members, 2)) {
        for (let stripe = 0; stripe < members; stripe += level.number === 5 ? 1 : members) {
          for (const pieces of ranges(geometry.dataChunks)) {
            for (const [parityTrusted, rmwAllowed] of [
              [true, true],
              [true, false],
              [false, true],
            ] as const) {
              const at = stripe as StripeIndex;
              check({ geometry, stripe: at, absent, parityTrusted, rmwAllowed, pieces }, random);
            }
          }
        }
      }
    }
    // The test would prove little if one of the ways had never been taken.
    const ways = [
      'impossible',
      'data-only',
      'full',
      'reconstruct',
      'rebuild',
      ...(level.lockstep ? [] : ['modify']),
    ];
    assert.deepEqual([...seen].sort(), ways.sort());
  });

  test(`scattered pieces, as replay has them: ${level.title}`, () => {
    const random = randomNumbers(100 + level.number);
    for (let round = 0; round < 20_000; round += 1) {
      const members = 3 + random(6);
      const geometry = geometryOf(level, members);
      const absent = slotSetOf(random(3) === 0 ? [] : [random(members)]);
      const stripe = random(members) as StripeIndex;
      const pieces = scattered(geometry.dataChunks, random);
      check(
        {
          geometry,
          stripe,
          absent,
          parityTrusted: random(3) > 0,
          rmwAllowed: random(2) === 0,
          narrow: random(2) === 0,
          pieces,
        },
        random,
      );
    }
  });
}

test('a mirror writes every copy that is there, and reads take turns', () => {
  const mirror = levels.find(({ mirrored }) => mirrored) as LevelDescriptor;
  for (let members = 2; members <= 6; members += 1) {
    const geometry = new Geometry(
      mirror,
      members,
      mirror.defaultChunkBytes,
      16 * members * mirror.defaultChunkBytes + SECTOR,
    );
    for (const absent of absentSets(members, members)) {
      const readers = new Set<number>();
      for (let stripe = 0; stripe < geometry.stripeCount; stripe += 1) {
        const at = stripe as StripeIndex;
        const pieces = [{ index: 0, from: 0, to: SECTOR }];
        const write = planWrite(geometry, at, pieces, {
          absent,
          parityTrusted: false,
          rmwAllowed: false,
        });
        const reader = copyFor(geometry, at, absent, NO_SLOTS);
        if (slotCountOf(absent) === members) {
          assert.equal(write.kind, 'impossible');
          assert.equal(reader, NONE);
          continue;
        }
        assert.ok(write.kind === 'copies');
        assert.equal(write.writes.length, members - slotCountOf(absent));
        assert.ok(write.writes.every(({ slot }) => !hasSlot(absent, slot)));
        assert.equal(write.hazard, false);
        assert.ok(!hasSlot(absent, reader));
        readers.add(reader);
      }
      assert.equal(readers.size, members - slotCountOf(absent), 'each has its turn');
    }
  }
});

test('the copy that counts stays the same whichever others are out, and is one that is on record', () => {
  const mirror = levels.find(({ mirrored }) => mirrored) as LevelDescriptor;
  for (let members = 2; members <= 5; members += 1) {
    const chunkBytes = mirror.defaultChunkBytes;
    const geometry = new Geometry(mirror, members, chunkBytes, 16 * 120 * chunkBytes);
    for (let stripe = 0; stripe < geometry.stripeCount; stripe += 16) {
      const at = stripe as StripeIndex;
      for (const absent of absentSets(members, members - 1)) {
        const copy = copyFor(geometry, at, absent, NO_SLOTS);
        for (const more of absentSets(members, members - 1)) {
          if (hasSlot(more, copy)) {
            const proven = copyFor(geometry, at, absent, more);
            const isOnly = (~absent & ~more & ((1 << members) - 1)) === 0;
            assert.equal(hasSlot(more, proven), isOnly, 'unproven only when there is no other');
          } else {
            assert.equal(copyFor(geometry, at, (absent | more) as SlotSet, NO_SLOTS), copy);
            assert.equal(copyFor(geometry, at, absent, more), copy);
          }
        }
      }
    }
  }
});

test('pieces that make no sense are a bug of the caller', () => {
  const geometry = geometryOf(parityLevels[0] as LevelDescriptor, 3);
  const circumstances = { absent: slotSetOf([]), parityTrusted: true, rmwAllowed: true };
  const bad: NewPiece[][] = [
    [],
    [{ index: 2, from: 0, to: 1 }],
    [{ index: 0, from: 1, to: 1 }],
    [{ index: 0, from: 0, to: CHUNK_BYTES + 1 }],
    [
      { index: 1, from: 0, to: 1 },
      { index: 0, from: 0, to: 1 },
    ],
    [
      { index: 0, from: 0, to: 2 },
      { index: 0, from: 1, to: 3 },
    ],
  ];
  for (const pieces of bad) {
    assert.throws(() => planWrite(geometry, 0 as StripeIndex, pieces, circumstances), {
      name: 'AssertionError',
    });
  }
});
