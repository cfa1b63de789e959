/**
 * The checkers of the simulator that look at more than data: what is left behind by a stop, and what the status says. Each
 * is shown a server with one thing wrong, and has to object.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimDrive } from '../../sim/drive.ts';
import { SimMedium } from '../../sim/medium.ts';
import type { Step } from '../../sim/plan.ts';
import { type RunResult, runPlan } from '../../sim/run.ts';
import { LABEL_BYTES } from '../../src/core/format/label.ts';
import { decodeLabel, encodeLabel } from '../../src/core/format/label-codec.ts';
import { Metadata } from '../../src/engine/metadata.ts';
import { Ticker } from '../../src/engine/ticker.ts';
import { Volume } from '../../src/engine/volume.ts';
import { BufferPool } from '../../src/io/buffer-pool.ts';
import { openWindow, smallPlan, withoutProbes } from './small-plan.ts';

const run = (steps: Step[]): Promise<RunResult> =>
  runPlan(smallPlan(steps, { latency: 'constant', latencyUs: 50 }), withoutProbes);

const write: Step = { waitUs: 1_000_000, do: 'write', lba: 3, sectors: 9, fua: false };
const stop: Step[] = [write, { waitUs: 1_000_000, do: 'restart' }];
const gone: Step[] = [
  write,
  { waitUs: 0, do: 'vanish', path: 'd1' },
  { waitUs: 0, do: 'vanish', path: 'leg3' },
  { waitUs: 60_000_000, do: 'check' },
];

test('a stop leaves nothing behind, and what is out is said', async () => {
  const { failure, coverage } = await run([...stop, ...gone]);
  assert.equal(failure, null);
  assert.equal(coverage.get('stops that left nothing behind'), 1);
  assert.equal(coverage.get('alarms held against the drives'), 3);
});

test('a buffer that does not come back is a leak', async (t) => {
  type Give = (this: BufferPool, address: number) => void;
  const give = Object.getOwnPropertyDescriptor(BufferPool.prototype, 'give')?.value as Give;
  let given = 0;
  t.mock.method(BufferPool.prototype, 'give', function (this: BufferPool, address: number) {
    if (++given !== 12) give.call(this, address);
  });
  const { failure } = await run(stop);
  assert.match(`${failure?.checker}: ${failure?.message}`, /^leak: .* bytes of buffers/);
});

test('a task that goes on after a stop is a leak', async (t) => {
  t.mock.method(Ticker.prototype, 'stop', () => Promise.resolve());
  const { failure } = await run(stop);
  assert.match(`${failure?.checker}: ${failure?.message}`, /^leak: .* timers are still set/);
});

test('a drive that is not closed by a stop is a leak, also beside one that owes an answer', async (t) => {
  // 20 s for an answer is more than the deadline: the leg is given up, and quick again before the answer comes.
  const owing: Step[] = [
    { waitUs: 0, do: 'slow', path: 'leg3', factor: 1000 },
    write,
    { waitUs: 15_000_000, do: 'mend', path: 'leg3' },
    { waitUs: 0, do: 'restart' },
  ];
  const stopped = (): Promise<RunResult> =>
    runPlan(smallPlan(owing, { latency: 'constant', latencyUs: 20_000 }), withoutProbes);
  const { failure, coverage } = await stopped();
  assert.equal(failure, null);
  assert.equal(coverage.get('stops that left nothing behind'), 1);
  type Close = SimDrive['close'];
  const close = Object.getOwnPropertyDescriptor(SimDrive.prototype, 'close')?.value as Close;
  t.mock.method(SimDrive.prototype, 'close', function (this: SimDrive) {
    return this.path === 'd1' ? Promise.resolve() : close.call(this);
  });
  const { failure: leak } = await stopped();
  assert.equal(`${leak?.checker}: ${leak?.message}`, 'leak: stopped in step 3: d1 are still open');
});

test('a drive or a leg that is out without an alarm is objected to', async (t) => {
  type Status = Volume['status'];
  const status = Object.getOwnPropertyDescriptor(Volume.prototype, 'status')?.value as Status;
  for (const code of ['drive-failed', 'leg-lost']) {
    const mocked = t.mock.method(Volume.prototype, 'status', function (this: Volume) {
      const said = status.call(this);
      return { ...said, alarms: said.alarms.filter((alarm) => alarm.code !== code) };
    });
    const { failure } = await run(gone);
    mocked.mock.restore();
    assert.equal(failure?.checker, 'said', code);
  }
});

test('a drive that is gone and called online is objected to', async (t) => {
  type Status = Volume['status'];
  const status = Object.getOwnPropertyDescriptor(Volume.prototype, 'status')?.value as Status;
  t.mock.method(Volume.prototype, 'status', function (this: Volume) {
    const said = status.call(this);
    return { ...said, drives: said.drives.map((drive) => ({ ...drive, state: 'online' })) };
  });
  const { failure } = await run(gone);
  assert.match(`${failure?.checker}: ${failure?.message}`, /^said: .*d1 is gone/);
});

test('members whose labels do not say the same are objected to', async (t) => {
  const scrub = { active: false, repair: false, cursorStripe: 0, mismatches: 7 };
  type Store = SimMedium['applyWrite'];
  const store = Object.getOwnPropertyDescriptor(SimMedium.prototype, 'applyWrite')?.value as Store;
  t.mock.method(
    SimMedium.prototype,
    'applyWrite',
    function (this: SimMedium, ...asked: Parameters<Store>) {
      const [offset, data] = asked;
      const label = data.length === LABEL_BYTES ? decodeLabel(data) : null;
      const isItsOwn = this.path === 'd1' && label?.kind === 'label';
      store.call(this, offset, isItsOwn ? encodeLabel({ ...label.value, scrub }) : data);
    },
  );
  const { failure } = await run([write, { waitUs: 60_000_000, do: 'check' }]);
  assert.match(`${failure?.checker}: ${failure?.message}`, /^labels: .* do not say the same/);
});

test('labels that count from the freeze again, as the survivor of a window was left behind', async () => {
  const relabel: Step = { waitUs: 100_000, do: 'extend-window', byMs: 1000 };
  const check: Step = { waitUs: 1_000_000, do: 'check' };
  const steps: Step[] = [
    write,
    openWindow,
    ...Array<Step>(9).fill(relabel),
    check,
    { waitUs: 0, do: 'vanish', path: 'd1' },
    { waitUs: 0, do: 'kill', afterOperations: 0, downUs: 0 },
    check,
    { waitUs: 0, do: 'reappear', path: 'd1', as: 'same' },
    check,
  ];
  const plan = smallPlan(steps, { latency: 'constant', latencyUs: 50 });
  const config = { ...plan.config, level: 1, members: 2, chunkBytes: null };
  const { failure, coverage } = await runPlan({ ...plan, config }, withoutProbes);
  assert.equal(failure, null);
  assert.equal(coverage.get('times at rest'), 5);
});

test('labels that count from one again with no member left behind are objected to', async (t) => {
  type Begin = Metadata['newGeneration'];
  const begin = Object.getOwnPropertyDescriptor(Metadata.prototype, 'newGeneration')
    ?.value as Begin;
  t.mock.method(Metadata.prototype, 'newGeneration', function (this: Metadata) {
    begin.call(this);
    this.sequence = 0;
  });
  const { failure } = await run([
    { waitUs: 1_000_000, do: 'restart' },
    { waitUs: 1_000_000, do: 'check' },
    { waitUs: 0, do: 'fail', slot: 1 },
    { waitUs: 1_000_000, do: 'check' },
  ]);
  assert.match(`${failure?.checker}: ${failure?.message}`, /^events: .* label of d0 went back/);
});

test('two members out in a window is a state of its own', async () => {
  const { failure, coverage } = await run([
    write,
    openWindow,
    { waitUs: 1_000_000, do: 'fail', slot: 1 },
    { waitUs: 1_000_000, do: 'kill', afterOperations: 0, downUs: 0 },
  ]);
  assert.equal(failure, null);
  assert.deepEqual(coverage.asJson().hits['C-1 killed'], { 'frozen, second failure': 1 });
});
