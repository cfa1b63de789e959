/** The state directory has no room left while a tool is at work on a drive: the drive must not be the one that pays. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommand, runCommand } from '../../../src/tasks/command.ts';
import { readTail } from '../../../src/tasks/output-file.ts';
import {
  readCommand,
  scsiDownloadCommand,
  simulatedCommand,
} from '../../../src/tasks/own-tools.ts';
import { rig } from './rig.ts';

/** Its status, when everything that it prints meets ENOSPC. */
function statusWhenFull({ program, args }: { program: string; args: readonly string[] }): number {
  const full = openSync('/dev/full', 'w');
  try {
    return spawnSync(program, args, { stdio: ['ignore', full, full] }).status ?? -1;
  } finally {
    closeSync(full);
  }
}

test('a download goes on to its last byte when its progress finds no room', (t) => {
  const r = rig(t);
  r.tool('sg_write_buffer', `echo "$@" >>${r.path('sent')}`);
  writeFileSync(r.path('fw'), Buffer.alloc(20_000));
  const tool = r.path('bin/sg_write_buffer');
  const command = scsiDownloadCommand(tool, 'dmc_offs_save', r.path('fw'), '/dev/sdz');
  assert.equal(statusWhenFull(command), 0);
  assert.equal(readFileSync(r.path('sent'), 'utf8').trim().split('\n').length, 5);
});

test('a read test says of the drive what is wrong with the drive, and nothing else', (t) => {
  const r = rig(t);
  const image = r.image('a.img');
  assert.equal(statusWhenFull(readCommand('sample', [image])), 0);
  const bad = [{ at: 'verify', kind: 'bad-read', offsetBytes: 0, lengthBytes: 1 }] as const;
  assert.equal(statusWhenFull(readCommand('sample', [image], bad)), 1);
});

test('the simulated drive is flashed all the same', (t) => {
  const r = rig(t);
  const image = r.image('a.img');
  writeFileSync(r.path('fw'), 'LOCUM-FIRMWARE 2.0\n');
  assert.equal(statusWhenFull(simulatedCommand('stage', image, r.path('fw'))), 0);
  assert.equal(statusWhenFull(simulatedCommand('activate', image, null)), 0);
});

test('a tool whose number found no room is known again by what it prints to', async (t) => {
  const r = rig(t);
  const control = r.control();
  const command = {
    program: '/bin/sh',
    args: ['-c', `until [ -e ${r.path('go')} ]; do sleep 0.05; done`],
  };
  const running = runCommand({ ...command, mayStop: false }, control, r.context);
  const pidFile = `${control.outputPath}.pid`;
  while (findCommand(control.outputPath) === null) await delay(5);
  const known = findCommand(control.outputPath);
  truncateSync(pidFile, 0);
  assert.deepEqual(findCommand(control.outputPath), known);
  writeFileSync(r.path('go'), '');
  await running;
  assert.equal(findCommand(control.outputPath), null);
});

test('somebody reads along in what a tool printed that has ended: he is not the tool', async (t) => {
  const r = rig(t);
  const { outputPath } = r.control();
  writeFileSync(outputPath, 'begun\n');
  for (const detached of [false, true]) {
    const reader = spawn('/usr/bin/tail', ['-f', outputPath], { detached, stdio: 'pipe' });
    t.after(() => reader.kill());
    await once(reader.stdout, 'data');
    // No room for its number, and no room for its status.
    writeFileSync(`${outputPath}.pid`, '');
    assert.equal(findCommand(outputPath), null);
    writeFileSync(`${outputPath}.pid`, `${reader.pid}\n`);
    assert.equal(findCommand(outputPath), null);
  }
});

test('an output that cannot be read any more is none, and ends nobody', async (t) => {
  // A directory opens, and does not read.
  assert.equal(await readTail(rig(t).directory, 100), '');
});
