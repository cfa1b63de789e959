/**
 * Geometry: round trips for every level × members × chunk size, against md's formulas written out a
 * second time.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberOffset, Slot, StripeIndex, VolumeOffset } from '../../../../src/base/units.ts';
import { Geometry } from '../../../../src/core/geometry.ts';
import { NONE } from '../../../../src/core/levels/descriptor.ts';
import { levels } from '../../../../src/core/levels/index.ts';
import { randomNumbers } from '../overlay/random-numbers.ts';

const KIB = 1024;
const SECTOR = 512;

function eachGeometry(run: (geometry: Geometry) => void): void {
  for (const level of levels) {
    for (let members = level.minMembers; members <= 8; members += 1) {
      for (const chunkBytes of [4 * KIB, 8 * KIB, 64 * KIB, 1024 * KIB]) {
        if (!level.chunkBytesAllowed(chunkBytes)) continue;
        const odd = level.mirrored ? 7 * SECTOR : 0;
        run(new Geometry(level, members, chunkBytes, 2 * members * chunkBytes + odd));
      }
    }
  }
}

/** Offsets around every chunk edge of the volume, and the ends. */
function edges(geometry: Geometry): number[] {
  const offsets = new Set<number>([0, geometry.volumeBytes - 1]);
  for (let edge = 0; edge <= geometry.volumeBytes; edge += geometry.chunkBytes) {
    for (const offset of [edge - SECTOR, edge - 1, edge, edge + 1, edge + SECTOR]) {
      if (offset >= 0 && offset < geometry.volumeBytes) offsets.add(offset);
    }
  }
  return [...offsets];
}

test('every byte has one place, and back', () => {
  eachGeometry((geometry) => {
    const { level, members, chunkBytes, dataChunks } = geometry;
    for (const offset of edges(geometry)) {
      const at = offset as VolumeOffset;
      const { stripe, index, column, slot } = geometry.locate(at);
      const chunk = Math.floor(offset / chunkBytes);
      assert.equal(stripe, Math.floor(chunk / dataChunks));
      assert.equal(index, chunk % dataChunks);
      assert.equal(column, offset % chunkBytes);
      assert.equal(geometry.volumeOffsetOf(stripe, index, column), offset);
      assert.equal(geometry.stripeOf(at), stripe);
      assert.equal(geometry.indexOf(at), index);
      assert.equal(geometry.columnOf(at), column);
      const memberOffset = geometry.memberOffset(stripe, column);
      assert.equal(memberOffset, stripe * chunkBytes + column);
      assert.ok(memberOffset < geometry.memberDataBytes);
      assert.equal(geometry.stripeAtMember(memberOffset), stripe);
      if (level.mirrored) {
        assert.equal(memberOffset, offset);
        assert.equal(geometry.paritySlot(stripe), NONE);
      } else {
        const parity = level.number === 5 ? members - 1 - (stripe % members) : members - 1;
        assert.equal(geometry.paritySlot(stripe), parity);
        assert.equal(slot, level.number === 5 ? (parity + 1 + index) % members : index);
        assert.equal(geometry.indexOfSlot(stripe, slot), index);
        assert.equal(geometry.indexOfSlot(stripe, parity as Slot), NONE);
      }
    }
  });
});

test('the pieces of a range put together are the range', () => {
  eachGeometry((geometry) => {
    const random = randomNumbers(geometry.volumeBytes + geometry.members);
    const offsets = edges(geometry);
    for (let round = 0; round < 60; round += 1) {
      const a = offsets[random(offsets.length)] as number;
      const b = offsets[random(offsets.length)] as number;
      const offset = Math.min(a, b) as VolumeOffset;
      const lengthBytes = Math.abs(a - b) + 1;
      let at: number = offset;
      const last = geometry.stripeOf((offset + lengthBytes - 1) as VolumeOffset);
      for (
        let stripe = geometry.stripeOf(offset);
        stripe <= last;
        stripe = (stripe + 1) as StripeIndex
      ) {
        for (const piece of geometry.piecesOf(stripe, offset, lengthBytes)) {
          assert.equal(geometry.volumeOffsetOf(stripe, piece.index, piece.from), at);
          assert.equal(piece.bufferOffset, at - offset);
          assert.ok(piece.from < piece.to && piece.to <= geometry.columnsOf(stripe));
          at += piece.to - piece.from;
        }
      }
      assert.equal(at, offset + lengthBytes);
      assert.equal(
        geometry.isInOneChunk(offset, lengthBytes),
        at - 1 - offset === 0 || oneChunk(geometry, offset, at),
      );
    }
  });
});

const oneChunk = (geometry: Geometry, offset: number, end: number): boolean =>
  Math.floor(offset / geometry.chunkBytes) === Math.floor((end - 1) / geometry.chunkBytes);

test('only a mirror ends in a short stripe', () => {
  eachGeometry((geometry) => {
    const last = (geometry.stripeCount - 1) as StripeIndex;
    assert.equal(
      geometry.columnsOf(last),
      geometry.level.mirrored ? 7 * SECTOR : geometry.chunkBytes,
    );
    assert.equal(geometry.columnsOf(0 as StripeIndex), geometry.chunkBytes);
    let data = 0;
    for (let stripe = 0; stripe < geometry.stripeCount; stripe += 1) {
      assert.equal(geometry.stripeStart(stripe as StripeIndex), data);
      data += geometry.columnsOf(stripe as StripeIndex) * geometry.dataChunks;
    }
    assert.equal(data, geometry.volumeBytes);
  });
});

test('usable bytes are what the geometry accepts', () => {
  for (const level of levels) {
    const chunkBytes = level.defaultChunkBytes;
    const usable = Geometry.usableBytes(level, chunkBytes, 1_000_000);
    assert.ok(usable <= 1_000_000 && usable > 1_000_000 - Math.max(chunkBytes, SECTOR));
    assert.equal(new Geometry(level, 3, chunkBytes, usable).memberDataBytes, usable);
  }
});

test('a volume of petabytes is exact to the byte', () => {
  for (const level of levels) {
    const members = 8;
    const { defaultChunkBytes: chunkBytes } = level;
    const room = level.mirrored ? 2 ** 52 : 2 ** 49;
    const geometry = new Geometry(level, members, chunkBytes, room);
    for (const offset of [0, 1, 2, chunkBytes, geometry.stripeDataBytes].map(
      (back) => geometry.volumeBytes - 1 - back,
    )) {
      const at = geometry.locate(offset as VolumeOffset);
      assert.equal(geometry.volumeOffsetOf(at.stripe, at.index, at.column), offset);
      assert.equal(BigInt(at.stripe), BigInt(offset) / BigInt(geometry.stripeDataBytes));
      assert.ok(at.stripe < geometry.stripeCount);
    }
    assert.equal(geometry.stripeAtMember((room - 1) as MemberOffset), geometry.stripeCount - 1);
  }
});

test('what cannot be a volume is refused as a bug of the caller', () => {
  const [raid1, , , raid5] = levels;
  assert.ok(raid1 && raid5);
  assert.throws(() => new Geometry(raid5, 2, 64 * KIB, 64 * KIB), /member count/);
  assert.throws(() => new Geometry(raid5, 32, 64 * KIB, 64 * KIB), /member count/);
  assert.throws(() => new Geometry(raid5, 3, 5 * KIB, 64 * KIB), /chunk size/);
  assert.throws(() => new Geometry(raid5, 3, 64 * KIB, 96 * KIB), /whole chunks/);
  assert.throws(() => new Geometry(raid1, 2, 64 * KIB, 100), /member size/);
  assert.throws(() => new Geometry(raid5, 31, 64 * KIB, 2 ** 52), /volume size/);
  const geometry = new Geometry(raid5, 3, 64 * KIB, 64 * KIB);
  assert.throws(() => geometry.locate(geometry.volumeBytes as VolumeOffset), /outside/);
  assert.throws(
    () => geometry.piecesOf(0 as StripeIndex, geometry.stripeDataBytes as VolumeOffset, 1),
    /touch/,
  );
});
