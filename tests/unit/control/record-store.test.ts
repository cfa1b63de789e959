/** The record of work that outlives the server, when its file cannot be written, is damaged, or there are too many. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { readKept, removeKept, writeKept } from '../../../src/control/kept-records.ts';
import { type RecordKind, RecordStore } from '../../../src/control/record-store.ts';
import { openRolloutStore } from '../../../src/control/rollouts/rollout-store.ts';
import { openRunStore } from '../../../src/control/runs/run-store.ts';

interface Work {
  readonly id: string;
  state: string;
  output: string;
}

const workKind: RecordKind<Work> = {
  name: 'work',
  most: 3,
  idOf: ({ id }) => id,
  order: ({ id }) => id,
  isEnded: ({ state }) => state === 'ended',
  parse: (text) => {
    try {
      return JSON.parse(text) as Work;
    } catch {
      return null;
    }
  },
  lighten: (work) => {
    work.output = '';
  },
};

const work = (id: string, state = 'begun'): Work => ({ id, state, output: 'much' });

async function scene(t: TestContext) {
  const folder = mkdtempSync('/tmp/locum-records-');
  const said: string[] = [];
  const open = () => RecordStore.open(workKind, folder, (reason) => void said.push(reason), 5);
  const store = await open();
  t.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, said, open, store };
}

/** A directory where the new file is to be: not even root writes there. */
function inTheWay(...path: string[]): () => void {
  const blocked = `${join(...path)}.new`;
  mkdirSync(blocked);
  return () => rmSync(blocked, { recursive: true });
}

test('a record that cannot be written is said once, and tried again until it can be', async (t) => {
  const { folder, said, store } = await scene(t);
  const [one, other] = [work('one'), work('other')];
  assert.deepEqual([await store.add(one), await store.add(other)], [null, null]);
  const giveWay = inTheWay(folder, 'one.json');
  one.state = 'ended';
  other.state = 'going on';
  assert.deepEqual(
    [await store.save(one), await store.save(one), await store.save(other)],
    [false, false, true],
  );
  assert.deepEqual(said, [store.whyUnwritten('one')]);
  assert.match(said[0]!, /the record of work one cannot be written to \/tmp\/.*: /);
  assert.equal(store.unwritten, said[0], 'what becomes of other ones does not change it');
  assert.equal(one.output, 'much', 'it is not on file yet');
  giveWay();
  while (store.unwritten !== null) await delay(2);
  assert.match(readFileSync(join(folder, 'one.json'), 'utf8'), /"ended","output":"much"/);
  assert.equal(one.output, '');
  assert.equal((await store.whole('one'))?.output, 'much');
});

test('work whose first record cannot be written does not begin, and leaves no half of it behind', async (t) => {
  const { folder, said, open, store } = await scene(t);
  mkdirSync(join(folder, 'one'));
  // The record itself finds room, and its copy does not.
  inTheWay(folder, 'one', 'record.json');
  writeFileSync(join(folder, 'one.json.new'), 'half of an earlier try');
  assert.match(
    (await store.add(work('one'))) ?? '',
    /record of work one cannot be written to \/tmp\/.*: /,
  );
  assert.equal(store.get('one'), null);
  assert.equal(store.unwritten, null, 'nothing that anybody could wait for');
  assert.equal(said.length, 1);
  for (let i = 0; i < 1_000 && readdirSync(folder).length > 0; i++) await delay(10);
  assert.deepEqual(readdirSync(folder), []);
  assert.deepEqual((await open()).all(), []);
  assert.equal(await store.add(work('one')), null, 'and it can be begun later');
});

test('half of a first record is not what the next start takes for begun, were the server killed right then', async (t) => {
  const { folder } = await scene(t);
  mkdirSync(join(folder, 'one'));
  inTheWay(folder, 'one', 'record.json');
  let left: string[] = [];
  const store = await RecordStore.open(workKind, folder, () => {
    left = readdirSync(folder);
  });
  assert.notEqual(await store.add(work('one')), null);
  assert.deepEqual(left, ['one'], 'no one.json at the moment it failed');
  await store.close();
});

test('what is left of a refused record is said as long as it cannot be removed, and removed when it can be', async (t) => {
  const { folder, store } = await scene(t);
  // Neither written over nor removed like a file.
  mkdirSync(join(folder, 'one.json', 'in-the-way'), { recursive: true });
  const why = await store.add(work('one'));
  assert.match(
    why ?? '',
    /cannot be written to .*what is left of it cannot be removed .* for begun/,
  );
  rmSync(join(folder, 'one.json'), { recursive: true });
  writeFileSync(join(folder, 'one.json'), '{}');
  while (readdirSync(folder).length > 0) await delay(2);
});

test('the oldest ended ones go, with all that they left', async (t) => {
  const { folder, store } = await scene(t);
  for (const [id, state] of Object.entries({ a: 'begun', b: 'ended', c: 'ended', d: 'ended' }))
    assert.equal(await store.add(work(id, state)), null);
  assert.deepEqual(
    store.all().map(({ id }) => id),
    ['a', 'c', 'd'],
  );
  assert.ok(!readdirSync(folder).some((name) => name.startsWith('b')));
});

for (const [kind, open] of Object.entries({ runs: openRunStore, rollouts: openRolloutStore })) {
  test(`damaged records of ${kind} are set aside and said, whatever is damaged`, async (t) => {
    const { folder } = await scene(t);
    const texts = ['', '{', 'null', '7', '{}', '{"version":1,"report":{"id":"e"}}'];
    for (const [index, text] of texts.entries()) writeFileSync(join(folder, `${index}.json`), text);
    mkdirSync(join(folder, 'folder.json'));
    const said: string[] = [];
    const store = await open(folder, (reason) => void said.push(reason));
    assert.deepEqual(store.all(), []);
    assert.equal(said.length, texts.length + 1);
    assert.ok(readdirSync(folder).every((name) => name.endsWith('.unreadable')));
  });
}

test('records kept twice: either file will do, neither is lost and said, at every start', async (t) => {
  const { folder } = await scene(t);
  const look = async () => {
    const { kept, lost } = await readKept(folder, workKind.parse);
    return [
      kept.map(({ record, isCopy }) => `${record.id}${isCopy ? ' of the copy' : ''}`),
      lost.map((one) => `${one.id}${one.isNews ? ' new' : ''} ${one.outputs.length}`),
    ];
  };
  for (const id of ['a', 'b', 'c']) await writeKept(folder, id, JSON.stringify({ id }));
  writeFileSync(join(folder, 'b.json'), '{');
  writeFileSync(join(folder, 'c.json'), '{');
  writeFileSync(join(folder, 'c', 'record.json'), '{');
  writeFileSync(join(folder, 'c', 'stage.log.pid'), '1\n');
  assert.deepEqual(await look(), [['a', 'b of the copy'], ['c new 1']]);
  assert.deepEqual(await look(), [['a', 'b'], ['c 1']]);
  await removeKept(folder, 'b');
  await removeKept(folder, 'c');
  assert.deepEqual(await look(), [['a'], []]);
  assert.deepEqual(readdirSync(folder).toSorted(), ['a', 'a.json']);
});
