import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Claims } from '../../../src/control/claims.ts';
import { EventLog } from '../../../src/control/event-log.ts';
import { KnownVolumes, lastSeenOf } from '../../../src/control/known-volumes.ts';
import { WindowHistory } from '../../../src/control/window-history.ts';
import { optimalStatus, sampleReport } from '../api/samples.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync('/tmp/locum-control-');
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const known = (name: string) => ({
  name,
  drives: ['/a', '/b'],
  logs: ['/l'],
  stopped: false,
  lastSeen: lastSeenOf(optimalStatus({ name })),
});

test('known volumes survive, and nothing else is left behind', async (t) => {
  const path = join(folder(t), 'volumes.json');
  const list = await KnownVolumes.load(path);
  assert.ok(list.ok);
  list.value.set(known('v1'));
  const writes = [list.value.save(), list.value.save()];
  list.value.set(known('v2'));
  writes.push(list.value.save());
  await Promise.all(writes);
  const again = await KnownVolumes.load(path);
  assert.ok(again.ok);
  assert.deepEqual(again.value.all(), [known('v1'), known('v2')]);
  assert.deepEqual(readdirSync(join(path, '..')), ['volumes.json']);
});

test('a write that was cut off before the rename leaves the old list', async (t) => {
  const path = join(folder(t), 'volumes.json');
  const list = await KnownVolumes.load(path);
  assert.ok(list.ok);
  list.value.set(known('v1'));
  await list.value.save();
  writeFileSync(`${path}.new`, '{"version": 1, "volu');
  const again = await KnownVolumes.load(path);
  assert.ok(again.ok);
  assert.deepEqual(again.value.all(), [known('v1')]);
  again.value.set(known('v2'));
  await again.value.save();
  assert.match(readFileSync(path, 'utf8'), /"v2"/);
});

test('a list that cannot be understood is not overwritten', async (t) => {
  const path = join(folder(t), 'volumes.json');
  for (const text of [
    '{',
    '[]',
    '{"version":9,"volumes":[]}',
    '{"version":1,"volumes":[{"name":1}]}',
  ]) {
    writeFileSync(path, text);
    const list = await KnownVolumes.load(path);
    assert.equal(!list.ok && list.problem.code, 'volume-list-damaged', text);
    assert.equal(readFileSync(path, 'utf8'), text);
  }
});

const event = (kind: string, volume = 'v1') => ({
  volume,
  kind,
  severity: 'info' as const,
  message: kind,
  detail: {},
});

test('events are numbered without gaps across restarts, torn lines included', async (t) => {
  const path = join(folder(t), 'events.jsonl');
  const open = () => EventLog.open(path, () => 0, assert.fail);
  const first = await open();
  first.append(event('a'));
  first.append(event('b', 'v2'));
  await first.flush();
  appendFileSync(path, '{"sequence":3,"at":"19');
  const second = await open();
  assert.equal(second.append(event('c')).sequence, 3);
  await second.flush();
  const third = await open();
  assert.deepEqual(
    third.list(0, null, 10).map(({ sequence, kind }) => `${sequence}${kind}`),
    ['1a', '2b', '3c'],
  );
  assert.deepEqual(
    third.list(1, 'v1', 10).map(({ kind }) => kind),
    ['c'],
  );
  assert.deepEqual(
    third.list(0, null, 1).map(({ kind }) => kind),
    ['c'],
    'the newest count',
  );
});

test('a subscriber gets the past it asked for, then what happens, until it leaves', async (t) => {
  const log = await EventLog.open(join(folder(t), 'events.jsonl'), () => 0, assert.fail);
  log.append(event('a'));
  log.append(event('b'));
  const seen: string[] = [];
  const leave = log.subscribe(1, 'v1', ({ kind }) => seen.push(kind));
  log.append(event('c'));
  log.append(event('d', 'v2'));
  leave();
  log.append(event('e'));
  await log.flush();
  assert.deepEqual(seen, ['b', 'c']);
});

test('the event file is bounded and the numbers go on', async (t) => {
  const path = join(folder(t), 'events.jsonl');
  const log = await EventLog.open(path, () => 0, assert.fail);
  const long = 'x'.repeat(100_000);
  for (let round = 0; round < 200; round += 1) {
    log.append({ ...event('a'), message: long });
    if (round % 20 === 0) await log.flush();
  }
  await log.flush();
  assert.deepEqual(readdirSync(join(path, '..')).sort(), ['events.1.jsonl', 'events.jsonl']);
  const again = await EventLog.open(path, () => 0, assert.fail);
  assert.equal(again.lastSequence, 200);
});

test('an event that cannot be written is reported and still known', async (t) => {
  const troubles: string[] = [];
  const log = await EventLog.open(
    join(folder(t), 'gone', 'events.jsonl'),
    () => 0,
    (reason) => troubles.push(reason),
  );
  log.append(event('a'));
  await log.flush();
  assert.equal(troubles.length, 1);
  assert.equal(log.list(0, null, 1).length, 1);
});

test('window reports: the last word of each counts, counters alone write nothing', async (t) => {
  const path = join(folder(t), 'windows.jsonl');
  const history = await WindowHistory.open(path, assert.fail);
  history.record(sampleReport());
  history.record(sampleReport({ loggedBytes: 999_999 }));
  history.record(
    sampleReport({ state: 'closed', closedAt: '2026-01-01T00:10:00.000Z', outcome: 'returned' }),
  );
  history.record(sampleReport({ id: 'w18' }));
  await history.flush();
  assert.equal(readFileSync(path, 'utf8').trim().split('\n').length, 3);
  const again = await WindowHistory.open(path, assert.fail);
  assert.deepEqual(
    again.ended('v1').map(({ id, outcome }) => `${id} ${outcome}`),
    ['w17 returned'],
  );
  assert.deepEqual(again.ended('v2'), []);
  assert.deepEqual(
    again.open('v1').map(({ id }) => id),
    ['w18'],
  );
});

test('a drive has one volume, whatever it is called', async (t) => {
  const path = folder(t);
  writeFileSync(join(path, 'd0'), '');
  writeFileSync(join(path, 'd1'), '');
  symlinkSync(join(path, 'd0'), join(path, 'alias'));
  const claims = new Claims();
  claims.set('v1', { drives: [join(path, 'd0')], logs: [join(path, 'new')] });
  const code = async (volume: string, ...names: string[]) => {
    const outcome = await claims.check(
      volume,
      names.map((name) => join(path, name)),
    );
    return outcome.ok ? 'free' : outcome.problem.code;
  };
  assert.equal(await code('v2', 'd1'), 'free');
  assert.equal(await code('v2', 'alias'), 'drive-in-other-volume');
  assert.equal(await code('v2', 'new'), 'leg-in-use');
  assert.equal(await code('v1', 'd0', 'new'), 'free');
  assert.equal(await code('v2', 'd1', 'd1'), 'drive-given-twice');
  assert.equal(await code('v1', 'd0', 'alias'), 'drive-given-twice');
  claims.release('v1');
  assert.equal(await code('v2', 'd0'), 'free');
});

test('a drive that is worked on is given to nobody but its holder, not even its own volume', async (t) => {
  const path = folder(t);
  const drive = join(path, 'd0');
  const alias = join(path, 'alias');
  writeFileSync(drive, '');
  symlinkSync(drive, alias);
  const claims = new Claims();
  claims.hold('fw-1 spare-0', { volumes: ['v1'], paths: [drive], work: 'firmware' });
  for (const volume of ['v1', 'v2']) {
    const refused = await claims.check(volume, [alias]);
    assert.ok(!refused.ok, volume);
    assert.equal(refused.problem.code, 'drive-at-work');
    assert.ok(!(await claims.take(volume, { drives: [drive], logs: [] })).ok);
  }
  assert.ok((await claims.check('v1', [drive], 'fw-1 spare-0')).ok);
  claims.letGo('fw-1 spare-0');
  assert.ok((await claims.check('v2', [alias])).ok);
});

test('a window report that finds no room is written as soon as there is some, whole lines before and behind it', async (t) => {
  const path = join(folder(t), 'windows.jsonl');
  writeFileSync(path, '{"id": "torn');
  const troubles: string[] = [];
  const history = await WindowHistory.open(path, (reason) => troubles.push(reason), 5);
  rmSync(path);
  mkdirSync(path);
  history.record(sampleReport());
  const closed = { state: 'closed', closedAt: '2026-01-01T00:10:00.000Z' } as const;
  history.record(sampleReport({ ...closed, outcome: 'thawed' }));
  for (let tries = 0; tries < 5; tries++) await history.flush();
  assert.equal(troubles.length, 1, 'said once');
  rmSync(path, { recursive: true });
  writeFileSync(path, '{"id": "torn');
  while (!readFileSync(path, 'utf8').endsWith('\n')) await delay(5);
  await history.flush();
  const again = await WindowHistory.open(path, assert.fail);
  assert.deepEqual(
    again.ended('v1').map(({ id, outcome }) => `${id} ${outcome}`),
    ['w17 thawed'],
  );
});
