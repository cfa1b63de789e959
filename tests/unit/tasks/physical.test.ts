/** Which drive a path is on: images by their sidecars, devices by a model of /sys. */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { openTask } from '../../../src/tasks/open.ts';
import { deviceDrive, nvmeControllers, physicalDrive } from '../../../src/tasks/physical.ts';
import { capacityOf, sidecarOf } from '../../../src/tasks/simulated.ts';
import { driveAt, refusedAs, request, rig, valueOf } from './rig.ts';

const MIB = 1024 * 1024;

test('an image is its own drive; images that name another are partitions of it', async (t) => {
  const r = rig(t);
  const [main, a, b, alone] = ['main.img', 'a.img', 'b.img', 'alone.img'].map((name) =>
    r.image(name, MIB),
  );
  for (const part of [a, b]) writeFileSync(sidecarOf(part!), JSON.stringify({ partOf: main }));
  for (const path of [main!, a!, b!]) {
    const drive = valueOf(physicalDrive(path, r.context));
    assert.deepEqual(drive, {
      key: main,
      path: main,
      transport: 'image',
      parts: [main, a, b],
      sitsOn: [],
    });
  }
  assert.equal(valueOf(physicalDrive(alone!, r.context)).key, alone);
  assert.equal(capacityOf(main!), 3 * MIB);
  rmSync(main!);
  const drive = valueOf(physicalDrive(main!, r.context));
  assert.deepEqual(drive.parts, [a, b]);
  assert.equal(valueOf(physicalDrive(a!, r.context)).key, main);
  const { task } = valueOf(openTask(b!, request(), r.context));
  assert.equal(valueOf(await task.probe(driveAt(main!, 'image'))).capacityBytes, 2 * MIB);
  refusedAs(physicalDrive(r.path('none'), r.context), 'drive-path-missing');
  refusedAs(physicalDrive(r.directory, r.context), 'drive-not-a-drive');
});

/** Devices as /sys shows them: `place` is below devices/, everything else links to it. */
function model(sysRoot: string) {
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(sysRoot, path)), { recursive: true });
    writeFileSync(join(sysRoot, path), `${text}\n`);
  };
  const link = (path: string, target: string): void => {
    mkdirSync(dirname(join(sysRoot, path)), { recursive: true });
    symlinkSync(join(sysRoot, target), join(sysRoot, path));
  };
  const block = (place: string, number: string, isPartition = false): void => {
    const name = place.slice(place.lastIndexOf('/') + 1);
    mkdirSync(join(sysRoot, 'devices', place), { recursive: true });
    if (isPartition) put(`devices/${place}/partition`, '1');
    else link(`block/${name}`, `devices/${place}`);
    link(`class/block/${name}`, `devices/${place}`);
    link(`dev/block/${number}`, `devices/${place}`);
  };
  return { put, link, block };
}

test('a partition is on its disk; whether that is SCSI or ATA its vendor says', (t) => {
  const r = rig(t);
  const { sysRoot } = r.context;
  const { put, block } = model(sysRoot);
  block('host0/block/sda', '8:0');
  block('host0/block/sda/sda1', '8:1', true);
  block('host0/block/sda/sda2', '8:2', true);
  put('devices/host0/block/sda/device/vendor', 'SEAGATE ');
  block('host1/block/sdb', '8:16');
  put('devices/host1/block/sdb/device/vendor', 'ATA     ');
  const whole = {
    key: 'sda',
    path: '/dev/sda',
    transport: 'scsi',
    parts: ['/dev/sda', '/dev/sda1', '/dev/sda2'],
    sitsOn: [],
  };
  assert.deepEqual(valueOf(deviceDrive('/dev/sda1', '8:1', sysRoot)), whole);
  assert.deepEqual(valueOf(deviceDrive('/dev/sda', '8:0', sysRoot)), whole);
  assert.equal(valueOf(deviceDrive('/dev/sdb', '8:16', sysRoot)).transport, 'ata');
  refusedAs(deviceDrive('/dev/sdc', '8:32', sysRoot), 'drive-no-answer');
});

test('all namespaces of an NVMe controller are one drive', (t) => {
  const r = rig(t);
  const { sysRoot } = r.context;
  const { link, block } = model(sysRoot);
  for (const [name, number] of [
    ['nvme0n1', '259:0'],
    ['nvme0n2', '259:1'],
    ['nvme1n1', '259:2'],
  ] as const) {
    const controller = name.slice(0, 5);
    block(`pci/${controller}/${name}`, number);
    link(`devices/pci/${controller}/${name}/device`, `devices/pci/${controller}`);
  }
  block('pci/nvme0/nvme0n2/nvme0n2p1', '259:3', true);
  const drive = valueOf(deviceDrive('/dev/nvme0n2p1', '259:3', sysRoot));
  assert.deepEqual(drive, {
    key: 'nvme0',
    path: '/dev/nvme0n2',
    transport: 'nvme',
    parts: ['/dev/nvme0n1', '/dev/nvme0n2', '/dev/nvme0n2p1'],
    sitsOn: [],
  });
  assert.equal(valueOf(deviceDrive('/dev/nvme0n1', '259:0', sysRoot)).key, 'nvme0');
  assert.equal(valueOf(deviceDrive('/dev/nvme1n1', '259:2', sysRoot)).key, 'nvme1');
  assert.deepEqual(nvmeControllers('/dev/nvme0n2', sysRoot), ['nvme0']);
});

test('with multipath the subsystem is the drive, and its controllers are found there', (t) => {
  const r = rig(t);
  const { sysRoot } = r.context;
  const { put, link, block } = model(sysRoot);
  block('virtual/nvme-subsys3/nvme3n1', '259:0');
  link('devices/virtual/nvme-subsys3/nvme3n1/device', 'devices/virtual/nvme-subsys3');
  link('class/nvme-subsystem/nvme-subsys3', 'devices/virtual/nvme-subsys3');
  put('devices/virtual/nvme-subsys3/nvme4/state', 'live');
  put('devices/virtual/nvme-subsys3/nvme5/state', 'live');
  assert.equal(valueOf(deviceDrive('/dev/nvme3n1', '259:0', sysRoot)).key, 'nvme-subsys3');
  assert.deepEqual(nvmeControllers('/dev/nvme3n1', sysRoot), ['nvme4', 'nvme5']);
});

test('what sits on other drives says which', (t) => {
  const r = rig(t);
  const { sysRoot } = r.context;
  const { put, block } = model(sysRoot);
  block('host0/block/sda', '8:0');
  block('host0/block/sda/sda1', '8:1', true);
  block('virtual/block/dm-0', '253:0');
  put('devices/virtual/block/dm-0/slaves/sda1/x', '');
  block('virtual/block/loop0', '7:0');
  put('devices/virtual/block/loop0/loop/backing_file', '/srv/d.img');
  const dm = valueOf(deviceDrive('/dev/mapper/x', '253:0', sysRoot));
  assert.deepEqual([dm.key, dm.transport, dm.sitsOn], ['dm-0', 'other', ['sda']]);
  assert.deepEqual(valueOf(deviceDrive('/dev/loop0', '7:0', sysRoot)).sitsOn, ['/srv/d.img']);
});
