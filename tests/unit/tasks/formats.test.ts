/** What drives answer, byte by byte: real answers where there were any, otherwise made after the standards. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  fwdownloadArgs,
  parseIdentify,
  parseSelfTestStatus,
} from '../../../src/tasks/ata-format.ts';
import { parseHealth } from '../../../src/tasks/health.ts';
import { commitAndReset, commitReason } from '../../../src/tasks/nvme-drive.ts';
import {
  commitArgs,
  downloadArgs,
  firmwareVerb,
  parseController,
  parseNamespace,
  parseSelfTestLog,
} from '../../../src/tasks/nvme-format.ts';
import {
  parseCapacity10,
  parseCapacity16,
  parseInquiry,
  parseSelfTestPage,
  parseSerialPage,
  writeBufferArgs,
} from '../../../src/tasks/scsi-format.ts';
import { controllerBytes, identifyText, namespaceBytes } from './answers.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

test('INQUIRY, as the kernel’s scsi_debug disk answers it', () => {
  const bytes = hex(
    '00000702 5b00100a 4c696e75 78202020 73637369 5f646562 75672020 20202020 30313931 32303231 30353230',
  );
  const disk = { vendor: 'Linux', product: 'scsi_debug', revision: '0191' };
  assert.deepEqual(parseInquiry(bytes), disk);
  assert.equal(parseInquiry(bytes.subarray(0, 20)), null, 'too short');
  for (const first of [0x05, 0x1f, 0x7f, 0x20]) {
    bytes[0] = first;
    assert.equal(parseInquiry(bytes), null, 'a CD drive, or nothing');
  }
});

test('the serial number page', () => {
  assert.equal(parseSerialPage(hex('00800004 32303030')), '2000');
  assert.equal(parseSerialPage(hex('00800008 20203939 00002020')), '99');
  assert.equal(parseSerialPage(hex('00830004 32303030')), '');
  assert.equal(parseSerialPage(Buffer.alloc(0)), '');
});

test('capacity, long and short', () => {
  const long = hex('00000000 0001ffff 00000200 00030000 00000000 00000000 00000000 00000000');
  const sizes = { capacityBytes: 64 * 2 ** 20, logicalBlockBytes: 512 };
  assert.deepEqual(parseCapacity16(long), { ...sizes, physicalBlockBytes: 4096 });
  assert.deepEqual(parseCapacity10(hex('0001ffff 00000200')), {
    ...sizes,
    physicalBlockBytes: null,
  });
  assert.equal(parseCapacity10(hex('ffffffff 00000200')), null, 'too large to say');
  assert.equal(parseCapacity16(Buffer.alloc(32)), null);
  assert.equal(parseCapacity10(Buffer.alloc(4)), null);
});

test('the results of SCSI self-tests', () => {
  const page = (result: number): Buffer => {
    const bytes = Buffer.alloc(404);
    bytes[0] = 0x10;
    bytes[8] = 0x20 | result;
    return bytes;
  };
  assert.deepEqual(parseSelfTestPage(page(0))?.state, 'passed');
  assert.deepEqual(parseSelfTestPage(page(15))?.state, 'running');
  for (const result of [1, 2, 3]) assert.equal(parseSelfTestPage(page(result))?.state, 'unknown');
  for (const result of [4, 5, 6, 7]) assert.equal(parseSelfTestPage(page(result))?.state, 'failed');
  assert.equal(parseSelfTestPage(hex('00000000')), null, 'what scsi_debug answers');
});

test('a piece of firmware is sent with its place in the file and in the buffer', () => {
  assert.deepEqual(writeBufferArgs('dmc_offs_save', '/fw.bin', 8192, 4096, '/dev/sda'), [
    '--mode=dmc_offs_save',
    '--in=/fw.bin',
    '--skip=8192',
    '--offset=8192',
    '--length=4096',
    '/dev/sda',
  ]);
});

test('identify controller and namespace', () => {
  assert.deepEqual(parseController(controllerBytes({ firmware: 'E2010600' })), {
    serial: 'NVS1',
    model: 'ACME NVMe 1T',
    firmware: 'E2010600',
    takesFirmware: true,
    testsItself: true,
    activatesLive: true,
  });
  assert.equal(parseController(Buffer.alloc(100)), null);
  assert.equal(parseNamespace(Buffer.alloc(4096)), null);
  const namespace = namespaceBytes(1_000_000, 12);
  assert.deepEqual(parseNamespace(namespace), {
    capacityBytes: 4_096_000_000,
    logicalBlockBytes: 4096,
  });
  // The 17th format: its number is in two parts.
  namespace.copy(namespace, 128 + 4 * 16, 128, 132);
  namespace[26] = 0x20;
  namespace[130] = 0;
  assert.equal(parseNamespace(namespace)?.logicalBlockBytes, 4096);
});

test('the NVMe self-test log', () => {
  const log = (change: Record<number, number>): Buffer => Object.assign(Buffer.alloc(564), change);
  assert.deepEqual(parseSelfTestLog(log({ 0: 1, 1: 42 })), { state: 'running', share: 0.42 });
  assert.equal(parseSelfTestLog(log({ 4: 0x10 }))?.state, 'passed');
  assert.equal(parseSelfTestLog(log({ 4: 0x16 }))?.state, 'failed');
  assert.deepEqual(parseSelfTestLog(log({ 4: 0x27, 5: 3 })), {
    state: 'failed',
    note: 'the self-test failed in segment 3',
  });
  for (const result of [1, 2, 3, 4, 5, 8, 9, 15]) {
    assert.equal(parseSelfTestLog(log({ 4: result }))?.state, 'unknown', `${result}`);
  }
  assert.equal(parseSelfTestLog(Buffer.alloc(3)), null);
});

test('the verbs of nvme-cli 2 and 3', () => {
  const two =
    '  fw-log   Retrieve FW Log\n  fw-commit    Verify\n  fw-download  Download new firmware\n';
  const three = '  fw   Firmware commands\n  id-ctrl   Send\n';
  assert.deepEqual(firmwareVerb(two, 'download'), ['fw-download']);
  assert.deepEqual(firmwareVerb(two, 'commit'), ['fw-commit']);
  assert.deepEqual(firmwareVerb(three, 'commit'), ['fw', 'commit']);
  assert.deepEqual(downloadArgs(['fw', 'download'], '/dev/nvme0', '/fw'), [
    'fw',
    'download',
    '/dev/nvme0',
    '--fw=/fw',
  ]);
  assert.deepEqual(commitArgs(['fw-commit'], '/dev/nvme0', 2, 3), [
    'fw-commit',
    '/dev/nvme0',
    '--slot=2',
    '--action=3',
  ]);
});

test('a commit is followed by a reset of every controller, whatever it said', () => {
  assert.equal(
    commitAndReset('nvme fw-commit /dev/nvme0', ['/sys/a', '/sys/b']),
    'nvme fw-commit /dev/nvme0; status=$?; echo 1 >/sys/a || status=1; echo 1 >/sys/b || status=1; exit $status',
  );
  const said = (output: string): string => commitReason({ output, reason: 'exit status 1' });
  assert.match(
    said('Success activating firmware action:1 slot:0, but firmware requires conventional reset\n'),
    /after conventional reset: power-cycle/,
  );
  assert.match(said('but firmware requires an NVM Subsystem Reset'), /after NVM Subsystem Reset/);
  assert.equal(said('NVMe status: Invalid Firmware Image'), 'exit status 1');
});

test('IDENTIFY DEVICE as hdparm prints it', () => {
  const words = identifyText({ firmware: 'SN05' });
  assert.deepEqual(parseIdentify(words), {
    serial: 'WD-1234',
    firmware: 'SN05',
    model: 'ACME Disk 4T',
    capacityBytes: 7_814_037_168 * 512,
    logicalBlockBytes: 512,
    physicalBlockBytes: 4096,
  });
  assert.equal(parseIdentify(words.replace('4143', '4144')), null, 'the checksum');
  assert.equal(parseIdentify('\n/dev/sda:\n'), null);
  const nothing = `/dev/sda:\n${'0000 0000 0000 0000 0000 0000 0000 0000\n'.repeat(32)}`;
  assert.equal(parseIdentify(nothing), null, 'what hdparm prints for a SCSI disk');
  assert.deepEqual(fwdownloadArgs('/dev/sda', '/fw'), [
    '--yes-i-know-what-i-am-doing',
    '--please-destroy-my-drive',
    '--fwdownload',
    '/fw',
    '/dev/sda',
  ]);
});

test('the ATA self-test status as smartctl gives it', () => {
  const json = (value: number): string =>
    JSON.stringify({ ata_smart_data: { self_test: { status: { value } } } });
  assert.deepEqual(parseSelfTestStatus(json(0xf9)), { state: 'running', share: 0.1 });
  assert.equal(parseSelfTestStatus(json(0))?.state, 'passed');
  for (const value of [0x10, 0x20, 0x30, 0x90])
    assert.equal(parseSelfTestStatus(json(value))?.state, 'unknown');
  for (const value of [0x40, 0x50, 0x60, 0x70, 0x80])
    assert.equal(parseSelfTestStatus(json(value))?.state, 'failed');
  assert.deepEqual(parseSelfTestStatus(json(0x72)), {
    state: 'failed',
    note: 'the self-test failed (read)',
  });
  assert.equal(parseSelfTestStatus('{}'), null);
  assert.equal(parseSelfTestStatus('oh'), null);
});

test('health as smartctl gives it', () => {
  const json = (smart_status: unknown): string => JSON.stringify({ smart_status });
  assert.deepEqual(parseHealth(json({ passed: true })), { health: 'ok', healthNote: '' });
  assert.deepEqual(parseHealth(json({ passed: false, nvme: { value: 0b1001 } })), {
    health: 'failing',
    healthNote: 'the spare blocks run out, the medium is read-only',
  });
  assert.deepEqual(
    parseHealth(json({ passed: false, scsi: { ie_string: 'FAILURE PREDICTION' } })),
    {
      health: 'failing',
      healthNote: 'FAILURE PREDICTION',
    },
  );
  assert.equal(parseHealth(json({ passed: false })).health, 'failing');
  const failed = {
    smartctl: { messages: [{ string: 'Unable to detect device type' }], exit_status: 1 },
  };
  for (const text of [JSON.stringify(failed), 'null', '', '[]']) {
    assert.deepEqual(parseHealth(text), { health: 'unknown', healthNote: '' }, text);
  }
});
