/** A replacement holds the rest of the drive that goes; the new one may get its name, and is for the run to take. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Machine } from './machine.ts';

/** Drive 1 of tank is to be replaced, and is pulled. Another part of its disk is held; `bay` is what it is plugged into. */
async function pulled(t: TestContext, isNamed: boolean) {
  const folder = mkdtempSync('/tmp/locum-bay-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [old, name, bay] = [join(folder, 'b1'), join(folder, 'b'), join(folder, 'by-path')];
  writeFileSync(name, '');
  symlinkSync(name, bay);
  const machine = await Machine.boot(t);
  for (const part of [old, name]) machine.disks.set(part, 'locum-b');
  await machine.create('tank', 5, ['/dev/a', old, '/dev/c', '/dev/d']);
  await machine.create('other', 1);
  await machine.writeSome('tank', 15);
  const newDrivePath = isNamed ? bay : null;
  const { id } = await machine.run('tank', '1', { purpose: 'replacement', newDrivePath });
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  machine.at(old).vanish();
  return { machine, id, name, bay };
}

test('a run takes the new drive that got the name of the one that it holds', async (t) => {
  const { machine, id, bay } = await pulled(t, true);
  machine.medium(bay);
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.equal((await machine.status('tank')).drives[1]?.path, bay);
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('and so does `window close --drive`, which the run advises; nobody else is given it', async (t) => {
  const { machine, id, name } = await pulled(t, false);
  const { handlers } = machine.control;
  machine.medium(name);
  const on = (volume: string) => ({ params: { volume }, query: {} });
  const stolen = await handlers.driveAdd({ ...on('other'), body: { path: name, spare: true } });
  assert.equal(!stolen.ok && stolen.problem.code, 'drive-at-work');
  const elsewhere = await handlers.windowClose({ ...on('other'), body: { drivePath: name } });
  assert.equal(!elsewhere.ok && elsewhere.problem.code, 'drive-at-work');
  const closed = await handlers.windowClose({ ...on('tank'), body: { drivePath: name } });
  assert.ok(closed.ok, JSON.stringify(closed));
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.equal((await machine.status('tank')).drives[1]?.path, name);
  await machine.verify('tank');
});
