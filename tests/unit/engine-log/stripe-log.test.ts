/**
 * After-images of stripes: durable before they are used, redone in order, released only when all is
 * in place.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import {
  type Address,
  type DriveOffset,
  KIB,
  type MemberOffset,
  type Slot,
} from '../../../src/base/units.ts';
import { decodeLegHeader } from '../../../src/core/format/leg-header.ts';
import { LogStore } from '../../../src/engine/log/log-store.ts';
import { type StripeImage, ZEROES } from '../../../src/engine/log/stripe-image.ts';
import { format, legs, open, smallLimits } from './model.ts';
import { Random, sharedPool, type TestDrive, World } from './world.ts';

const UNIT = 4 * KIB;

/**
 * Members as plain bytes: one number for each 4 KiB of each slot, and what a flush has made
 * durable.
 */
class Members {
  now = new Map<string, number>();
  durable = new Map<string, number>();
  put(slot: number, offset: number, value: number): void {
    this.now.set(`${slot}:${offset}`, value);
  }
  flush = (): Promise<number> => {
    this.durable = new Map(this.now);
    return Promise.resolve(OK);
  };
}

interface Stripe {
  row: number;
  value: number;
}

/**
 * An after-image of one row: three members, each with a value that belongs to the row and its
 * version.
 */
function imagesOf({ row, value }: Stripe): StripeImage[] {
  return [0, 1, 2].map((slot) => {
    const lengthBytes = slot === 1 ? UNIT : 512;
    const address = sharedPool.take(lengthBytes, 'engine');
    new Uint32Array(sharedPool.bytes.buffer, address, lengthBytes / 4).fill(value * 10 + slot);
    return { slot: slot as Slot, memberOffset: (row * UNIT) as MemberOffset, address, lengthBytes };
  });
}

const giveAll = (images: readonly StripeImage[]): void =>
  images.forEach((image) => sharedPool.give(image.address));
const applyTo = (members: Members, images: readonly StripeImage[]): void => {
  for (const { slot, memberOffset, address } of images) {
    members.put(slot, memberOffset, sharedPool.view.getUint32(address, true));
  }
};

async function writeStripe(store: LogStore, members: Members, stripe: Stripe): Promise<number> {
  const images = imagesOf(stripe);
  const { errno, ticket } = await store.stripes.logImages(images);
  if (errno === OK) {
    applyTo(members, images);
    store.stripes.applied(ticket);
  }
  giveAll(images);
  return errno;
}

async function idleStore(world: World, drives: TestDrive[]): Promise<LogStore> {
  const opened = await open(world, drives);
  assert.ok(opened.kind === 'idle');
  return opened.store;
}

const redoInto = (store: LogStore, members: Members): Promise<number> =>
  store.stripes.redo((images) => {
    applyTo(members, images);
    return Promise.resolve(OK);
  });

test('images that were logged are redone after a crash, in order, as often as one likes', async () => {
  const world = new World(1);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  store.stripes.flushMembers = members.flush;
  for (let value = 1; value <= 20; value++)
    await writeStripe(store, members, { row: value % 5, value });
  const images = drives.map((drive) => drive.afterPowerCut(world));
  await store.close();
  // The members lost everything that was not flushed: all of it.
  const lost = new Members();
  for (let round = 0; round < 2; round++) {
    const again = await idleStore(
      world,
      images.map((drive) => drive.copy()),
    );
    assert.equal(again.stripes.pendingSegments, 20);
    assert.equal(again.stripes.lostSegments, 0);
    assert.equal(await redoInto(again, lost), OK);
    assert.deepEqual(lost.now, members.now);
    await again.close();
  }
  const last = await idleStore(world, images);
  await redoInto(last, lost);
  assert.equal(await last.stripes.releaseAll(), OK);
  await last.close();
  const released = await idleStore(
    world,
    images.map((drive) => drive.copy()),
  );
  assert.equal(released.stripes.pendingSegments, 0);
  await released.close();
});

test('a redo that is cut short has put no older image over a newer one: of each place the newest is written', async () => {
  const world = new World(12);
  const drives = legs(world);
  const store = await format(world, drives);
  store.stripes.flushMembers = () => Promise.resolve(OK);
  const image = (slot: number, from: number, sectors: number, fill: number): StripeImage => {
    const lengthBytes = 512 * sectors;
    const address = fill === 0 ? ZEROES : sharedPool.take(lengthBytes, 'engine');
    if (fill > 0) sharedPool.bytes.fill(fill, address, address + lengthBytes);
    const memberOffset = (512 * from) as MemberOffset;
    return { slot: slot as Slot, memberOffset, address, lengthBytes };
  };
  for (const images of [
    [image(0, 0, 8, 1), image(1, 0, 8, 2)],
    [image(0, 2, 2, 3), image(1, 0, 8, 4)],
    [image(0, 7, 4, 0)],
  ]) {
    const { ticket } = await store.stripes.logImages(images);
    store.stripes.applied(ticket);
    giveAll(images.filter(({ address }) => address !== ZEROES));
  }
  const killed = drives.map((drive) => drive.afterKill(world));
  await store.close();
  const again = await idleStore(world, killed);
  const written: string[] = [];
  const redone = await again.stripes.redo((images) => {
    for (const { slot, memberOffset, address, lengthBytes } of images) {
      const bytes = sharedPool.bytes.subarray(address, address + lengthBytes);
      const fill = address === ZEROES ? 0 : bytes[0];
      if (address !== ZEROES) assert.ok(bytes.every((byte) => byte === fill));
      written.push(`slot ${slot}: ${memberOffset / 512}+${lengthBytes / 512} is ${fill}`);
    }
    return Promise.resolve(OK);
  });
  assert.equal(redone, OK);
  assert.deepEqual(written, [
    'slot 0: 0+2 is 1',
    'slot 0: 4+3 is 1',
    'slot 0: 2+2 is 3',
    'slot 1: 0+8 is 4',
    'slot 0: 7+4 is 0',
  ]);
  await again.close();
});

test('killed before the flush of an image, and without power in the redo of it: it is redone again', async () => {
  const world = new World(11);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  let killed: TestDrive[] = [];
  const [first] = drives as [TestDrive, ...TestDrive[]];
  const flush = first.flush.bind(first);
  first.flush = () => {
    if (killed.length === 0) killed = drives.map((drive) => drive.afterKill(world));
    return flush();
  };
  await writeStripe(store, members, { row: 1, value: 1 });
  await store.close();
  const again = await idleStore(world, killed);
  assert.equal(again.stripes.pendingSegments, 1);
  const left: TestDrive[] = [];
  const redone = await again.stripes.redo(() => {
    // Several times: one may leave by chance what nobody has flushed.
    for (let cut = 0; cut < 8; cut++)
      left.push(...killed.map((drive) => drive.afterPowerCut(world)));
    return Promise.resolve(OK);
  });
  assert.equal(redone, OK);
  await again.close();
  for (const drive of left) {
    const last = await idleStore(world, [drive]);
    assert.equal(last.stripes.pendingSegments, 1);
    await last.close();
  }
});

test('one flush serves all calls that came together, and each call is in one piece', async () => {
  const world = new World(2);
  const store = await format(world, legs(world));
  const members = new Members();
  const before = world.operations;
  await Promise.all(
    Array.from({ length: 30 }, (_, row) => writeStripe(store, members, { row, value: row })),
  );
  // One write and one flush for each leg.
  assert.equal(world.operations - before, 4);
  await store.close();
});

test('halves take turns: a half is used again only after its images are applied and the members flushed', async () => {
  const world = new World(3);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  let flushes = 0;
  store.stripes.flushMembers = () => {
    flushes++;
    return members.flush();
  };
  const random = new Random(3);
  let value = 0;
  const worker = async (worker: number): Promise<void> => {
    for (let i = 0; i < 120; i++) {
      const row = worker * 8 + random.below(8);
      assert.equal(await writeStripe(store, members, { row, value: ++value }), OK);
    }
  };
  await Promise.all([0, 1, 2, 3].map(worker));
  assert.ok(flushes >= 2, `${flushes} flushes`);
  const images = drives.map((drive) => drive.copy());
  await store.close();
  const again = await idleStore(world, images);
  const crashed = new Members();
  crashed.now = new Map(members.durable);
  await redoInto(again, crashed);
  assert.deepEqual(crashed.now, members.now);
  await again.close();
});

test('an image that is not applied keeps its half: nothing overwrites it, however long that takes', async () => {
  const world = new World(4);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  let flushes = 0;
  store.stripes.flushMembers = () => {
    flushes++;
    return members.flush();
  };
  const first = imagesOf({ row: 0, value: 7777 });
  const { ticket } = await store.stripes.logImages(first);
  let answered = 0;
  const writer = (async () => {
    // A half has 512 blocks, a stripe takes four.
    for (let value = 1; value <= 300; value++) {
      await writeStripe(store, members, { row: 1 + (value % 9), value });
      answered = value;
    }
  })();
  // Much longer than it takes to fill both halves.
  for (let turn = 0; turn < 100_000; turn++) await Promise.resolve();
  assert.ok(answered > 200 && answered < 300, `${answered} answered`);
  const images = drives.map((drive) => drive.copy());
  applyTo(members, first);
  store.stripes.applied(ticket);
  giveAll(first);
  await writer;
  assert.ok(flushes > 0);
  await store.close();
  const again = await idleStore(world, images);
  const redone = new Members();
  await redoInto(again, redone);
  assert.equal(redone.now.get('1:0'), 7777 * 10 + 1);
  await again.close();
});

test('crash at every drive operation: each row is what was applied last, or a later one', async () => {
  for (const crash of ['kill', 'power'] as const) {
    for (let stopAt = 0; ; stopAt += 7) {
      const world = new World(stopAt);
      const drives = legs(world);
      const store = await format(world, drives);
      const members = new Members();
      store.stripes.flushMembers = async () => {
        // The members' flush stops with the world, like everything else.
        if (world.step()) return EIO;
        return members.flush();
      };
      const answered = new Map<number, number>();
      const under = new Map<number, number>();
      let durable: Map<string, number> = new Map();
      world.stopAt = world.operations + stopAt;
      world.onStop = () => (durable = new Map(members.durable));
      let value = 0;
      const worker = async (row: number): Promise<void> => {
        for (let i = 0; i < 40 && !world.stopped; i++) {
          const next = ++value;
          under.set(row, next);
          if ((await writeStripe(store, members, { row, value: next })) === OK)
            answered.set(row, next);
        }
      };
      await Promise.all(Array.from({ length: 5 }, (_, row) => worker(row)));
      const reached = world.stopped;
      if (!reached) durable = new Map(members.durable);
      const next = new World(stopAt);
      const images = drives.map((drive) =>
        crash === 'kill' ? drive.afterKill(next) : drive.afterPowerCut(next),
      );
      await store.close();
      const again = await idleStore(next, images);
      assert.equal(again.stripes.lostSegments, 0);
      const after = new Members();
      after.now = durable;
      assert.equal(await redoInto(again, after), OK);
      for (const [row, least] of answered) {
        const values = [0, 1, 2].map((slot) => after.now.get(`${slot}:${row * UNIT}`)! - slot);
        assert.ok(
          values.every((each) => each === values[0]),
          `row ${row} is torn: ${values.join()}`,
        );
        const seen = values[0]! / 10;
        assert.ok(
          seen >= least && seen <= under.get(row)!,
          `row ${row} is ${seen}, ${least} was answered`,
        );
      }
      await again.stripes.releaseAll();
      await again.close();
      if (!reached) break;
    }
  }
});

test('after releaseAll nothing is redone, across crashes and with the halves used again', async () => {
  const world = new World(5);
  let drives = legs(world);
  let store = await format(world, drives);
  for (let round = 0; round < 6; round++) {
    const members = new Members();
    store.stripes.flushMembers = members.flush;
    for (let value = 0; value < 50; value++)
      await writeStripe(store, members, { row: value, value });
    assert.equal(await store.stripes.releaseAll(), OK);
    // Two more after the release: only these may come back.
    await writeStripe(store, members, { row: 1, value: 1000 + round });
    await writeStripe(store, members, { row: 2, value: 2000 + round });
    const images = drives.map((drive) => drive.afterPowerCut(world));
    await store.close();
    store = await idleStore(world, images);
    drives = images;
    const seen = new Members();
    await redoInto(store, seen);
    assert.equal(seen.now.size, 6, `round ${round}`);
    assert.equal(seen.now.get(`1:${UNIT}`), (1000 + round) * 10 + 1);
    await store.stripes.releaseAll();
  }
  await store.close();
});

test('an image spoilt on one leg comes from the other; on both it is counted as lost', async () => {
  const world = new World(6);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  for (let value = 0; value < 6; value++) await writeStripe(store, members, { row: value, value });
  const images = drives.map((drive) => drive.copy());
  await store.close();
  const { stripesOffset } = decodeLegHeader(images[0]!.get(0, 4096))!.layout;
  const third = stripesOffset + 2 * 4 * 4096 + 4096;
  const one = images.map((drive) => drive.copy());
  one[1]!.corrupt(third);
  const again = await idleStore(world, one);
  assert.equal(again.stripes.pendingSegments, 6);
  const redone = new Members();
  await redoInto(again, redone);
  assert.deepEqual(redone.now, members.now);
  await again.close();
  const both = images.map((drive) => drive.copy());
  for (const drive of both) drive.corrupt(third);
  const damaged = await idleStore(world, both);
  assert.equal(damaged.stripes.lostSegments, 1);
  assert.equal(damaged.stripes.pendingSegments, 5);
  await damaged.close();
});

test('a leg fails at each operation: images are redone from the other', async () => {
  for (let after = 0; after < 24; after++) {
    const world = new World(after);
    const drives = legs(world);
    const store = await format(world, drives);
    const members = new Members();
    let count = 0;
    world.fault = (drive, operation) =>
      drive.path === 'leg0' && operation !== 'read' && count++ >= after ? 5 : OK;
    for (let value = 0; value < 12; value++) {
      assert.equal(await writeStripe(store, members, { row: value % 3, value }), OK);
    }
    const images = drives.map((drive) => drive.afterPowerCut(world));
    await store.close();
    const next = new World(after);
    const again = await idleStore(
      next,
      images.map((drive) => drive.copy(next)),
    );
    const redone = new Members();
    await redoInto(again, redone);
    assert.deepEqual(redone.now, members.now);
    await again.close();
  }
});

test('without legs there are no tickets', async () => {
  const world = new World(8);
  const store = await format(world, legs(world), smallLimits);
  world.fault = (_drive, operation) => (operation === 'flush' ? 5 : OK);
  assert.equal(await writeStripe(store, new Members(), { row: 1, value: 1 }), EIO);
  assert.equal(await writeStripe(store, new Members(), { row: 1, value: 2 }), EIO);
  await store.close();
});

test('the stripe log works beside a window and outlives its epochs', async () => {
  const world = new World(9);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  await writeStripe(store, members, { row: 1, value: 1 });
  await store.beginEpoch('aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee');
  await store.window!.append(2, 0, 8, 0 as Address);
  await writeStripe(store, members, { row: 2, value: 2 });
  await store.endEpoch();
  const images = drives.map((drive) => drive.copy());
  await store.close();
  const again = await idleStore(world, images);
  assert.equal(again.stripes.pendingSegments, 2);
  await again.close();
});

test('a torn image that a start finds alone was never answered, and is not owed by what comes after it', async () => {
  const world = new World(40);
  const drives = legs(world);
  const store = await format(world, drives);
  const members = new Members();
  store.stripes.flushMembers = members.flush;
  let segmentAt = 0;
  world.fault = (_, operation, offset) => {
    if (operation === 'write') segmentAt = offset;
    return OK;
  };
  await writeStripe(store, members, { row: 0, value: 1 });
  world.fault = () => OK;
  const garbage = sharedPool.take(UNIT, 'engine');
  sharedPool.slice(garbage, UNIT).fill(0x5a);
  const torn = drives.map((drive) => drive.copy());
  for (const drive of torn) await drive.write((segmentAt + UNIT) as DriveOffset, garbage, UNIT);
  sharedPool.give(garbage);
  await store.close();

  const second = await idleStore(world, torn);
  assert.equal(second.stripes.pendingSegments, 0);
  second.stripes.flushMembers = members.flush;
  await writeStripe(second, members, { row: 1, value: 2 });
  const crashed = torn.map((drive) => drive.copy());
  await second.close();

  const third = await idleStore(world, crashed);
  assert.equal(third.stripes.lostSegments, 0);
  assert.equal(third.stripes.pendingSegments, 1);
  await third.close();
});
