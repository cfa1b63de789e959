/**
 * The stories of the generator and what they are made of: roles in place of paths, steps that wait for their moment, drives
 * that come back in every condition. Each is shown where it happens, and where it must not.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Coverage } from '../../sim/coverage.ts';
import { generate } from '../../sim/generate.ts';
import type { SimMedium } from '../../sim/medium.ts';
import { givenAsBlank, otherAt, staysAsItIs } from '../../sim/other-drives.ts';
import type { Return, Step } from '../../sim/plan.ts';
import { type RunResult, runPlan } from '../../sim/run.ts';
import type { Scene } from '../../sim/scene.ts';
import { storyOf } from '../../sim/story.ts';
import { openWindow, smallPlan, withoutProbes } from './small-plan.ts';

const run = (steps: Step[]): Promise<RunResult> =>
  runPlan(smallPlan(steps, { latency: 'constant', latencyUs: 50 }), withoutProbes);

const write: Step = { waitUs: 1_000_000, do: 'write', lba: 3, sectors: 9, fua: false };
const second = 1_000_000;
const check: Step = { waitUs: 60 * second, do: 'check' };
const goes = (path: string): Step => ({ waitUs: 0, do: 'vanish', path });
const isBack = (as: Return): Step => ({
  waitUs: 60 * second,
  do: 'reappear',
  path: '@gone 0',
  as,
});

async function hitsOf(steps: Step[]): Promise<Record<string, Record<string, number>>> {
  const { failure, coverage } = await run([write, ...steps, check]);
  assert.equal(failure, null);
  return coverage.asJson().hits;
}

test('who is gone is found when it is back, and a role that nobody has is passed over', async () => {
  const { failure, coverage } = await run([
    write,
    isBack('same'),
    goes('@member 1'),
    isBack('same'),
  ]);
  assert.equal(failure, null);
  assert.equal(coverage.get('steps with nobody to happen to'), 1);
  const { hits } = coverage.asJson();
  assert.deepEqual(hits['F-14 vanishes'], { optimal: 1 });
  assert.deepEqual(hits['F-16 is back, stale'], { degraded: 1 }, 'it has missed what came since');
});

test('a drive that is back before anybody has missed it is the same', async () => {
  const hits = await hitsOf([goes('@leg 1'), { ...isBack('same'), waitUs: 0 }]);
  assert.deepEqual(hits['F-15 is back, the same'], { optimal: 1 });
  assert.equal(hits['F-16 is back, stale'], undefined);
});

test('contents that were kept are what a drive is rolled back to; with none it is blank', async () => {
  const kept: Step = { waitUs: 0, do: 'snapshot', path: '@member 2' };
  const rolled = await hitsOf([kept, write, goes('@member 2'), isBack('snapshot')]);
  assert.deepEqual(rolled['F-16 is back, rolled back'], { degraded: 1 });
  const blank = await hitsOf([goes('@member 2'), isBack('snapshot')]);
  assert.deepEqual(blank['O-6 is back, blank'], { degraded: 1 });
});

test('the drive of a window comes back in any condition, and the volume is whole in the end', async () => {
  const kinds: Return[] = ['same', 'snapshot', 'blank', 'smaller', 'larger', 'cloned'];
  for (const as of kinds) {
    const close: Step = { waitUs: second, do: 'close-window', verify: 'full', rebuild: true };
    const kept: Step = { waitUs: 0, do: 'snapshot' };
    const hits = await hitsOf([kept, openWindow, write, goes('@away 0'), isBack(as), close]);
    const titles = Object.keys(hits).filter((title) => title.includes('is back'));
    assert.equal(titles.length, 1, as);
    assert.deepEqual(Object.keys(hits[titles[0] as string] ?? {}), ['frozen'], as);
  }
});

const close = (rebuild: boolean): Step => ({
  waitUs: second,
  do: 'close-window',
  verify: 'full',
  rebuild,
});

test('the drive of a window is back with other blocks: refused as changed, and taken when it is right again', async () => {
  const { failure, coverage, lines } = await runPlan(
    smallPlan(
      [
        write,
        openWindow,
        write,
        goes('@away 0'),
        isBack('blocks'),
        close(false),
        write,
        { ...goes('@away 0'), waitUs: second },
        isBack('same'),
        close(false),
        { waitUs: 30 * second, do: 'check' },
      ],
      { latency: 'constant', latencyUs: 50 },
    ),
    { ...withoutProbes, keepLines: 1000 },
  );
  assert.equal(failure, null);
  assert.deepEqual(coverage.asJson().hits['F-20 is back, with other blocks'], { frozen: 1 });
  assert.equal(coverage.get('drives with other blocks refused: drive-changed'), 1);
  const answers = lines.filter((line) => line.includes('close-window: '));
  assert.deepEqual(
    answers.map((line) => line.replace(/^.*close-window: /, '')),
    ['drive-changed', 'done'],
  );
});

test('one with other blocks that nobody sets right is, in the end, by the operator', async () => {
  const { failure, coverage, lines } = await runPlan(
    smallPlan([write, openWindow, write, goes('@away 0'), isBack('blocks')], {
      latency: 'constant',
      latencyUs: 50,
    }),
    { ...withoutProbes, keepLines: 1000 },
  );
  assert.equal(failure, null);
  assert.ok(coverage.asJson().hits['F-20 is back, with other blocks']);
  assert.ok(lines.some((line) => line.includes('drive-changed: it has its blocks again')));
});

test('a drive that was used elsewhere is refused at every door, and nothing is written to it', async () => {
  const added: Step = { waitUs: second, do: 'add-back', path: '@former 0' };
  const outside = await run([write, goes('@member 1'), write, isBack('elsewhere'), added, check]);
  assert.equal(outside.failure, null);
  assert.deepEqual(outside.coverage.asJson().hits['F-17 is back, used elsewhere'], { degraded: 1 });
  assert.equal(outside.coverage.get('drives used elsewhere refused: drive-has-data'), 1);
  const gone = [write, openWindow, write, goes('@away 0'), isBack('elsewhere')];
  const inWindow = await run([...gone, close(false), check]);
  assert.equal(inWindow.failure, null);
  assert.equal(inWindow.coverage.get('drives used elsewhere refused: drive-stale'), 1);
  const asBlank = await run([...gone, close(true), check]);
  assert.equal(asBlank.failure, null);
  assert.equal(asBlank.coverage.get('commands done'), 2, 'it is taken as blank');
});

test('a start that finds a drive that was used elsewhere is refused, and goes on without it', async () => {
  const plan = smallPlan([write, goes('@member 1'), write, isBack('elsewhere')], {
    latency: 'constant',
    latencyUs: 50,
  });
  const kill: Step = { waitUs: second, do: 'kill', afterOperations: 0, downUs: 0 };
  const { failure, coverage } = await runPlan(
    { ...plan, steps: [...plan.steps, kill, check] },
    withoutProbes,
  );
  assert.equal(failure, null);
  // By its own label it is the newer one, and no record tells that from an older image of the others.
  assert.equal(coverage.get('starts refused: drive-stale'), 1);
  assert.equal(coverage.get('starts'), 2, 'then one without it');
});

test('a volume that writes to a drive which was used elsewhere is objected to', async () => {
  const bytes = new Uint8Array(16_384);
  const medium = { path: 'd1', bytes, isOpen: true };
  const scene = {
    others: new Map([['d1', 'elsewhere']]),
    givenAway: new Map<string, Uint8Array>(),
    asBlank: [] as string[],
    forkDepth: 0,
    core: { window: null },
    machine: { at: () => medium },
  };
  const writes = (): void =>
    staysAsItIs(scene as unknown as Scene, medium as unknown as SimMedium, 8192);
  const objection = /d1, which was used elsewhere, was written/;
  assert.throws(writes, objection);
  const given = { drivePath: 'd1', rebuild: true };
  await givenAsBlank(scene as unknown as Scene, given, async () => writes());
  assert.throws(writes, objection, 'it was not taken');
  medium.isOpen = false;
  writes();
  medium.isOpen = true;
  bytes[4096] = 1;
  writes();
  assert.equal(otherAt(scene as unknown as Scene, 'd1'), undefined, 'it has another superblock');
  bytes[4096] = 0;
  assert.throws(writes, objection, 'a power cut has taken that back');
});

test('a crash while a drive that was used elsewhere is taken as blank: it still is, or is one of the volume', async () => {
  const gone = [write, openWindow, write, goes('@away 0'), isBack('elsewhere'), close(true)];
  const refused = new Set<string>();
  let taken = 0;
  for (const fate of ['kill', 'nothing', 'chance'] as const) {
    for (let afterOperations = 8; afterOperations < 26; afterOperations++) {
      const crash: Step =
        fate === 'kill'
          ? { waitUs: 0, do: 'kill', afterOperations, downUs: 0 }
          : { waitUs: 0, do: 'power-cut', afterOperations, downUs: 0, fate };
      const { failure, coverage } = await run([...gone, crash, check]);
      assert.equal(failure, null, `${fate} after ${afterOperations} operations`);
      for (const [name] of coverage.counts)
        if (name.startsWith('starts refused: ')) refused.add(name.slice(16));
      if (coverage.get('starts') === 1) taken++;
    }
  }
  assert.deepEqual([...refused], ['drive-stale']);
  assert.ok(taken > 0, 'some crashes come when it is one of the volume');
});

test('a member that was replaced is added again, and takes the place of its successor', async () => {
  const { failure, coverage, lines } = await runPlan(
    smallPlan(
      [
        write,
        { waitUs: 0, do: 'replace', slot: 1 },
        { waitUs: 60 * second, do: 'replace', slot: 1, with: '@former 0' },
        check,
      ],
      { latency: 'none', latencyUs: 0 },
    ),
    { ...withoutProbes, keepLines: 1000 },
  );
  assert.equal(failure, null);
  assert.equal(coverage.get('commands done') + coverage.get('commands refused'), 2);
  assert.ok(lines.some((line) => /drive-has-data|replace: done/.test(line)));
});

test('a step waits for its moment, and one whose moment never comes is not taken', async () => {
  const slow = (stage: 'rebuilding' | 'replaying'): Step => ({
    waitUs: 0,
    do: 'slow',
    path: '@member 0',
    factor: 10,
    when: { stage, operations: 3 },
  });
  const { failure, coverage } = await run([
    write,
    slow('rebuilding'),
    slow('replaying'),
    { waitUs: 5 * second, do: 'replace', slot: 1 },
    check,
  ]);
  assert.equal(failure, null);
  assert.deepEqual(coverage.asJson().hits['F-9 slow'], { rebuilding: 1 });
  assert.equal(coverage.get('steps whose moment came'), 1);
  assert.equal(coverage.get('steps whose moment never came'), 1);
});

test('a copy is refused beside its original, and kept back while that one cannot be found', async () => {
  const copied: Step[] = [write, goes('d1'), { ...isBack('cloned'), waitUs: 0 }];
  // What is in the stripe log a start would write to a copy as well: others until the image of the first is released.
  const others = Array.from(
    { length: 200 },
    (): Step => ({ ...write, waitUs: 10_000, lba: 0, sectors: 128 }),
  );
  const more: Step[] = [{ ...write, lba: 200, sectors: 48 }, ...others];
  const kill: Step = { waitUs: 0, do: 'kill', afterOperations: 0, downUs: 0 };
  const beside = await run([...copied, ...more, kill, check]);
  assert.equal(beside.failure, null);
  assert.equal(beside.coverage.get('starts refused: member-cloned'), 1);
  const alone = await run([...copied, ...more, { waitUs: 0, do: 'hang', path: 'd1' }, kill, check]);
  assert.equal(alone.failure, null, 'nobody reads what the copy lacks');
  assert.equal(alone.coverage.get('starts refused: member-cloned'), 0);
  const looked = alone.coverage.asJson().hits['everything looked at'];
  assert.ok((looked?.['degraded'] ?? 0) > 0, 'it starts without either of them');
});

test('a story says what a step waits for', () => {
  const steps: Step[] = [{ ...goes('@leg 0'), when: { stage: 'resyncing', operations: 2 } }];
  const told = storyOf(smallPlan(steps, { latency: 'none', latencyUs: 0 }), null);
  assert.match(told, /once it is resyncing, 2 operations on: @leg 0 is pulled out/);
});

test('two dozen plans bring drives back in every condition, and meet volumes as they resync', async () => {
  const total = new Coverage();
  for (let seed = 1; seed <= 24; seed++) {
    const plan = generate(seed, { promise: 'covered', hostSteps: 150 });
    const { failure, coverage } = await runPlan(plan, withoutProbes);
    assert.equal(failure, null, `seed ${seed}`);
    total.add(coverage);
  }
  const { hits } = total.asJson();
  const backs = Object.keys(hits).filter((title) => title.includes('is back'));
  assert.equal(backs.length, 9, backs.join('; '));
  const states = new Set(Object.values(hits).flatMap((row) => Object.keys(row)));
  for (const state of ['resyncing', 'rebuilding', 'replaying', 'thawing'])
    assert.ok(states.has(state), state);
});

test('without stories a plan is as it was before there were any', () => {
  const plain = generate(3, { promise: 'covered', hostSteps: 200, acts: false });
  assert.ok(plain.steps.every((step) => step.when === undefined));
  const told = generate(3, { promise: 'covered', hostSteps: 200 });
  const ofStories = told.steps.length - plain.steps.length;
  const rest = told.steps.filter((step) => plain.steps.some((one) => isSame(one, step)));
  assert.ok(ofStories >= 0 && rest.length >= plain.steps.length, 'a story takes no step away');
});

const isSame = (a: Step, b: Step): boolean => JSON.stringify(a) === JSON.stringify(b);
