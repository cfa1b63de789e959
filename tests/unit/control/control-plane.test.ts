import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Control } from '../../../src/control/control-plane.ts';
import { EventLog } from '../../../src/control/event-log.ts';
import { KnownVolumes } from '../../../src/control/known-volumes.ts';
import { openRolloutStore } from '../../../src/control/rollouts/rollout-store.ts';
import { openRunStore } from '../../../src/control/runs/run-store.ts';
import type { RunTools } from '../../../src/control/runs/run-tools.ts';
import { WindowHistory } from '../../../src/control/window-history.ts';
import { done, type Outcome, refuse } from '../../../src/core/problems.ts';
import { FakeVolume } from './fake-volume.ts';

const endings = new WeakMap<TestContext, (() => Promise<void>)[]>();

/** As `t.after`, but the last one first: a restarted server ends before the folder goes. */
function atEnd(t: TestContext, end: () => Promise<void>): void {
  const list = endings.get(t);
  if (list) return void list.unshift(end);
  const all = [end];
  endings.set(t, all);
  t.after(async () => {
    for (const each of all) await each();
  });
}

/** A server's control plane in a folder; `restart` makes a second one from what the first left there. */
async function scene(t: TestContext, reuse?: string) {
  const state = reuse ?? mkdtempSync('/tmp/locum-control-');
  const volumes: FakeVolume[] = [];
  const prepare: ((volume: FakeVolume) => void)[] = [];
  const lost: string[] = [];
  const known = await KnownVolumes.load(join(state, 'volumes.json'));
  assert.ok(known.ok);
  const events = await EventLog.open(join(state, 'events.jsonl'), () => 0, assert.fail);
  const history = await WindowHistory.open(join(state, 'windows.jsonl'), assert.fail);
  const control = new Control({
    server: () => ({
      version: '0',
      pid: 1,
      startedAt: '',
      stateDirectory: state,
      io: 'node',
      ioReason: '',
      listen: ['unix:/run/nbd.sock'],
    }),
    known: known.value,
    events,
    history,
    startThread: () => {
      const volume = new FakeVolume();
      prepare.shift()?.(volume);
      volumes.push(volume);
      return volume.thread();
    },
    onDisconnected: () => {},
    onVolumeLost: (name) => lost.push(name),
    onTrouble: assert.fail,
    wallMs: () => 0,
    rollouts: await openRolloutStore(join(state, 'rollouts'), assert.fail),
    runs: await openRunStore(join(state, 'runs'), assert.fail),
    tools: {
      placeOf: async (path) => ({ identity: path, disk: null, file: null, fileDisk: null }),
      wholeDrive: async (path) =>
        done({ key: path, path, transport: 'image', parts: [path], sitsOn: [] }),
      checkUnused: (() => done(undefined)) as RunTools['checkUnused'],
    } as RunTools,
    windowGroupsFile: null,
    onFault: (error) => assert.fail(String(error)),
    timing: { heartbeatMs: 10, snapshotLimitMs: 500, alarmAfterMs: 400, giveUpAfterMs: 1_500 },
  });
  atEnd(t, async () => {
    await control.close();
    await Promise.all([events.flush(), history.flush()]);
    await known.value.save();
    if (!reuse) rmSync(state, { recursive: true, force: true });
  });
  const paths = (...names: string[]) => names.map((name) => join(state, name));
  const create = (name: string, drives = paths(`${name}-0`, `${name}-1`)) =>
    control.handlers.volumeCreate({
      params: {},
      query: {},
      body: { name, level: 1, drives, logs: [] },
    });
  return {
    state,
    control,
    volumes,
    prepare,
    lost,
    events,
    history,
    create,
    paths,
    handlers: control.handlers,
  };
}

const code = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.problem.code);
const on = <B extends object>(volume: string, body = {} as B) => ({
  params: { volume },
  query: {},
  body,
});
const nothing = { params: {}, query: {}, body: {} };

test('a volume is created, listed, exported, stopped and started again', async (t) => {
  const { control, create, handlers, volumes } = await scene(t);
  assert.equal(code(await create('v1')), 'ok');
  assert.deepEqual(
    control.exports().map(({ name }) => name),
    ['v1'],
  );
  const shown = await handlers.volumeExport(on('v1'));
  assert.deepEqual(shown.ok && shown.value.listen, ['unix:/run/nbd.sock']);
  assert.equal(code(await handlers.volumeStop(on('v1'))), 'ok');
  assert.ok(volumes[0]!.stopped && volumes[0]!.terminated);
  assert.deepEqual(control.exports(), []);
  const status = await handlers.volumeStatus(on('v1'));
  assert.ok(status.ok);
  assert.equal(status.value.volumes[0]!.state, 'halted');
  assert.equal(status.value.volumes[0]!.alarms[0]!.code, 'volume-stopped');
  assert.equal(code(await handlers.driveFail(on('v1', { drive: '0' }))), 'volume-not-running');
  const again = await handlers.volumeAssemble({
    ...nothing,
    body: { name: 'v1', drives: [], logs: [] },
  });
  assert.equal(code(again), 'ok');
  assert.deepEqual(volumes[1]!.drives, volumes[0]!.drives, 'from the remembered paths');
});

test('names: unknown, taken and impossible ones', async (t) => {
  const { create, handlers } = await scene(t);
  await create('v1');
  assert.equal(code(await create('v1')), 'volume-exists');
  assert.equal(code(await create('../etc')), 'volume-name-invalid');
  assert.equal(code(await handlers.volumeStatus(on('v2'))), 'volume-unknown');
  assert.equal(code(await handlers.windowClose(on('v2'))), 'volume-unknown');
  const assemble = { ...nothing, body: { name: 'v2', drives: [], logs: [] } };
  assert.equal(code(await handlers.volumeAssemble(assemble)), 'volume-unknown');
});

test('two creations of one name at the same moment: one of them is refused', async (t) => {
  const { create, paths } = await scene(t);
  const both = await Promise.all([create('v1'), create('v1', paths('x', 'y'))]);
  assert.deepEqual(both.map(code).sort(), ['ok', 'volume-wrong-state']);
});

test('the drives of one volume are refused to another, running or not', async (t) => {
  const { create, handlers, paths } = await scene(t);
  await create('v1', paths('a', 'b'));
  assert.equal(code(await create('v2', paths('b', 'c'))), 'drive-in-other-volume');
  assert.equal(code(await create('v2', paths('c', 'd'))), 'ok');
  assert.equal(
    code(await handlers.driveAdd(on('v2', { path: paths('a')[0]! }))),
    'drive-in-other-volume',
  );
  assert.equal(
    code(await handlers.windowClose(on('v2', { drivePath: paths('a')[0]! }))),
    'drive-in-other-volume',
  );
  await handlers.volumeStop(on('v1'));
  assert.equal(code(await create('v3', paths('a', 'e'))), 'drive-in-other-volume');
  await handlers.volumeStop(on('v1', { forget: true }));
  assert.equal(code(await create('v3', paths('a', 'e'))), 'ok');
});

test('a drive that was added is claimed and remembered', async (t) => {
  const { state, create, handlers, paths } = await scene(t);
  await create('v1', paths('a', 'b'));
  assert.equal(code(await handlers.driveAdd(on('v1', { path: paths('c')[0]! }))), 'ok');
  assert.equal(code(await create('v2', paths('c', 'd'))), 'drive-in-other-volume');
  const known = await KnownVolumes.load(join(state, 'volumes.json'));
  assert.ok(known.ok);
  assert.deepEqual(known.value.get('v1')?.drives, paths('a', 'b', 'c'));
});

test('a server killed while a drive is added looks for it at the next start, and does without it if it must', async (t) => {
  const before = await scene(t);
  await before.create('v1', before.paths('a', 'b'));
  before.volumes[0]!.adding = true;
  const [path] = before.paths('c') as [string];
  void before.handlers.driveAdd(on('v1', { path }));
  for (let coming: unknown; coming === undefined; await delay(1)) {
    const known = await KnownVolumes.load(join(before.state, 'volumes.json'));
    assert.ok(known.ok);
    coming = known.value.get('v1')?.coming;
  }
  // What a killed server leaves is a copy: the one that is left waiting here still writes to its own folder.
  const left = (name: string): string => {
    const folder = `${before.state}-${name}`;
    mkdirSync(folder);
    atEnd(t, async () => rmSync(folder, { recursive: true }));
    copyFileSync(join(before.state, 'volumes.json'), join(folder, 'volumes.json'));
    return folder;
  };
  const found = await scene(t, left('found'));
  const lost = await scene(t, left('lost'));
  await found.control.startKnown();
  assert.deepEqual(found.volumes[0]?.drives, before.paths('a', 'b', 'c'));
  lost.prepare.push((volume) => {
    volume.refusal = refuse('drive-foreign', { path });
  });
  await lost.control.startKnown();
  assert.deepEqual(lost.volumes[1]?.drives, before.paths('a', 'b'));
  const status = await lost.handlers.status(nothing);
  assert.equal(status.ok && status.value.volumes[0]?.state, 'optimal');
});

test('new legs are claimed and remembered, the former ones are free again', async (t) => {
  const { state, create, handlers, paths } = await scene(t);
  await create('v1', paths('a', 'b'));
  await create('v2', paths('c', 'd'));
  const [leg0, leg1, leg2, taken] = paths('l0', 'l1', 'l2', 'c') as [
    string,
    string,
    string,
    string,
  ];
  const taking = on('v1', { logs: [leg0, taken] });
  assert.equal(code(await handlers.logAdd(taking)), 'drive-in-other-volume');
  assert.equal(code(await handlers.logAdd(on('v1', { logs: [leg0, leg1] }))), 'ok');
  const stealing = on('v1', { leg: '0', with: taken });
  assert.equal(code(await handlers.logReplace(stealing)), 'drive-in-other-volume');
  assert.equal(code(await handlers.logReplace(on('v1', { leg: '0', with: leg2 }))), 'ok');
  assert.equal(code(await handlers.driveAdd(on('v2', { path: leg2 }))), 'leg-in-use');
  assert.equal(code(await handlers.driveAdd(on('v2', { path: leg0 }))), 'ok');
  const known = await KnownVolumes.load(join(state, 'volumes.json'));
  assert.ok(known.ok);
  assert.deepEqual(known.value.get('v1')?.logs, [leg2, leg1]);
});

test('a start that is refused leaves nothing: no volume, no claim, no thread', async (t) => {
  const { create, handlers, prepare, volumes, paths } = await scene(t);
  prepare.push((volume) => {
    volume.refusal = refuse('drive-too-small', { path: '/x' });
  });
  const outcome = await create('v1', paths('a', 'b'));
  assert.equal(code(outcome), 'drive-too-small');
  assert.equal(!outcome.ok && outcome.problem.detail['volume'], 'v1');
  assert.ok(volumes[0]!.terminated);
  const list = await handlers.status(nothing);
  assert.deepEqual(list.ok && list.value.volumes, []);
  assert.equal(code(await create('v2', paths('a', 'b'))), 'ok');
});

test('a restarted server starts what it knows; what cannot start is shown with the reason', async (t) => {
  const before = await scene(t);
  for (const name of ['v1', 'v2', 'v3']) await before.create(name);
  await before.handlers.volumeStop(on('v3'));
  await before.control.close();
  const after = await scene(t, before.state);
  after.prepare.push(
    () => {},
    (volume) => {
      volume.refusal = refuse('log-missing', { volume: 'v2', missing: 'leg 0' });
    },
  );
  await after.control.startKnown();
  assert.equal(after.volumes.length, 2, 'the one that was stopped on request is not started');
  const list = await after.handlers.status(nothing);
  assert.ok(list.ok);
  const [v1, v2, v3] = list.value.volumes;
  assert.equal(v1!.state, 'optimal');
  assert.equal(v2!.state, 'halted');
  assert.equal(v2!.alarms[0]!.code, 'log-missing');
  assert.match(v2!.story.why, /old image/);
  assert.equal(v2!.drives.length, 4, 'as last seen');
  assert.equal(v3!.alarms[0]!.severity, 'info');
  assert.equal(code(await after.handlers.windowShow(on('v2'))), 'volume-not-running');
  assert.ok(after.events.list(0, 'v2', 10).some(({ kind }) => kind === 'volume-not-started'));
  const again = await after.handlers.volumeAssemble({
    ...nothing,
    body: { name: 'v2', drives: [], logs: [] },
  });
  assert.equal(code(again), 'ok');
});

test('a known volume is recognised by its drives alone', async (t) => {
  const { create, handlers, volumes, paths } = await scene(t);
  await create('v1', paths('a', 'b'));
  await handlers.volumeStop(on('v1'));
  const outcome = await handlers.volumeAssemble({
    ...nothing,
    body: { drives: paths('a', 'b'), logs: [] },
  });
  assert.ok(outcome.ok);
  assert.equal(volumes[1]!.name, 'v1');
});

test('drives that bring a name which another volume has are put back', async (t) => {
  const { create, handlers, prepare, volumes, paths } = await scene(t);
  await create('v1', paths('a', 'b'));
  prepare.push((volume) => {
    volume.name = 'v1';
    volume.uuid = 'another';
  });
  const outcome = await handlers.volumeAssemble({
    ...nothing,
    body: { drives: paths('x', 'y'), logs: [] },
  });
  assert.equal(code(outcome), 'volume-exists');
  assert.ok(volumes[1]!.stopped && volumes[1]!.terminated);
});

test('destroying wants the name, and no clients', async (t) => {
  const { control, create, handlers, volumes } = await scene(t);
  await create('v1');
  assert.equal(code(await handlers.volumeDestroy(on('v1', { confirm: 'v2' }))), 'confirm-mismatch');
  await control.connect('v1', { id: 1, opening: {}, transport: {} });
  assert.equal(code(await handlers.volumeDestroy(on('v1', { confirm: 'v1' }))), 'volume-in-use');
  assert.equal(code(await handlers.volumeStop(on('v1'))), 'volume-in-use');
  volumes[0]!.connections = 0;
  assert.equal(code(await handlers.volumeDestroy(on('v1', { confirm: 'v1' }))), 'ok');
  assert.ok(volumes[0]!.destroyed);
  assert.equal(code(await handlers.volumeStatus(on('v1'))), 'volume-unknown');
});

test('a thread that hangs does not hang the status, and its callers are let go', async (t) => {
  const { create, handlers, volumes } = await scene(t);
  await create('v1');
  await create('v2');
  volumes[0]!.stalled = true;
  // Nothing else keeps the process alive while all wait for that thread.
  const alive = setInterval(() => {}, 100);
  const check = handlers.logCheck(on('v1')).finally(() => clearInterval(alive));
  // As long as a snapshot may take: a little longer than it takes until its age is an alarm.
  const list = await handlers.status(nothing);
  assert.ok(list.ok);
  const [v1, v2] = list.value.volumes;
  assert.equal(v1!.alarms[0]!.code, 'volume-stalled');
  assert.equal(v1!.alarms[0]!.severity, 'critical');
  assert.deepEqual(v2!.alarms, []);
  assert.equal(code(await check), 'volume-stalled');
  volumes[0]!.stalled = false;
  const alarmsNow = async (): Promise<readonly unknown[]> => {
    const now = await handlers.volumeStatus(on('v1'));
    return now.ok ? now.value.volumes[0]!.alarms : [now];
  };
  for (let i = 0; i < 1_000 && (await alarmsNow()).length > 0; i++) await delay(10);
  assert.deepEqual(await alarmsNow(), []);
});

test('a thread that dies: an event, a halted volume, and the server goes on', async (t) => {
  const { create, handlers, volumes, lost, events } = await scene(t);
  await create('v1');
  await create('v2');
  const check = handlers.logCheck(on('v1'));
  volumes[0]!.die('an assertion failed');
  assert.equal(code(await check), 'volume-crashed');
  const list = await handlers.status(nothing);
  assert.ok(list.ok);
  assert.equal(list.value.volumes[0]!.state, 'halted');
  assert.match(list.value.volumes[0]!.story.why, /an assertion failed/);
  assert.equal(list.value.volumes[1]!.state, 'optimal');
  assert.deepEqual(lost, ['v1']);
  assert.ok(
    events
      .list(0, 'v1', 10)
      .some(({ kind, severity }) => kind === 'volume-crashed' && severity === 'critical'),
  );
  assert.equal(code(await handlers.driveFail(on('v1', { drive: '0' }))), 'volume-not-running');
});

test('events of volumes are numbered by the server', async (t) => {
  const { create, volumes, events } = await scene(t);
  await create('v1');
  volumes[0]!.emit({
    volume: 'v1',
    kind: 'drive-failed',
    severity: 'critical',
    message: 'Drive 1.',
    detail: { slot: 1 },
  });
  const told = () => events.list(0, 'v1', 10);
  for (let i = 0; i < 1_000 && told().length === 0; i++) await delay(10);
  const [event] = told();
  assert.equal(event!.kind, 'drive-failed');
  assert.ok(event!.sequence > 0);
});

test('windows: shown while open, in the history when they have ended', async (t) => {
  const { create, handlers, volumes } = await scene(t);
  await create('v1');
  assert.equal(code(await handlers.windowShow(on('v1'))), 'window-none');
  await handlers.windowOpen(on('v1', { drive: '1', purpose: 'firmware' as const }));
  assert.equal(code(await handlers.windowShow(on('v1'))), 'ok');
  const open = await handlers.windowList(nothing);
  assert.deepEqual(open.ok && open.value.windows.map(({ id }) => id), ['w17']);
  const none = await handlers.windowHistory(nothing);
  assert.deepEqual(none.ok && none.value.windows, []);
  await handlers.windowClose(on('v1'));
  const ended = await handlers.windowHistory(nothing);
  assert.deepEqual(ended.ok && ended.value.windows.map(({ outcome }) => outcome), ['returned']);
  volumes[0]!.report = null;
  const last = await handlers.windowShow(on('v1'));
  assert.deepEqual(last.ok && [last.value.window?.outcome, last.value.run], ['returned', null]);
  const unknown = await handlers.windowShow({ ...on('v1'), query: { id: 'w1' } });
  assert.equal(code(unknown), 'window-none');
});

test('a window that its volume has forgotten is ended in the history too', async (t) => {
  const { create, handlers, volumes } = await scene(t);
  await create('v1');
  await handlers.windowOpen(on('v1', { drive: '1', purpose: 'firmware' as const }));
  volumes[0]!.report = null;
  const ended = await handlers.windowHistory(nothing);
  assert.deepEqual(ended.ok && ended.value.windows.map(({ id, outcome }) => `${id} ${outcome}`), [
    'w17 ended',
  ]);
});

test('the end of the server stops every volume', async (t) => {
  const { control, create, volumes } = await scene(t);
  await create('v1');
  await create('v2');
  await control.close();
  assert.ok(volumes.every(({ stopped }) => stopped));
  assert.equal(code(await create('v3')), 'volume-wrong-state');
});
