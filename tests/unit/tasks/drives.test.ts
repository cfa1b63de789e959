/**
 * The tasks on SCSI, NVMe and ATA drives, with tools that are small shell scripts: they answer as the drives do, take
 * firmware, and fail, hang, lie and print too much when told to. The real tools are tried in the lab.
 */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TaskRequest } from '../../../src/core/run-report.ts';
import { findDrive, isSame } from '../../../src/tasks/find-drive.ts';
import { taskFor } from '../../../src/tasks/open.ts';
import { checkUnused } from '../../../src/tasks/physical.ts';
import { controllerBytes, identifyText, inquiryBytes, namespaceBytes } from './answers.ts';
import {
  driveAt,
  facts,
  type Rig,
  refusedAs,
  request,
  rig,
  textOf,
  until,
  valueOf,
} from './rig.ts';

const healthy = JSON.stringify({ smart_status: { passed: true } });

/** A drive is a directory: what it answers, and `did`, what was done to it. */
function toolbox(r: Rig) {
  const file = (name: string): string => r.path(name);
  writeFileSync(file('fw.bin'), Buffer.alloc(10_000, 'x'));
  writeFileSync(file('health'), healthy);
  r.tool('smartctl', `echo "smartctl $*" >>${file('did')}; cat ${file('health')}`);
  return { file, did: (): string[] => textOf(file('did')).split('\n').filter(Boolean) };
}

function scsi(r: Rig, change: Partial<TaskRequest> = {}) {
  const { file, did } = toolbox(r);
  writeFileSync(file('inquiry'), inquiryBytes('1.0'));
  writeFileSync(file('inquiry-new'), inquiryBytes('2.0'));
  writeFileSync(file('serial'), Buffer.from('\0\x80\0\x04S123', 'latin1'));
  writeFileSync(file('capacity'), Buffer.from('000000000001ffff0000020000030000', 'hex'));
  r.tool('sg_inq', `cat ${file('inquiry')}`);
  r.tool('sg_vpd', `cat ${file('serial')}`);
  r.tool('sg_readcap', `cat ${file('capacity')}`);
  r.tool('sg_reset', `echo "sg_reset $*" >>${file('did')}`);
  // Every second command meets a unit attention, as with scsi_debug, and is not carried out.
  r.tool(
    'sg_write_buffer',
    `if [ -e ${file('attention')} ]; then rm ${file('attention')}; echo "Unit attention" >&2; exit 6; fi
     touch ${file('attention')}
     echo "$*" >>${file('did')}
     case "$*" in *offset=8192*|*activate_mc*) [ -e ${file('lies')} ] || cp ${file('inquiry-new')} ${file('inquiry')};; esac`,
  );
  const asked = request({ imagePath: file('fw.bin'), ...change });
  const drive = driveAt('/dev/sdx', 'scsi');
  return { file, did, asked, drive, task: taskFor('scsi', asked, r.context) };
}

test('SCSI: firmware is sent in pieces, each again after a unit attention, and the drive says the rest', async (t) => {
  const r = rig(t);
  const { drive, task, asked, did, file } = scsi(r);
  const before = valueOf(await task.probe(drive));
  assert.deepEqual(
    before,
    facts({
      model: 'ACME SAS 9000',
      serial: 'S123',
      capacityBytes: 64 * 2 ** 20,
      health: 'ok',
    }),
  );
  valueOf(await task.check(drive, before, asked));
  assert.ok(task.stageActivates);
  const result = await task.stage(drive, asked, r.control());
  assert.equal(result.result, 'done', result.output);
  assert.match(
    result.command,
    /^sg_write_buffer --mode=dmc_offs_save --bpw=4k --in=.*fw\.bin \/dev\/sdx$/,
  );
  const pieces = did().filter((line) => line.startsWith('--mode'));
  assert.deepEqual(
    pieces.map((line) => /--skip=(\d+) --offset=\1 --length=(\d+)/.exec(line)!.slice(1)),
    [
      ['0', '4096'],
      ['4096', '4096'],
      ['8192', '1808'],
    ],
  );
  assert.equal(valueOf(await task.probe(drive)).firmware, '2.0');
  assert.ok(r.progress.includes(1));
  assert.equal((await task.activate(drive, asked, r.control())).result, 'done');
  writeFileSync(file('lies'), '');
  writeFileSync(file('inquiry'), inquiryBytes('1.0'));
  assert.equal((await task.stage(drive, asked, r.control())).result, 'done');
  assert.equal(valueOf(await task.probe(drive)).firmware, '1.0');
});

test('SCSI: deferred firmware is activated by a command of its own', async (t) => {
  const r = rig(t);
  const { drive, task, asked, did } = scsi(r, { activation: 'deferred' });
  assert.equal(task.stageActivates, false);
  assert.equal((await task.stage(drive, asked, r.control())).result, 'done');
  assert.ok(did().every((line) => line.includes('--mode=dmc_offs_defer')));
  rmSync(r.path('attention'), { force: true });
  const activated = await task.activate(drive, asked, r.control());
  assert.equal(activated.command, 'sg_write_buffer --mode=activate_mc /dev/sdx');
  assert.equal(activated.result, 'done');
});

test('SCSI: a download that fails ends at its first bad piece; one that hangs is ended', async (t) => {
  const r = rig(t);
  const { drive, task, asked } = scsi(r);
  r.tool('sg_write_buffer', 'echo "Write buffer failed: Illegal request" >&2; exit 5');
  const failed = await task.stage(drive, asked, r.control());
  assert.deepEqual([failed.result, failed.exitStatus], ['failed', 5]);
  assert.match(failed.output, /byte 0: Write buffer failed: Illegal request/);
  r.tool('sg_write_buffer', `trap '' TERM; while :; do sleep 1; done`);
  const hung = await task.stage(drive, asked, r.control({ limitMs: 500 }));
  assert.equal(hung.result, 'timed-out');
});

test('SCSI: a tool that prints without end is let finish, and the firmware arrives', async (t) => {
  const r = rig(t);
  const { drive, task, asked, did } = scsi(r);
  r.tool(
    'sg_write_buffer',
    `head -c 3000000 /dev/zero | tr '\\0' . ; echo "$*" >>${r.path('did')}`,
  );
  const result = await task.stage(drive, asked, r.control());
  assert.equal(result.result, 'done', result.reason);
  assert.equal(did().filter((line) => line.startsWith('--mode')).length, 3);
});

test('SCSI: a unit attention of a question is asked again; old drives know only the short capacity', async (t) => {
  const r = rig(t);
  const { drive, task, file } = scsi(r);
  r.tool(
    'sg_inq',
    `if [ ! -e ${file('asked')} ]; then touch ${file('asked')}; exit 6; fi; cat ${file('inquiry')}`,
  );
  writeFileSync(file('short'), Buffer.from('0001ffff00000200', 'hex'));
  r.tool('sg_readcap', `case "$*" in *--16*) exit 5;; esac; cat ${file('short')}`);
  r.tool('sg_vpd', 'exit 5');
  const answer = valueOf(await task.probe(drive));
  assert.deepEqual(
    [answer.serial, answer.capacityBytes, answer.physicalBlockBytes],
    ['', 64 * 2 ** 20, null],
  );
});

test('why a drive cannot be asked: tool missing, not permitted, busy, gone, silent, no disk', async (t) => {
  const r = rig(t);
  const { drive, task } = scsi(r);
  const problem = async () => {
    const outcome = await task.probe(drive);
    assert.ok(!outcome.ok);
    return outcome.problem;
  };
  for (const [says, code] of [
    ['Permission denied', 'not-permitted'],
    ['Operation not permitted', 'not-permitted'],
    ['Device or resource busy', 'drive-busy'],
    ['No such device or address', 'drive-no-answer'],
  ] as const) {
    r.tool('sg_inq', `echo "sg_inq: error opening file: /dev/sdx: ${says}" >&2; exit 50`);
    assert.equal((await problem()).code, code);
  }
  r.tool('sg_inq', 'exit 33');
  assert.match(String((await problem()).detail['reason']), /exit status 33/);
  r.tool('sg_inq', 'cat /dev/zero');
  assert.match(String((await problem()).detail['reason']), /more than 1 MiB/);
  r.tool('sg_inq', 'printf x');
  assert.match(String((await problem()).detail['reason']), /no disk/);
  rmSync(r.path('bin/sg_inq'));
  const missing = await problem();
  assert.deepEqual(
    [missing.code, missing.detail],
    ['tool-missing', { tool: 'sg_inq', package: 'sg3-utils', path: '/dev/sdx' }],
  );
});

test('what a task needs is found out before it: tools, root, image, model', async (t) => {
  const r = rig(t);
  const { drive, task, asked, file } = scsi(r);
  const check = (change: Partial<TaskRequest>, of = task) =>
    of.check(drive, facts(), { ...asked, ...change });
  valueOf(await check({}));
  refusedAs(await check({ imagePath: null }), 'image-none');
  refusedAs(await check({ imagePath: file('none') }), 'image-unreadable');
  refusedAs(await check({ imageSha256: '00' }), 'image-wrong-checksum');
  refusedAs(await check({ model: 'Slow' }), 'drive-wrong-model');
  const user = taskFor('scsi', asked, { ...r.context, isRoot: false });
  refusedAs(await check({}, user), 'not-permitted');
  refusedAs(await check({ purpose: 'reset' }, user), 'not-permitted');
  valueOf(await check({ purpose: 'replacement' }, user));
  valueOf(await check({ purpose: 'reset' }));
  valueOf(await check({ purpose: 'diagnostics', test: 'scan' }));
  refusedAs(await check({ purpose: 'diagnostics', test: 'short' }), 'tool-missing');
  for (const [tool, change] of [
    ['sg_write_buffer', {}],
    ['sg_reset', { purpose: 'reset' }],
  ] as const) {
    rmSync(r.path(`bin/${tool}`));
    refusedAs(await check(change), 'tool-missing');
  }
  const own = taskFor('scsi', { ...asked, command: 'true' }, { ...r.context, isRoot: false });
  valueOf(await check({}, own));
});

test('health: failing is told, a smartctl that is missing or silent leaves it unknown', async (t) => {
  const r = rig(t);
  const { drive, task, file } = scsi(r);
  writeFileSync(file('health'), JSON.stringify({ smart_status: { passed: false } }));
  assert.equal(valueOf(await task.probe(drive)).health, 'failing');
  rmSync(r.path('bin/smartctl'));
  assert.equal(valueOf(await task.probe(drive)).health, 'unknown');
});

test('SCSI and ATA: a reset is of the device alone', async (t) => {
  const r = rig(t);
  const { drive, asked, did } = scsi(r);
  for (const transport of ['scsi', 'ata'] as const) {
    const task = taskFor(transport, asked, r.context);
    assert.equal((await task.reset(drive, asked, r.control())).result, 'done');
  }
  assert.deepEqual(did(), Array(2).fill('sg_reset --device --no-escalate /dev/sdx'));
});

function nvme(r: Rig, version: 2 | 3, change: Partial<TaskRequest> = {}) {
  const { file, did } = toolbox(r);
  const controller = (firmware: string) =>
    writeFileSync(file('controller'), controllerBytes({ firmware }));
  controller('1.0');
  writeFileSync(file('controller-new'), controllerBytes({ firmware: '2.0' }));
  writeFileSync(file('namespace'), namespaceBytes(1 << 20, 12));
  const help =
    version === 2
      ? '  fw-commit  Verify and commit\n  fw-download  Download\n'
      : '  fw   Firmware commands\n';
  const [download, commit] =
    version === 2 ? ['"fw-download "*', '"fw-commit "*'] : ['"fw download "*', '"fw commit "*'];
  r.tool(
    'nvme',
    `case "$*" in
       help) printf '%s' '${help}';;
       id-ctrl*) cat ${file('controller')};;
       id-ns*) cat ${file('namespace')};;
       ${download}) echo "$*" >>${file('did')}; touch ${file('downloaded')};;
       ${commit}) echo "$*" >>${file('did')}; [ ! -e ${file('commit-fails')} ] || { cat ${file('commit-fails')}; exit 1; }
          case "$*" in *action=3*) cp ${file('controller-new')} ${file('controller')};; esac;;
       device-self-test*) echo "$*" >>${file('did')};;
       self-test-log*) cat ${file('log')};;
       *) echo "ERROR: Invalid sub-command '$1'" >&2; exit 1;;
     esac`,
  );
  const reset = 'sys/class/nvme/nvme7/reset_controller';
  mkdirSync(r.path('sys/class/nvme/nvme7'), { recursive: true });
  writeFileSync(r.path(reset), '');
  const asked = request({ imagePath: file('fw.bin'), ...change });
  const drive = driveAt('/dev/nvme7n1', 'nvme');
  return {
    file,
    did,
    asked,
    drive,
    controller,
    resetFile: r.path(reset),
    task: taskFor('nvme', asked, r.context),
  };
}

for (const version of [2, 3] as const) {
  test(`NVMe, nvme-cli ${version}: download, commit with action 1, reset of the controller`, async (t) => {
    const r = rig(t);
    const { drive, task, asked, did, resetFile, controller } = nvme(r, version);
    const before = valueOf(await task.probe(drive));
    assert.deepEqual(
      before,
      facts({
        path: '/dev/nvme7n1',
        transport: 'nvme',
        model: 'ACME NVMe 1T',
        serial: 'NVS1',
        capacityBytes: 2 ** 32,
        logicalBlockBytes: 4096,
        physicalBlockBytes: null,
        health: 'ok',
      }),
    );
    valueOf(await task.check(drive, before, asked));
    assert.equal((await task.stage(drive, asked, r.control())).result, 'done');
    assert.equal(readFileSync(resetFile, 'utf8'), '');
    const activated = await task.activate(drive, asked, r.control());
    assert.equal(activated.result, 'done', activated.output);
    assert.equal(readFileSync(resetFile, 'utf8'), '1\n');
    const verbs = version === 2 ? ['fw-download', 'fw-commit'] : ['fw download', 'fw commit'];
    assert.deepEqual(
      did().filter((line) => line.startsWith('fw')),
      [
        `${verbs[0]} /dev/nvme7 --fw=${asked.imagePath}`,
        `${verbs[1]} /dev/nvme7 --slot=0 --action=1`,
      ],
    );
    assert.match(activated.command, /; echo 1 >.*reset_controller$/);
    controller('2.0');
    assert.equal(valueOf(await task.probe(drive)).firmware, '2.0');
  });
}

test('NVMe: live activation resets nothing; a slot is made current by action 2; neither where it is not possible', async (t) => {
  const r = rig(t);
  const live = nvme(r, 2, { activation: 'live' });
  valueOf(await live.task.check(live.drive, facts(), live.asked));
  assert.equal((await live.task.activate(live.drive, live.asked, r.control())).result, 'done');
  assert.equal(readFileSync(live.resetFile, 'utf8'), '');
  assert.equal(valueOf(await live.task.probe(live.drive)).firmware, '2.0');
  const back = nvme(r, 2, { imagePath: null, firmwareSlot: 2 });
  valueOf(await back.task.check(back.drive, facts(), back.asked));
  assert.equal(
    (await back.task.stage(back.drive, back.asked, r.control())).output,
    'slot 2 is taken',
  );
  assert.equal((await back.task.activate(back.drive, back.asked, r.control())).result, 'done');
  assert.equal(back.did().at(-1), 'fw-commit /dev/nvme7 --slot=2 --action=2');
  writeFileSync(back.file('controller'), controllerBytes({ slots: 0x07 }));
  refusedAs(await live.task.check(live.drive, facts(), live.asked), 'task-impossible');
  writeFileSync(back.file('controller'), controllerBytes({ adminCommands: 0 }));
  refusedAs(await back.task.check(back.drive, facts(), back.asked), 'task-impossible');
  const test = request({ purpose: 'diagnostics', test: 'short' });
  refusedAs(await back.task.check(back.drive, facts(), test), 'task-impossible');
  valueOf(await back.task.check(back.drive, facts(), { ...test, test: 'scan' }));
});

test('NVMe: a commit that wants a power cycle says so, and the controller is reset all the same', async (t) => {
  const r = rig(t);
  const { drive, task, asked, file, resetFile } = nvme(r, 2);
  writeFileSync(
    file('commit-fails'),
    'Success activating firmware action:1 slot:0, but firmware requires conventional reset\n',
  );
  const result = await task.activate(drive, asked, r.control());
  assert.equal(result.result, 'failed');
  assert.match(result.reason, /stored and becomes current after conventional reset: power-cycle/);
  assert.equal(readFileSync(resetFile, 'utf8'), '1\n');
  const reset = await task.reset(drive, request({ purpose: 'reset' }), r.control());
  assert.equal(reset.result, 'done');
});

function ata(r: Rig) {
  const { file, did } = toolbox(r);
  writeFileSync(file('identity'), identifyText({ firmware: 'SN05' }));
  writeFileSync(file('identity-new'), identifyText({ firmware: 'SN06' }));
  r.tool(
    'hdparm',
    `case "$*" in
       --Istdout*) cat ${file('identity')};;
       "--yes-i-know-what-i-am-doing --please-destroy-my-drive --fwdownload ${file('fw.bin')} /dev/sdx") cp ${file('identity-new')} ${file('identity')};;
       *) exit 22;;
     esac`,
  );
  const asked = request({ imagePath: file('fw.bin') });
  return {
    file,
    did,
    asked,
    drive: driveAt('/dev/sdx', 'ata'),
    task: taskFor('ata', asked, r.context),
  };
}

test('ATA: hdparm, with both of its warnings waved through', async (t) => {
  const r = rig(t);
  const { drive, task, asked, file } = ata(r);
  const before = valueOf(await task.probe(drive));
  assert.deepEqual(
    [before.model, before.firmware, before.serial],
    ['ACME Disk 4T', 'SN05', 'WD-1234'],
  );
  valueOf(await task.check(drive, before, asked));
  assert.ok(task.stageActivates);
  assert.equal((await task.stage(drive, asked, r.control())).result, 'done');
  assert.equal((await task.activate(drive, asked, r.control())).result, 'done');
  assert.equal(valueOf(await task.probe(drive)).firmware, 'SN06');
  writeFileSync(file('identity'), '\n/dev/sdx:\n');
  refusedAs(await task.probe(drive), 'drive-no-answer');
});

const tested = request({ purpose: 'diagnostics', test: 'short' });

test('ATA self-test: started, followed, its end told; stopping it aborts it in the drive', async (t) => {
  const r = rig(t);
  const { drive, file, did } = ata(r);
  const task = taskFor('ata', tested, { ...r.context, testEveryMs: 50 });
  // In one go: the drive under test is asked all the time, and half an answer is none.
  const status = (value: number): void => {
    writeFileSync(
      file('health.new'),
      JSON.stringify({ ata_smart_data: { self_test: { status: { value } } } }),
    );
    renameSync(file('health.new'), file('health'));
  };
  valueOf(await task.check(drive, facts(), tested));
  for (const [end, result, exitStatus] of [
    [0x00, 'done', 0],
    [0x72, 'failed', 1],
    [0x10, 'failed', 2],
  ] as const) {
    status(0xf9);
    const running = task.diagnose(drive, tested, r.control());
    await until(() => r.progress.includes(0.1));
    status(end);
    const ended = await running;
    assert.deepEqual([ended.result, ended.exitStatus], [result, exitStatus], ended.output);
    r.progress.length = 0;
  }
  // An answer that says nothing, as one that is cut off, is asked for again: the test goes on in the drive.
  status(0xf9);
  const asked = task.diagnose(drive, tested, r.control());
  await until(() => r.progress.includes(0.1));
  const looks = (): number => did().filter((line) => line.includes(' -c ')).length;
  const before = looks();
  writeFileSync(file('health.new'), '{');
  renameSync(file('health.new'), file('health'));
  await until(() => looks() >= before + 2);
  status(0x00);
  assert.equal((await asked).result, 'done');
  r.progress.length = 0;
  status(0xf5);
  const stop = new AbortController();
  const running = task.diagnose(
    drive,
    { ...tested, test: 'long' },
    r.control({ signal: stop.signal }),
  );
  await until(() => r.progress.includes(0.5));
  stop.abort();
  assert.equal((await running).result, 'stopped');
  assert.ok(did().includes('smartctl -j -t long /dev/sdx'));
  assert.ok(did().includes('smartctl -j -X /dev/sdx'));
});

test('NVMe self-test: the log is followed to its result', async (t) => {
  const r = rig(t);
  const { drive, file, did } = nvme(r, 2);
  const task = taskFor('nvme', tested, { ...r.context, testEveryMs: 50 });
  const log = (change: Record<number, number>): void =>
    writeFileSync(file('log'), Object.assign(Buffer.alloc(564), change));
  log({ 0: 2, 1: 30 });
  const running = task.diagnose(drive, { ...tested, test: 'long' }, r.control());
  await until(() => r.progress.includes(0.3));
  log({ 4: 0x26 });
  const ended = await running;
  assert.deepEqual([ended.result, ended.exitStatus], ['failed', 1]);
  assert.match(ended.output, /the self-test failed\n$/);
  assert.ok(did().includes('device-self-test /dev/nvme7n1 --self-test-code=0x2'));
});

test('SCSI self-test: in the background where the drive keeps results, otherwise while the command waits', async (t) => {
  const r = rig(t);
  const { drive, file, did } = scsi(r);
  const task = taskFor('scsi', tested, { ...r.context, testEveryMs: 50 });
  r.tool('sg_senddiag', `echo "sg_senddiag $*" >>${file('did')}; [ ! -e ${file('bad')} ]`);
  r.tool('sg_logs', 'exit 5');
  valueOf(await task.check(drive, facts(), tested));
  assert.equal((await task.diagnose(drive, tested, r.control())).result, 'done');
  writeFileSync(file('bad'), '');
  assert.equal((await task.diagnose(drive, tested, r.control())).exitStatus, 1);
  rmSync(file('bad'));
  assert.deepEqual(did(), Array(2).fill('sg_senddiag --test /dev/sdx'));
  r.tool('sg_logs', `cat ${file('page')}`);
  const page = (result: number, hours: number): void => {
    const bytes = Buffer.alloc(404);
    [bytes[0], bytes[8], bytes[11]] = [0x10, 0x20 | result, hours];
    writeFileSync(file('page'), bytes);
  };
  page(7, 1);
  const control = r.control();
  const running = task.diagnose(drive, tested, control);
  await until(() => did().includes('sg_senddiag --selftest=1 /dev/sdx'));
  page(15, 2);
  page(0, 2);
  assert.equal((await running).result, 'done', 'the old failure is not taken for the new result');
});

test('a device without a tool can be read and nothing else', async (t) => {
  const r = rig(t);
  const task = taskFor('other', request(), r.context);
  const drive = driveAt('/dev/loop9', 'other');
  refusedAs(await task.probe(drive), 'drive-no-answer');
  const place = r.path('sys/class/block/loop9');
  mkdirSync(`${place}/queue`, { recursive: true });
  writeFileSync(`${place}/size`, '2048\n');
  writeFileSync(`${place}/queue/logical_block_size`, '512\n');
  const answer = valueOf(await task.probe(drive));
  assert.deepEqual(
    [answer.capacityBytes, answer.logicalBlockBytes, answer.firmware],
    [2 ** 20, 512, ''],
  );
  for (const change of [
    {},
    { purpose: 'reset' },
    { purpose: 'diagnostics', test: 'long' },
  ] as const) {
    const asked = request(change);
    refusedAs(await task.check(drive, answer, asked), 'task-impossible');
  }
  valueOf(await task.check(drive, answer, request({ purpose: 'replacement' })));
  const own = taskFor('other', request({ command: 'echo flashed' }), r.context);
  const asked = request({ command: 'echo flashed', imagePath: null });
  valueOf(await own.check(drive, answer, asked));
  assert.equal((await own.stage(drive, asked, r.control())).output, 'flashed\n');
});

test('a drive that came back under another name is found by its serial number', async (t) => {
  const r = rig(t);
  const { task, drive } = scsi(r);
  const before = valueOf(await task.probe(drive));
  assert.equal(isSame({ ...before, path: '/dev/sdy', firmware: '2.0' }, before), true);
  assert.equal(isSame({ ...before, serial: 'S2' }, before), false);
  const namespace = { ...before, transport: 'nvme' } as const;
  assert.equal(isSame({ ...namespace, capacityBytes: 1 }, namespace), false);
  assert.equal(await findDrive({ ...before, serial: '' }, task, r.context), null);
  assert.equal(await findDrive({ ...before, transport: 'image' }, task, r.context), null);
  // The devices of this machine are not those of the model of /sys.
  mkdirSync(r.path('sys/block/sdzzz'), { recursive: true });
  assert.equal(await findDrive(before, task, r.context), null);
});

test('parts of a drive that nobody uses are not in the way', (t) => {
  const r = rig(t);
  const image = r.image('d.img');
  const drive = { key: 'x', path: image, transport: 'scsi', sitsOn: [] } as const;
  const parts = [image, r.path('none'), r.path('fw.bin')];
  valueOf(checkUnused({ ...drive, parts }, [image]));
});
