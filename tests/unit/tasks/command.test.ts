/** How one command is run: its end in every way, its output in every amount, and a server that is not there any more. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  findCommand,
  isRunning,
  runCommand,
  shownCommand,
  waitForProcess,
} from '../../../src/tasks/command.ts';
import { toolEnvironment } from '../../../src/tasks/context.ts';
import {
  boundOutput,
  cutOutput,
  KEPT_BYTES,
  plainText,
  readOutput,
  withoutPercents,
} from '../../../src/tasks/output-file.ts';
import { rig, textOf, until } from './rig.ts';

const shell = (script: string, mayStop = false) => ({
  program: '/bin/sh',
  args: ['-c', `PATH=/usr/bin:/bin; ${script}`],
  mayStop,
});

test('a command that ends well is done, with its output', async (t) => {
  const r = rig(t);
  const result = await runCommand(shell('echo one; echo two >&2'), r.control(), r.context);
  assert.equal(result.result, 'done');
  assert.equal(result.exitStatus, 0);
  assert.equal(result.output, 'one\ntwo\n');
  assert.equal(result.reason, '');
  assert.equal(r.started.length, 1);
});

test('a command that fails says with which status', async (t) => {
  const r = rig(t);
  const result = await runCommand(shell('echo oh; exit 7'), r.control(), r.context);
  assert.deepEqual(
    [result.result, result.exitStatus, result.output, result.reason],
    ['failed', 7, 'oh\n', 'exit status 7: oh'],
  );
});

test('a program that is not there fails, and an output that cannot be written does not start it', async (t) => {
  const r = rig(t);
  const gone = { program: r.path('none'), args: [], mayStop: false };
  assert.equal((await runCommand(gone, r.control(), r.context)).exitStatus, 127);
  const result = await runCommand(
    shell('true'),
    r.control({ outputPath: '/proc/none/x' }),
    r.context,
  );
  assert.equal(result.result, 'not-started');
  const nowhere = { ...shell('true'), directory: r.path('none') };
  assert.equal((await runCommand(nowhere, r.control(), r.context)).result, 'not-started');
});

test('a command over its limit is ended with its children', async (t) => {
  const r = rig(t);
  const result = await runCommand(
    shell(`sleep 1000 & echo $! >${r.path('child')}; wait`),
    // As long as a busy machine needs to begin it.
    r.control({ limitMs: 3_000 }),
    r.context,
  );
  assert.equal(result.result, 'timed-out');
  assert.match(result.reason, /^it did not end within \d+ s and was ended/);
  const child = Number(textOf(r.path('child')));
  assert.ok(child > 1);
  await until(() => !/\(sleep\) [^Z]/.test(textOf(`/proc/${child}/stat`)));
});

test('a command that does not listen is ended by force', async (t) => {
  const r = rig(t);
  const result = await runCommand(
    shell("trap '' TERM; echo deaf; while :; do sleep 1; done"),
    r.control({ limitMs: 3_000 }),
    r.context,
  );
  assert.equal(result.result, 'timed-out');
  assert.match(result.reason, /by force$/);
  assert.equal(result.output, 'deaf\n');
});

test('what may be stopped is stopped, what may not runs to its end', async (t) => {
  const r = rig(t);
  for (const mayStop of [true, false]) {
    const stop = new AbortController();
    const command = shell(`echo x >${r.path(`at-${mayStop}`)}; sleep 1; echo end`, mayStop);
    const running = runCommand(command, r.control({ signal: stop.signal }), r.context);
    await until(() => textOf(r.path(`at-${mayStop}`)) !== '');
    stop.abort();
    const result = await running;
    assert.equal(result.result, mayStop ? 'stopped' : 'done');
    // Some shells tell of the signal.
    assert.match(result.output, mayStop ? /^(Terminated\n)?$/ : /^end\n$/);
  }
  const stopped = AbortSignal.abort();
  const never = await runCommand(shell('true', true), r.control({ signal: stopped }), r.context);
  assert.equal(never.result, 'not-started');
});

test('a flood takes little room while it runs; the end is there, and what was left out is counted', async (t) => {
  const r = rig(t);
  const lines = 200_000;
  const control = r.control();
  const go = r.path('go');
  const running = runCommand(
    shell(
      `seq 1 ${lines}; until [ -e ${go} ]; do sleep 0.05; done; seq 1 ${lines}; echo the very end`,
    ),
    control,
    r.context,
  );
  const printed =
    2 * Array.from({ length: lines }, (_, i) => `${i + 1}\n`.length).reduce((a, b) => a + b) +
    'the very end\n'.length;
  await until(() => {
    const { size, blocks } = statSync(control.outputPath, { throwIfNoEntry: false }) ?? noStat;
    return size > printed / 2 - 20 && blocks * 512 < 4 * KEPT_BYTES;
  });
  writeFileSync(go, '');
  const result = await running;
  assert.equal(result.result, 'done');
  assert.ok(result.output.startsWith('1\n2\n3\n'));
  assert.ok(result.output.endsWith(`${lines - 1}\n${lines}\nthe very end\n`));
  const note = /\n\[… +(\d+) bytes left out …\]\n/.exec(result.output)!;
  const kept = Buffer.byteLength(result.output) - Buffer.byteLength(note[0]);
  assert.equal(kept, 2 * KEPT_BYTES);
  assert.equal(kept + Number(note[1]), printed);
});

const noStat = { size: 0, blocks: 0 };

test('where a file can have no hole, it is cut, and counts itself what was left out', async (t) => {
  const r = rig(t);
  const path = r.path('output');
  const all = Buffer.alloc(40 * KEPT_BYTES, 'a line\n');
  writeFileSync(path, all);
  const { omittedBytes, head, tail } = boundOutput(all);
  const note = `\n[… ${String(omittedBytes).padStart(15)} bytes left out …]\n`;
  const before = Buffer.concat([head, Buffer.from(note), tail]);
  // As a cut leaves it; more comes after that, and then a hole.
  writeFileSync(path, Buffer.concat([before, all]));
  for (const isWritten of [true, false]) {
    await cutOutput(path, isWritten);
    const output = await readOutput(path);
    const counted = Number(/… +(\d+) bytes/.exec(output)![1]);
    assert.equal(counted, 2 * all.length - 2 * KEPT_BYTES);
  }
  assert.ok(statSync(path).size < 3 * KEPT_BYTES, 'nothing is left of the hole');
});

test('output is bounded the same in one go and in several', () => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join(''));
  const once = boundOutput(bytes);
  assert.equal(once.head.length + once.omittedBytes + once.tail.length, bytes.length);
  const file = Buffer.concat([
    once.head,
    Buffer.from(`\n[… ${String(once.omittedBytes).padStart(15)} bytes left out …]\n`),
    once.tail,
  ]);
  const again = boundOutput(Buffer.concat([file, Buffer.from('more')]));
  assert.equal(again.omittedBytes, once.omittedBytes + 4);
  assert.ok(again.tail.toString().endsWith('99999\nmore'));
  const small = boundOutput(Buffer.from('small'));
  assert.deepEqual([small.head.toString(), small.omittedBytes, small.tail.length], ['small', 0, 0]);
});

test('nothing is kept that a terminal would obey', () => {
  assert.equal(withoutPercents('begun\n3 %\n50 %\n100 %\ndone\n'), 'begun\n100 %\ndone\n');
  assert.equal(plainText('\x1b[1mBold\x1b[0m 10 %\r20 %\r\nend\x07\x00'), 'Bold 10 %\n20 %\nend');
});

test('a command is shown as it could be typed', () => {
  assert.equal(
    shownCommand('/usr/sbin/nvme', ['--fw=/a b', "it's"]),
    String.raw`nvme '--fw=/a b' 'it'\''s'`,
  );
});

test('progress is taken from the last lines', async (t) => {
  const r = rig(t);
  const command = {
    ...shell('echo 10 %; sleep 0.3; echo 60 %; sleep 0.3'),
    progress: (lines: string) => (lines.includes('60 %') ? 0.6 : lines.includes('10') ? 0.1 : null),
  };
  await runCommand(command, r.control(), r.context);
  assert.ok(r.progress.includes(0.6), `${r.progress}`);
});

const host = new URL('./command-host.js', import.meta.url).pathname;

test('a command outlives the server that is killed; the next one waits for it and learns how it ended', async (t) => {
  const r = rig(t);
  for (const [status, result] of [
    [0, 'done'],
    [3, 'failed'],
  ] as const) {
    const control = r.control();
    const go = r.path(`go-${status}`);
    const script = `PATH=/usr/bin:/bin; echo begun; until [ -e ${go} ]; do sleep 0.1; done; echo ended; exit ${status}`;
    const server = spawn(process.execPath, [host, control.outputPath, script], { stdio: 'ignore' });
    await until(
      () => textOf(control.outputPath) === 'begun\n' && findCommand(control.outputPath) !== null,
    );
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
    const found = findCommand(control.outputPath);
    assert.ok(found !== null && isRunning(found));
    r.started.push(found);
    const waiting = waitForProcess(found, { shown: 'script', mayStop: false }, control);
    writeFileSync(go, '');
    const end = await waiting;
    assert.deepEqual([end.result, end.exitStatus, end.output], [result, status, 'begun\nended\n']);
    assert.equal(findCommand(control.outputPath), null);
  }
});

test('a process that was left behind has a limit too', async (t) => {
  const r = rig(t);
  const control = r.control({ limitMs: 200 });
  const server = spawn(process.execPath, [host, control.outputPath, 'exec /bin/sleep 1000'], {
    stdio: 'ignore',
  });
  await until(() => findCommand(control.outputPath) !== null);
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
  const found = findCommand(control.outputPath)!;
  r.started.push(found);
  const end = await waitForProcess(found, { shown: 'sleep', mayStop: false }, control);
  assert.equal(end.result, 'timed-out');
});

test('another process with the same number is not taken for it', async (t) => {
  const r = rig(t);
  const control = r.control();
  writeFileSync(`${control.outputPath}.pid`, `${process.pid}\n`);
  assert.equal(findCommand(control.outputPath), null);
  const other = { pid: process.pid, startTicks: 1 };
  assert.equal(isRunning(other), false);
  const end = await waitForProcess(other, { shown: 'x', mayStop: false }, control);
  assert.deepEqual([end.result, end.exitStatus], ['failed', null]);
  assert.match(end.reason, /left no exit status/);
});

test('tools are found in the folders of the administrator too, once', () => {
  const { PATH, LC_ALL, HOME } = toolEnvironment({
    PATH: '/x:/usr/bin',
    HOME: '/root',
    NONE: undefined,
  });
  assert.equal(PATH, '/x:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/bin');
  assert.equal(LC_ALL, 'C');
  assert.equal(HOME, '/root');
});
