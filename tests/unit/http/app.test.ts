import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { operations } from '../../../src/api/operations.ts';
import { refuse } from '../../../src/core/problems.ts';
import { buildApp } from '../../../src/http/app.ts';
import { requestSchemas } from '../../../src/http/routes.ts';
import { sampleStatus } from '../api/samples.ts';
import { FakeControl } from './fake-control.ts';

function appOf(control: FakeControl): { app: FastifyInstance; faults: unknown[] } {
  const faults: unknown[] = [];
  return { app: buildApp({ control, onFault: (error) => faults.push(error) }), faults };
}

test('every operation has a route, a schema and no second one of the same place', () => {
  assert.deepEqual(Object.keys(requestSchemas).sort(), Object.keys(operations).sort());
  const places = Object.values(operations).map(({ method, path }) => `${method} ${path}`);
  assert.equal(new Set(places).size, places.length);
});

test('a reply goes out as the handler gave it', async () => {
  const control = new FakeControl().reply('status', { volumes: [sampleStatus()] });
  const { app } = appOf(control);
  const response = await app.inject('/v1/volumes');
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), { apiVersion: 'locum/v1', volumes: [sampleStatus()] });
});

test('a refusal is problem+json with code, message, fix and checks', async () => {
  const checks = [
    { id: 'log-legs', title: 'Two log legs', result: 'block', reason: 'one', fix: 'add one' },
  ] as const;
  const control = new FakeControl().answer('windowOpen', () =>
    refuse('window-refused', {}, checks),
  );
  const { app } = appOf(control);
  const response = await app.inject({
    method: 'POST',
    url: '/v1/volumes/v1/window',
    payload: { drive: '1', purpose: 'firmware' },
  });
  assert.equal(response.statusCode, 409);
  assert.match(response.headers['content-type'] as string, /^application\/problem\+json/);
  const problem = response.json();
  assert.equal(problem.code, 'window-refused');
  assert.equal(problem.exitCode, 4);
  assert.match(problem.message, /refused by its checks: log-legs/);
  assert.deepEqual(problem.checks, checks);
});

test('bad requests of every kind are refused and reach no handler', async () => {
  const control = new FakeControl();
  const { app, faults } = appOf(control);
  const post = (url: string, payload: string | object, type = 'application/json') =>
    app.inject({ method: 'POST', url, payload, headers: { 'content-type': type } });
  const window = '/v1/volumes/v1/window';
  const cases: [
    Promise<{ statusCode: number; json: () => { code: string; message: string } }>,
    string,
    RegExp,
  ][] = [
    [post(window, { drive: '1', purpose: 'holiday' }), 'request-invalid', /body\.purpose/],
    [post(window, { drive: '1', purpose: 'reset', wat: 1 }), 'request-invalid', /wat/],
    [post(window, { purpose: 'reset' }), 'request-invalid', /drive/],
    [post(window, { drive: 1, purpose: 'reset' }), 'request-invalid', /body\.drive/],
    [post(window, '{"drive":'), 'request-invalid', /JSON/i],
    [
      post(window, 'drive=1', 'application/x-www-form-urlencoded'),
      'request-invalid',
      /media type/i,
    ],
    [post(window, '[]'), 'request-invalid', /object/],
    [post('/v1/volumes', `"${'x'.repeat(600_000)}"`), 'request-invalid', /large/i],
    [post('/v1/volumes/..%2Fetc/stop', {}), 'volume-unknown', /\.\.\/etc/],
    [app.inject('/v1/events?limit=all'), 'request-invalid', /limit/],
    [app.inject('/v1/events?colour=red'), 'request-invalid', /colour/],
    [app.inject('/v2/volumes'), 'request-unknown', /\/v2\/volumes/],
    [app.inject({ method: 'DELETE', url: '/v1/volumes/v1' }), 'request-unknown', /DELETE/],
  ];
  for (const [pending, code, says] of cases) {
    const response = await pending;
    const problem = response.json();
    assert.equal(problem.code, code, problem.message);
    assert.match(problem.message, says);
    assert.ok(response.statusCode >= 400 && response.statusCode < 500);
  }
  assert.deepEqual(control.asked, []);
  assert.deepEqual(faults, []);
});

test('a POST without a body has no options', async () => {
  const control = new FakeControl();
  const { app } = appOf(control);
  await app.inject({ method: 'POST', url: '/v1/volumes/v1/window/abort' });
  const [asked] = control.asked;
  assert.equal(asked?.name, 'windowAbort');
  assert.equal(asked?.params['volume'], 'v1');
  assert.deepEqual(asked?.body, {});
});

test('a handler that throws is a fault, and the client is not left waiting', async () => {
  const control = new FakeControl().answer('status', () => {
    throw new Error('a bug');
  });
  const { app, faults } = appOf(control);
  const response = await app.inject('/v1/volumes');
  assert.equal(response.statusCode, 500);
  assert.equal(response.json().code, 'internal');
  assert.equal(faults.length, 1);
});
