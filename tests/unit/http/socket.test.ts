import assert from 'node:assert/strict';
import { linkSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../../../src/http/app.ts';
import { listenOnControlSocket } from '../../../src/http/control-socket.ts';
import { FakeControl, sampleEvent } from './fake-control.ts';

function scene(t: TestContext): {
  state: string;
  socket: string;
  control: FakeControl;
  app: () => FastifyInstance;
} {
  const state = mkdtempSync('/tmp/locum-http-');
  const apps: FastifyInstance[] = [];
  t.after(async () => {
    for (const app of apps) await app.close();
    rmSync(state, { recursive: true, force: true });
  });
  const control = new FakeControl();
  const app = (): FastifyInstance => {
    apps.push(buildApp({ control, onFault: (error) => assert.fail(String(error)) }));
    return apps.at(-1)!;
  };
  return { state, socket: join(state, 'control.sock'), control, app };
}

test('the socket is for its owner only', async (t) => {
  const { state, socket, app } = scene(t);
  assert.ok((await listenOnControlSocket(app(), socket, state)).ok);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
});

test('a second server on the same socket is refused and the first goes on', async (t) => {
  const { state, socket, control, app } = scene(t);
  control.reply('status', { volumes: [] });
  assert.ok((await listenOnControlSocket(app(), socket, state)).ok);
  const second = await listenOnControlSocket(app(), socket, state);
  assert.equal(second.ok, false);
  assert.equal(!second.ok && second.problem.code, 'server-running');
  assert.match(await get(socket, '/v1/volumes'), /"volumes":\[\]/);
});

test('a stale socket is taken over', async (t) => {
  const { state, socket, app } = scene(t);
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(socket, resolve));
  // Node removes the file when it closes a server; a killed one leaves it.
  linkSync(socket, `${socket}.left`);
  await new Promise((resolve) => dead.close(resolve));
  renameSync(`${socket}.left`, socket);
  assert.ok((await listenOnControlSocket(app(), socket, state)).ok);
});

test('a file that is no socket is left alone', async (t) => {
  const { state, socket, app } = scene(t);
  writeFileSync(socket, 'precious');
  const outcome = await listenOnControlSocket(app(), socket, state);
  assert.equal(!outcome.ok && outcome.problem.code, 'listen-failed');
  assert.ok(statSync(socket).isFile());
});

test('a path that a socket cannot have is said so', async (t) => {
  const { state, app } = scene(t);
  const outcome = await listenOnControlSocket(app(), join(state, 'x'.repeat(120)), state);
  assert.equal(!outcome.ok && outcome.problem.code, 'listen-failed');
});

test('events are streamed with their numbers, and the subscription ends with the client', async (t) => {
  const { state, socket, control, app } = scene(t);
  assert.ok((await listenOnControlSocket(app(), socket, state)).ok);
  const text = await new Promise<string>((resolve, reject) => {
    const asking = request(
      { socketPath: socket, path: '/v1/events/stream', agent: false },
      (response) => {
        let received = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          received += part;
          if (!received.includes('id: 8\n')) return;
          resolve(received);
          asking.destroy();
        });
      },
    );
    asking.on(
      'error',
      (error: NodeJS.ErrnoException) => error.code === 'ECONNRESET' || reject(error),
    );
    asking.end();
    void waitFor(() => control.subscriberCount === 1).then(() => {
      control.happens(sampleEvent({ sequence: 7 }));
      control.happens(sampleEvent({ sequence: 8, message: 'two\nlines' }));
    });
  });
  assert.match(text, /id: 7\nevent: window-opened\ndata: \{"sequence":7/);
  assert.match(text, /two\\nlines/);
  await waitFor(() => control.subscriberCount === 0);
});

async function waitFor(is: () => boolean): Promise<void> {
  for (let round = 0; round < 6_000; round += 1) {
    if (is()) return;
    await delay(10);
  }
  assert.fail('waited for nothing');
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
