import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { answerCalls, CALLS_MAX, Caller, localPorts, type Port } from '../../../src/control/rpc.ts';
import { done, type Outcome, refuse } from '../../../src/core/problems.ts';

interface Table {
  add(a: number, b: number): Promise<Outcome<number>>;
  refuse(): Promise<Outcome<void>>;
  never(): Promise<Outcome<void>>;
  late(): Promise<Outcome<string>>;
  broken(): Promise<Outcome<void>>;
}

function pair(ports: readonly [Port, Port] = localPorts()) {
  const notices: string[] = [];
  const faults: unknown[] = [];
  let release: (value: Outcome<string>) => void = () => {};
  const table: Table = {
    add: async (a, b) => done(a + b),
    refuse: async () => refuse('job-none', { kind: 'scrub' }),
    never: () => new Promise(() => {}),
    late: () => new Promise((resolve) => (release = resolve)),
    broken: async () => {
      throw new Error('a bug');
    },
  };
  const caller = new Caller<Table, string>(ports[0], 'v1', (notice) => notices.push(notice));
  const tell = answerCalls<string>(ports[1], table, (error) => faults.push(error));
  return { caller, tell, notices, faults, release: (value: Outcome<string>) => release(value) };
}

const code = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.problem.code);

test('values, refusals and notices come through, also between threads', async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const portOf = (port: typeof port1): Port => ({
    post: (message) => port.postMessage(message),
    listen: (receive) => void port.on('message', receive),
  });
  for (const ports of [localPorts(), [portOf(port1), portOf(port2)] as const]) {
    const { caller, tell, notices } = pair(ports);
    assert.deepEqual(await caller.call('add', [2, 3]), done(5));
    assert.equal(code(await caller.call('refuse', [])), 'job-none');
    tell('look');
    await caller.call('add', [0, 0]);
    assert.deepEqual(notices, ['look']);
  }
});

test('a call that is not answered in time is volume-stalled, and its late reply harms nobody', async () => {
  const { caller, release } = pair();
  assert.equal(code(await caller.call('late', [], 20)), 'volume-stalled');
  release(done('too late'));
  assert.deepEqual(await caller.call('add', [1, 1]), done(2));
  assert.equal(caller.waiting, 0);
});

test('too many calls at once are refused and the waiting ones are not disturbed', async () => {
  const { caller } = pair();
  const waiting = Array.from({ length: CALLS_MAX }, () => caller.call('never', []));
  assert.equal(code(await caller.call('add', [1, 1])), 'server-busy');
  assert.equal(caller.waiting, CALLS_MAX);
  caller.giveUp({ code: 'volume-stalled', detail: {} });
  for (const outcome of await Promise.all(waiting)) assert.equal(code(outcome), 'volume-stalled');
  assert.deepEqual(await caller.call('add', [1, 1]), done(2));
});

test('after the end every call, waiting or new, is answered so', async () => {
  const { caller } = pair();
  const waiting = caller.call('never', []);
  caller.end({ code: 'volume-crashed', detail: { volume: 'v1' } });
  assert.equal(code(await waiting), 'volume-crashed');
  assert.equal(code(await caller.call('add', [1, 1])), 'volume-crashed');
});

test('a method that throws is a fault of its own side', async () => {
  const { caller, faults } = pair();
  assert.equal(code(await caller.call('broken', [], 50)), 'volume-stalled');
  assert.equal(faults.length, 1);
});

test('a method that is not there is answered', async () => {
  const { caller } = pair();
  assert.equal(code(await caller.call('missing' as 'never', [])), 'internal');
});
