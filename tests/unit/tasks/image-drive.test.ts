/** The simulated drive of an image file: a whole firmware update, and every fault that its sidecar can ask for. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { compareFacts } from '../../../src/core/drive-facts.ts';
import { taskFor } from '../../../src/tasks/open.ts';
import {
  type Fault,
  readSimulated,
  revisionOf,
  sidecarOf,
  writeSimulated,
} from '../../../src/tasks/simulated.ts';
import { driveAt, type Rig, refusedAs, request, rig, until, valueOf } from './rig.ts';

const MIB = 1024 * 1024;

function scene(r: Rig, faults: Fault[] = []) {
  const image = r.image('d0.img');
  const firmware = r.path('fw.bin');
  writeFileSync(firmware, 'LOCUM-FIRMWARE 2.0\nthe code');
  if (faults.length > 0) writeSimulated(image, { faults });
  const asked = request({ imagePath: firmware });
  const drive = driveAt(image, 'image');
  const task = taskFor('image', asked, r.context);
  const flash = async () => [
    await task.stage(drive, asked, r.control()),
    await task.activate(drive, asked, r.control()),
  ];
  return { image, firmware, asked, drive, task, flash };
}

async function answers(task: ReturnType<typeof taskFor>, drive: ReturnType<typeof driveAt>) {
  for (;;) {
    const facts = await task.probe(drive);
    if (facts.ok) return facts.value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('an image file is flashed like a drive: download, activate, gone for a moment, new revision', async (t) => {
  const r = rig(t);
  const { image, drive, task, asked } = scene(r);
  const before = valueOf(await task.probe(drive));
  assert.deepEqual(
    [before.firmware, before.capacityBytes, before.logicalBlockBytes, before.health],
    ['1.0', 4 * MIB, 512, 'ok'],
  );
  assert.ok(existsSync(sidecarOf(image)));
  valueOf(await task.check(drive, before, asked));
  assert.equal(task.stageActivates, false);
  const staged = await task.stage(drive, asked, r.control());
  assert.deepEqual([staged.result, staged.output], ['done', 'firmware 2.0 stored in slot 2\n']);
  assert.equal(valueOf(await task.probe(drive)).firmware, '1.0');
  writeSimulated(image, { activationMs: 3_600_000 });
  assert.equal((await task.activate(drive, asked, r.control())).result, 'done');
  refusedAs(await task.probe(drive), 'drive-no-answer');
  writeSimulated(image, { goneUntil: null });
  const after = await answers(task, drive);
  assert.equal(after.firmware, '2.0');
  assert.equal(compareFacts(before, after), null);
  assert.equal((await task.verify(drive, r.control())).result, 'done');
});

test('the revision of an image is in its first line, or made of its contents', () => {
  assert.equal(revisionOf(Buffer.from('LOCUM-FIRMWARE 3.1-rc \nrest')), '3.1-rc');
  assert.equal(revisionOf(Buffer.from('anything else')), '6206bbb2');
  assert.match(revisionOf(Buffer.from([0, 1, 2])), /^[0-9a-f]{8}$/);
});

test('an earlier slot is made current again without an image', async (t) => {
  const r = rig(t);
  const { image, drive, task, flash } = scene(r);
  writeSimulated(image, { activationMs: 0 });
  await flash();
  assert.equal((await answers(task, drive)).firmware, '2.0');
  const back = request({ firmwareSlot: 1 });
  valueOf(await task.check(drive, valueOf(await task.probe(drive)), back));
  assert.equal((await task.stage(drive, back, r.control())).result, 'done');
  assert.equal((await task.activate(drive, back, r.control())).result, 'done');
  assert.equal((await answers(task, drive)).firmware, '1.0');
});

test('a firmware update needs an image, and one that fits', async (t) => {
  const r = rig(t);
  const { drive, task, firmware } = scene(r);
  const facts = valueOf(await task.probe(drive));
  refusedAs(await task.check(drive, facts, request()), 'image-none');
  const asked = request({ imagePath: firmware, model: 'acme' });
  refusedAs(await task.check(drive, facts, asked), 'drive-wrong-model');
  valueOf(await task.check(drive, facts, request({ imagePath: firmware, model: 'SIMULATED' })));
  valueOf(await task.check(drive, facts, request({ purpose: 'reset' })));
});

const quick = { activationMs: 0 };

for (const step of ['stage', 'activate'] as const) {
  test(`${step}: the drive says that it took the firmware, and did not`, async (t) => {
    const r = rig(t);
    const { image, drive, task, flash } = scene(r, [{ at: step, kind: 'unchanged' }]);
    writeSimulated(image, quick);
    assert.deepEqual(
      (await flash()).map(({ result }) => result),
      ['done', 'done'],
    );
    assert.equal((await answers(task, drive)).firmware, '1.0');
  });

  test(`${step}: another serial, model, block size, capacity; failing; blank`, async (t) => {
    const r = rig(t);
    for (const [kind, what] of [
      ['other-serial', 'serial'],
      ['block-size', 'block-size'],
      ['capacity', 'capacity'],
    ] as const) {
      const { image, drive, task, flash } = scene(r);
      writeSimulated(image, { ...quick, faults: [] });
      const before = valueOf(await task.probe(drive));
      writeSimulated(image, { faults: [{ at: step, kind, times: 1 }] });
      await flash();
      assert.equal(compareFacts(before, await answers(task, drive))?.what, what);
      assert.equal(readSimulated(image).faults[0]!.times, 0, 'it happened once');
    }
    const { image, drive, task, flash } = scene(r);
    writeSimulated(image, {
      ...quick,
      faults: (['failing', 'blank', 'other-model'] as const).map((kind) => ({ at: step, kind })),
    });
    await flash();
    const after = await answers(task, drive);
    assert.equal(after.health, 'failing');
    assert.notEqual(after.healthNote, '');
    assert.match(after.model, / II$/);
    assert.ok(readFileSync(image).every((byte) => byte === 0));
    assert.equal(statSync(image).size, 4 * MIB);
  });

  test(`${step}: gone for good, and gone for a while`, async (t) => {
    const r = rig(t);
    const { image, drive, task, flash } = scene(r, [{ at: step, kind: 'gone', ms: 3_600_000 }]);
    const results = (await flash()).map(({ result }) => result);
    assert.deepEqual(results, ['done', step === 'stage' ? 'failed' : 'done']);
    refusedAs(await task.probe(drive), 'drive-no-answer');
    assert.equal(typeof readSimulated(image).goneUntil, 'number');
    writeSimulated(image, { goneUntil: null, faults: [{ at: step, kind: 'gone' }] });
    await flash();
    assert.equal(readSimulated(image).goneUntil, 'for-good');
    refusedAs(await task.probe(drive), 'drive-no-answer');
  });

  test(`${step}: the tool fails, hangs, floods`, async (t) => {
    const r = rig(t);
    const { image, drive, task, asked } = scene(r);
    if (step === 'activate') await task.stage(drive, asked, r.control());
    const run = (limitMs: number) => task[step](drive, asked, r.control({ limitMs }));
    writeSimulated(image, { faults: [{ at: step, kind: 'fail' }] });
    const failed = await run(60_000);
    assert.deepEqual([failed.result, failed.exitStatus], ['failed', 1]);
    writeSimulated(image, { faults: [{ at: step, kind: 'flood', ms: 300 }] });
    const flooded = await run(60_000);
    assert.equal(flooded.result, 'done');
    assert.ok(flooded.output.length < 200_000);
    assert.equal(readSimulated(image).firmware, step === 'stage' ? '1.0' : '2.0');
  });
}

test('a tool that hangs and does not listen is ended by force, and the drive is as it was', async (t) => {
  const r = rig(t);
  const { drive, task, asked } = scene(r, [{ at: 'stage', kind: 'hang' }]);
  // Time for it to have begun, also on a machine that is busy: a process that is being started listens.
  const result = await task.stage(drive, asked, r.control({ limitMs: 5000 }));
  assert.equal(result.result, 'timed-out');
  assert.match(result.reason, /by force/);
  assert.equal(valueOf(await task.probe(drive)).firmware, '1.0');
});

test('self-tests pass, fail, show how far they are and can be stopped', async (t) => {
  const r = rig(t);
  const { image, drive, task } = scene(r);
  const asked = request({ purpose: 'diagnostics', test: 'short' });
  writeSimulated(image, { selfTestMs: 400 });
  assert.equal((await task.diagnose(drive, asked, r.control())).result, 'done');
  assert.ok(r.progress.length > 0);
  writeSimulated(image, { faults: [{ at: 'diagnose', kind: 'failing' }] });
  assert.equal((await task.diagnose(drive, asked, r.control())).exitStatus, 1);
  writeSimulated(image, { faults: [], selfTestMs: 3_600_000 });
  const stop = new AbortController();
  const running = task.diagnose(drive, asked, r.control({ signal: stop.signal }));
  await until(() => r.started.length === 3);
  stop.abort();
  assert.equal((await running).result, 'stopped');
});

test('a scan and the read test find what cannot be read', async (t) => {
  const r = rig(t);
  const { image, drive, task } = scene(r);
  const scan = request({ purpose: 'diagnostics', test: 'scan' });
  assert.equal((await task.diagnose(drive, scan, r.control())).result, 'done');
  const bad = { kind: 'bad-read', offsetBytes: 3 * MIB, lengthBytes: 512 } as const;
  writeSimulated(image, {
    faults: [
      { at: 'diagnose', ...bad },
      { at: 'verify', ...bad },
    ],
  });
  for (const result of [
    await task.diagnose(drive, scan, r.control()),
    await task.verify(drive, r.control()),
  ]) {
    assert.deepEqual([result.result, result.exitStatus], ['failed', 1]);
    assert.match(result.output, new RegExp(`byte ${3 * MIB}: input/output error`));
  }
  writeFileSync(image, '');
  assert.equal((await task.verify(drive, r.control())).result, 'failed');
});

test('a reset answers again after a moment', async (t) => {
  const r = rig(t);
  const { drive, task } = scene(r);
  const before = valueOf(await task.probe(drive));
  const asked = request({ purpose: 'reset' });
  assert.equal((await task.reset(drive, asked, r.control())).result, 'done');
  assert.deepEqual(await answers(task, drive), before);
});

test('a drive whose image is not there does not answer', async (t) => {
  const r = rig(t);
  const task = taskFor('image', request(), r.context);
  refusedAs(await task.probe(driveAt(r.path('none.img'), 'image')), 'drive-no-answer');
  assert.ok(!existsSync(sidecarOf(r.path('none.img'))));
});

test("a command of the user's own is told everything, runs where the user was, and its output is kept", async (t) => {
  const r = rig(t);
  const { image, firmware, drive } = scene(r);
  const asked = request({
    imagePath: firmware,
    version: '2.0',
    command: `PATH=/usr/bin:/bin; pwd; env | grep ^LOCUM_ | sort; exit 4`,
    commandDirectory: r.directory,
  });
  const task = taskFor('image', asked, r.context);
  assert.equal(task.transport, 'command');
  assert.equal(task.stageActivates, true);
  const facts = valueOf(await task.probe(drive));
  valueOf(await task.check(drive, facts, asked));
  const told = { ...drive, environment: { LOCUM_VOLUME: 'tank', LOCUM_WINDOW: 'w1' } };
  const result = await task.stage(told, asked, r.control());
  assert.deepEqual(
    [result.result, result.exitStatus, result.command],
    ['failed', 4, asked.command],
  );
  assert.equal(
    result.output,
    [
      r.directory,
      `LOCUM_DRIVE_PATH=${image}`,
      'LOCUM_FIRMWARE=1.0',
      `LOCUM_IMAGE=${firmware}`,
      'LOCUM_MODEL=Locum Simulated Drive',
      'LOCUM_PURPOSE=firmware',
      `LOCUM_SERIAL=${facts.serial}`,
      'LOCUM_TRANSPORT=image',
      'LOCUM_VERSION=2.0',
      'LOCUM_VOLUME=tank',
      'LOCUM_WINDOW=w1',
      '',
    ].join('\n'),
  );
  assert.equal((await task.verify(drive, r.control())).result, 'done');
});

test('a sidecar that cannot be read is not taken for a new drive', async (t) => {
  const r = rig(t);
  const { image, drive, task } = scene(r);
  writeFileSync(sidecarOf(image), '{ "serial": "S1", ');
  const outcome = await task.probe(drive);
  refusedAs(outcome, 'drive-no-answer');
  assert.match(JSON.stringify(outcome), /is not valid JSON/);
  writeFileSync(sidecarOf(image), '{ "serial": "S1" }');
  const facts = valueOf(await task.probe(drive));
  assert.deepEqual([facts.serial, facts.firmware], ['S1', '1.0'], 'what is left out is filled in');
});

test('slow is slow, and a command in a directory that is not there is refused before anything', async (t) => {
  const r = rig(t);
  const { drive, task, asked } = scene(r, [{ at: 'stage', kind: 'slow', ms: 300 }]);
  const before = Date.now();
  assert.equal((await task.stage(drive, asked, r.control())).result, 'done');
  assert.ok(Date.now() - before >= 300);
  const lost = request({ command: 'true', commandDirectory: r.path('none') });
  const own = taskFor('image', lost, r.context);
  refusedAs(await own.check(drive, valueOf(await own.probe(drive)), lost), 'argument-invalid');
});
