/** What answers late belongs to the drive that was asked, whoever has its slot by then. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { MemberOffset } from '../../../src/base/units.ts';
import { bit } from '../../../src/engine/members.ts';
import { consistent, reconstruct } from '../../../src/engine/reconstruct.ts';
import { closeRequest, KIB, Scene } from './scene.ts';

for (const level of [1, 5]) {
  test(`RAID ${level}: an error of a drive that was replaced meanwhile is not held against the new one`, async () => {
    const scene = await Scene.make(level, { seed: 330 });
    const { members, sources } = scene.core;
    const { buffers } = sources;
    const asked = members.at(0);
    const buffer = await buffers.takeLater(4 * KIB, 'engine');
    // The slot has another member before the answer is there.
    const read = members.readFrom.bind(members);
    members.readFrom = async (member, ...rest) => {
      const errno = await read(member, ...rest);
      if (member !== asked) return errno;
      members.slots[0] = { ...asked, path: 'another' };
      return EIO;
    };
    const offset = 0 as MemberOffset;
    const made = await reconstruct(sources, 1, bit(1), offset, buffer, 4 * KIB);
    assert.equal(made.errno, EIO);
    assert.equal(made.member, asked);
    members.slots[0] = asked;
    const all = await consistent(sources, offset, buffer, 4 * KIB, 0);
    assert.equal(all.member, asked);
    buffers.give(buffer);
  });
}

test('while a window ends the state says so, and the window stays in the status, until a scrub may begin', async () => {
  const scene = await Scene.make(5, { seed: 331, operationMs: 1 });
  const { world } = scene;
  await scene.put(0, 64);
  await scene.open('1');
  await scene.put(0, 64);
  const closing = world.v.closeWindow(closeRequest());
  closing.catch(() => {});
  let momentsBetween = 0;
  for (let i = 0; i < 60_000 && scene.state !== 'optimal'; i++) {
    if (scene.core.window === null) {
      momentsBetween++;
      assert.equal(world.v.status().window?.state, 'closed');
    }
    await world.pass(1);
  }
  assert.ok(momentsBetween > 0, 'the moment between the record and the change of mode was seen');
  assert.equal(world.v.status().window, null);
  const begun = await world.v.startScrub(false);
  assert.ok(begun.ok, JSON.stringify(begun));
});
