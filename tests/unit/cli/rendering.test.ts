/** What people see, to the letter. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderExport, uri } from '../../../src/cli/render/export.ts';
import { progressLine } from '../../../src/cli/render/progress.ts';
import { renderStatus, type View } from '../../../src/cli/render/status.ts';
import { painter } from '../../../src/cli/render/text.ts';
import type { JobStatus } from '../../../src/core/status.ts';
import { optimalStatus, sampleStatus } from '../api/samples.ts';

const view = (change: Partial<View> = {}): View => ({
  paint: painter(false),
  columns: 100,
  nowMs: Date.parse('2026-01-01T00:25:48.000Z'),
  ...change,
});

test('a volume in a window', () => {
  assert.equal(
    renderStatus([sampleStatus()], view()),
    `VOLUME  LEVEL   STATE   SIZE   DRIVES  CAN LOSE  LOG          I/O
v1      RAID 5  frozen  3 GiB  3 of 4  1         logging 25%  uring

v1  6f1c2a34-0000-4000-8000-000000000001
  SLOT  STATE   DRIVE        UUID      ERRORS R/W  REASON
  0     online  /srv/d0.img  00aa0000  0/0
  1     away    /srv/d1.img  11aa0000  0/0         away for firmware
  2     online  /srv/d2.img  22aa0000  0/0
  3     online  /srv/d3.img  33aa0000  0/0
  LOG   online  /srv/l0.img  logging, 256 MiB of 1 GiB used
        online  /srv/l1.img
  STATE  Drive 1 is away; the log stands in for it.
  WHY    A window for firmware is open.
  NEXT   Bring the drive back and run \`locum window close v1\`.
  WINDOW  w17: firmware of drive 1 (/srv/d1.img), open, logged 256 MiB, 4m12s left
`,
  );
});

test('a second failure, a job, an alarm, and a window that is overdue', () => {
  const status = sampleStatus();
  const text = renderStatus(
    [
      {
        ...status,
        redundancy: { canLose: 0 },
        writeHole: 'open',
        window: {
          ...status.window!,
          recall: true,
          heldReads: 2,
          restoredBy: [[1], [3]],
          deadlineAt: '2026-01-01T00:25:00.000Z',
        },
        jobs: [job({ kind: 'rebuild', slot: 3 })],
        alarms: [
          {
            code: 'second-failure',
            severity: 'critical',
            message: 'Drive 3 failed while drive 1 is away.',
          },
        ],
      },
    ],
    view({ columns: 120 }),
  );
  assert.match(text, /overdue by 48s/);
  assert.match(text, /2 reads\s+waiting for an absent\s+drive/);
  assert.match(text, /bring\s+the\s+drive back now/);
  assert.match(text, /slot 1\s+or 3/);
  assert.match(text, /JOB {4}rebuild of slot 3 {2}\[/);
  assert.match(
    text,
    /ALARM {2}critical: Drive 3 failed while drive 1 is away\. \(second-failure\)/,
  );
  assert.match(text, /NOTE.*write hole open/);
});

test('no volumes is a sentence with the next step', () => {
  assert.match(renderStatus([], view()), /^No volumes\. Create one with `locum volume create`/);
});

test('colour only where it is wanted, and never instead of words', () => {
  const plain = renderStatus([optimalStatus()], view());
  const coloured = renderStatus([optimalStatus()], view({ paint: painter(true) }));
  assert.doesNotMatch(plain, /\u001b/);
  assert.match(coloured, /\u001b\[32moptimal\u001b\[0m/);
  assert.equal(coloured.replace(/\u001b\[[0-9;]*m/g, ''), plain);
});

const job = (change: Partial<JobStatus> = {}): JobStatus => ({
  kind: 'scrub',
  state: 'running',
  slot: null,
  doneBytes: 376 * 2 ** 20,
  totalBytes: 1000 * 2 ** 20,
  bytesPerSecond: 12 * 2 ** 20,
  mismatches: 0,
  reason: '',
  ...change,
});

test('progress never exceeds 100 %, and promises no time without a rate', () => {
  const lines: [Partial<JobStatus>, string][] = [
    [{}, 'scrub  [========>...............]  37.6%  376 MiB of 1000 MiB  12 MiB/s  00:52 left'],
    [
      { doneBytes: 0, bytesPerSecond: 0 },
      'scrub  [........................]  0.0%  0 B of 1000 MiB',
    ],
    [
      { doneBytes: 2 ** 40, state: 'done' },
      'scrub  [========================]  100.0%  1 TiB of 1000 MiB  done',
    ],
    [
      { state: 'failed', reason: 'drive 2 is gone' },
      'scrub  [========>...............]  37.6%  376 MiB of 1000 MiB  failed  (drive 2 is gone)',
    ],
    [
      { totalBytes: 0, doneBytes: 0, state: 'done' },
      'scrub  [========================]  100.0%  0 B of 0 B  done',
    ],
  ];
  for (const [change, line] of lines) assert.equal(progressLine(job(change), 200), line);
  assert.equal(
    progressLine(job({ mismatches: 2 }), 60),
    'scrub  37.6%  376 MiB of 1000 MiB  12 MiB/s  00:52 left  2 mismatches',
  );
});

test('how to attach a volume, ready to paste', () => {
  const reply = {
    apiVersion: 'locum/v1' as const,
    name: 'v1',
    sizeBytes: 0,
    listen: ['unix:/run/a b/nbd.sock', 'tcp:[::1]:10809'],
  };
  assert.equal(
    renderExport(reply, null),
    'nbd+unix:///v1?socket=/run/a%20b/nbd.sock\nnbd://[::1]:10809/v1\n',
  );
  assert.equal(
    renderExport({ ...reply, listen: ['unix:/run/nbd.sock'] }, 'qemu'),
    '-blockdev driver=nbd,node-name=v1,server.type=unix,server.path=/run/nbd.sock,export=v1,reconnect-delay=60 \\\n' +
      '-device virtio-blk-pci,drive=v1\n',
  );
  assert.equal(
    renderExport(reply, 'nbd-client'),
    "nbd-client -unix '/run/a b/nbd.sock' /dev/nbd0 -name v1 -connections 4 -persist\n" +
      'nbd-client ::1 10809 /dev/nbd0 -name v1 -connections 4 -persist\n',
  );
  assert.equal(
    renderExport({ ...reply, listen: ['tcp:127.0.0.1:10809'] }, 'nbdcopy'),
    'nbdcopy --connections=4 nbd://127.0.0.1:10809/v1 copy-of-v1.img\n',
  );
  assert.equal(uri('v1', { kind: 'unix', path: '/run/a&b' }), 'nbd+unix:///v1?socket=/run/a%26b');
});
