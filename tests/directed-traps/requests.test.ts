/** Traps on the way of a request: T11, T16, T20 of the list of faults. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../src/base/errno.ts';
import { MIB } from '../../src/base/units.ts';
import { SECTOR } from '../unit/engine/flat-model.ts';
import { KIB, Scene } from '../unit/engine/scene.ts';
import {
  FLUSH,
  pattern,
  Rig,
  request,
  settle,
  simpleReplies,
  write,
} from '../unit/nbd/session-rig.ts';

test('T11: a flush on one connection covers the writes of another', async () => {
  const rig = new Rig({ poolBytes: 8 * MIB });
  const writer = rig.connect();
  const flusher = rig.connect();
  writer.feed(write(1, 0, pattern(4 * KIB, 11)));
  await settle();
  assert.equal(simpleReplies(writer.output).get(1)?.errno, 0);
  assert.equal(rig.device.flushes, 0);
  flusher.feed(request(FLUSH, 2, 0, 0));
  await settle();
  assert.equal(simpleReplies(flusher.output).get(2)?.errno, 0);
  assert.equal(rig.device.flushes, 1, 'the device was flushed');
  writer.end();
  flusher.end();
  await rig.finish();
});

test('T16: a long write keeps its buffers until its last piece is written', async () => {
  const rig = new Rig({ poolBytes: 8 * MIB, sizeBytes: 8 * MIB });
  const stream = rig.connect();
  const data = pattern(2 * MIB, 16);
  let late: () => void = () => {};
  rig.device.before = (operation, offset) =>
    operation === 'write' && offset === 0 ? new Promise((resolve) => (late = () => resolve(0))) : 0;
  stream.feed(write(1, 0, data));
  await settle();
  assert.equal(rig.device.inFlight, 1, 'one piece is still on its way');
  assert.equal(stream.output.length, 0, 'not answered');
  // Whoever takes a buffer now must not get that of the piece.
  stream.feed(write(2, 4 * MIB, pattern(MIB, 17)));
  await settle();
  late();
  await settle();
  const replies = simpleReplies(stream.output);
  assert.deepEqual([replies.get(1)?.errno, replies.get(2)?.errno], [0, 0]);
  assert.equal(
    Buffer.compare(rig.device.bytes.subarray(0, data.length), data),
    0,
    'torn in memory',
  );
  stream.end();
  await rig.finish();
});

test('T20: bytes within a sector that cannot be read; a whole sector needs no base', async () => {
  const scene = await Scene.make(5, { seed: 20 });
  const { world, core } = scene;
  await scene.put(0, scene.model.sectors > 64 ? 64 : 32);
  await scene.flush();
  await scene.open('1', { onDoubleAbsence: 'error' });
  assert.ok((await world.until(world.v.failDrive('0'))).ok);
  // Sector 0 of a chunk that was on one of the two.
  const index = [0, 1, 2].find(
    (i) => core.members.at(core.geometry.dataSlot(0 as never, i)).drive === null,
  );
  assert.ok(index !== undefined);
  const start = (index * core.geometry.chunkBytes) / SECTOR;
  assert.equal((await world.until(world.read(start * SECTOR, SECTOR))).errno, EIO);
  const errno = await world.until(world.write(start * SECTOR + 100, new Uint8Array(50).fill(7)));
  assert.equal(errno, EIO, 'bytes cannot be merged with a sector that nobody can read');
  assert.ok(!core.log?.overlay.anyIn(start, 1), 'and nothing of it is stored');
  await scene.put(start, 1);
  await scene.check('the whole sector', start, 1);
  assert.equal(
    (await world.until(world.read((start + 1) * SECTOR, SECTOR))).errno,
    EIO,
    'its neighbour',
  );
  const merged = await world.until(world.write(start * SECTOR + 100, new Uint8Array(50).fill(7)));
  assert.equal(merged, 0, 'now there is a base');
});
