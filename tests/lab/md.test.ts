/**
 * The formats before the highest court: the Linux kernel's md and mdadm.
 *
 * Images are made and read on the host with the codecs alone; the kernel in the lab assembles, writes, checks.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../src/base/units.ts';
import { decideAssembly } from '../../src/core/assembly.ts';
import { encodeLabel, labelCopyIndex } from '../../src/core/format/label-codec.ts';
import { FEATURE_LOCUM_WINDOW } from '../../src/core/format/superblock.ts';
import { levels } from '../../src/core/levels/index.ts';
import { findProgram, runProgram } from '../support/processes.ts';
import {
  bitsOf,
  findDrive,
  labelOf,
  type MadeMember,
  makeVolume,
  readAt,
  writeAt,
} from './images.ts';
import { blankImages, inLab, scratchFolder, skipWithout, skipWithoutLab } from './lab.ts';

const IMAGE_BYTES = 64 * MIB;

function makeOfEachLevel(folder: string, features = 0): MadeMember[][] {
  return levels.map((level) => {
    const paths = blankImages(folder, `raid${level.number}-`, level.minMembers, IMAGE_BYTES);
    return makeVolume({ level, chunkBytes: level.defaultChunkBytes, paths, features });
  });
}

test('the kernel assembles members of every level, writes, and finds every stripe right', async (t) => {
  if (skipWithoutLab(t)) return;
  const volumes = makeOfEachLevel(scratchFolder(t));
  const paths = volumes.flat().map(({ path }) => path);
  const counts = volumes.map((members) => String(members.length));
  const answers = await inLab('md-kernel.sh', paths, ['write', ...counts]);

  for (const [group, members] of volumes.entries()) {
    const level = levels[group]!;
    const { dataBytes, bitmapChunkBytes } = members[0]!.layout;
    const bits = dataBytes / bitmapChunkBytes;
    assert.equal(answers.get(`mismatches-${group}`), '0', level.title);
    assert.match(answers.get(`state-${group}`) ?? '', /^(clean|active|active-idle) 0$/);
    assert.equal(
      answers.get(`size-${group}`),
      String(dataBytes * level.dataChunks(members.length)),
    );
    assert.match(
      answers.get(`bitmap-${group}`) ?? '',
      new RegExp(`^${Math.ceil(bits)} bits .* 0 dirty`),
    );

    // And back: what the kernel wrote is read by the same codecs, and the labels are as they were.
    const drives = members.map(({ path }) => findDrive(path));
    for (const [slot, drive] of drives.entries()) {
      assert.equal(drive.superblock.kind, 'superblock');
      if (drive.superblock.kind !== 'superblock') continue;
      const { value } = drive.superblock;
      assert.ok(value.events > 1);
      assert.equal(value.resyncBytes, null, 'stopped clean');
      assert.equal(value.memberUuid, members[slot]!.superblock.memberUuid);
      assert.deepEqual(drive.label, { kind: 'label', value: members[slot]!.label });
    }
    const decision = decideAssembly(drives, [], { name: null, force: false });
    assert.ok(decision.ok, JSON.stringify(decision));
    assert.equal(decision.value.ranByMd, true);
    assert.equal(decision.value.unclean, false);
    assert.equal(decision.value.bitmapTrusted, true);
    assert.ok(decision.value.slots.every(({ verdict }) => verdict === 'in-sync'));
    assert.equal(decision.value.level, level);
  }
});

test('the kernel refuses members while a window is open', async (t) => {
  if (skipWithoutLab(t)) return;
  const volumes = makeOfEachLevel(scratchFolder(t), FEATURE_LOCUM_WINDOW);
  const members = volumes.flat();
  const before = members.map(({ path, layout }) => readAt(path, 0, layout.dataOffset));
  const paths = members.map(({ path }) => path);
  const counts = volumes.map((group) => String(group.length));
  const answers = await inLab('md-kernel.sh', paths, ['refuse', ...counts]);
  for (const group of volumes.keys()) assert.equal(answers.get(`state-${group}`), 'refused');
  for (const [index, { path, layout }] of members.entries()) {
    assert.deepEqual(readAt(path, 0, layout.dataOffset), before[index], `${path} was changed`);
  }
});

test('the kernel resyncs what our bitmap marks, and nothing else', async (t) => {
  if (skipWithoutLab(t)) return;
  const level = levels.find(({ number }) => number === 5)!;
  const paths = blankImages(scratchFolder(t), 'dirty', 4, IMAGE_BYTES);
  const members = makeVolume({ level, chunkBytes: 65536, paths, marked: [3, 200] });
  const { layout } = members[0]!;
  // Parity that does not fit the data: in a marked region, and far from one.
  const garbage = new Uint8Array(4096).fill(0x99);
  const marked = layout.dataOffset + 200 * layout.bitmapChunkBytes;
  const unmarked = layout.dataOffset + 400 * layout.bitmapChunkBytes;
  writeAt(paths[1]!, marked, garbage);
  writeAt(paths[1]!, unmarked, garbage);
  assert.equal(bitsOf(paths[0]!).setCount, 2);

  const answers = await inLab('md-kernel.sh', paths, ['resync', '4']);
  assert.match(answers.get('bitmap-0') ?? '', / 2 dirty/);
  assert.equal(answers.get('mismatches-0'), '8', 'one page, in sectors: the unmarked one');
  // Repaired means consistent, not as it was: the garbage is data now, or the parity has taken it in.
  const chunks = paths.map((path) => readAt(path, marked, 4096));
  assert.ok(chunks[0]!.every((_, at) => chunks.reduce((sum, chunk) => sum ^ chunk[at]!, 0) === 0));
  assert.equal(bitsOf(paths[0]!).setCount, 0, 'cleared when the kernel stopped it');
});

test('arrays made by mdadm are read, have room, and keep their labels', async (t) => {
  if (skipWithoutLab(t)) return;
  const paths = blankImages(scratchFolder(t), 'md', 12, IMAGE_BYTES);
  await inLab('md-create.sh', paths);
  const groups = [paths.slice(0, 4), paths.slice(4, 6), paths.slice(6, 9), paths.slice(9, 12)];
  const names = ['five', 'one', 'four', 'bare'];
  const levelNumbers = [5, 1, 4, 5];
  for (const [group, members] of groups.entries()) {
    const decision = decideAssembly(members.map(findDrive), [], { name: null, force: false });
    assert.ok(decision.ok, JSON.stringify(decision));
    const { value } = decision;
    assert.deepEqual(
      [value.adopt, value.name, value.level.number],
      [true, names[group], levelNumbers[group]],
    );
    assert.deepEqual([value.unclean, value.bitmapTrusted], [false, group !== 3]);
    assert.ok(value.slots.every(({ verdict }) => verdict === 'in-sync'));
    // Adopt it: labels into the gap.
    const uuids = value.slots.map(({ uuid }) => uuid!);
    for (const slot of value.slots) {
      const layout = value.layouts.get(slot.path!)!;
      assert.equal(layout.bitmapPresent, group !== 3);
      const label = labelOf(slot.superblock!, value.level, value.chunkBytes, uuids);
      for (const sequence of [1, 2]) {
        const bytes = encodeLabel({ ...label, sequence });
        writeAt(slot.path!, layout.labelOffsets[labelCopyIndex(sequence)], bytes);
      }
    }
  }

  const answers = await inLab('md-kernel.sh', paths, ['write', '4', '2', '3', '3']);
  for (const [group, members] of groups.entries()) {
    assert.equal(answers.get(`mismatches-${group}`), '0');
    const drives = members.map(findDrive);
    assert.ok(drives.every(({ label }) => label.kind === 'label' && label.value.sequence === 2));
    const decision = decideAssembly(drives, [], { name: null, force: false });
    assert.ok(decision.ok && decision.value.ranByMd && !decision.value.adopt);
  }
});

test('mdadm --examine explains a member of ours', async (t) => {
  if (skipWithout(t, ['mdadm'])) return;
  const members = makeOfEachLevel(scratchFolder(t))[3]!;
  const { path, layout, superblock } = members[2]!;
  const { code, stdout } = await runProgram(findProgram('mdadm') ?? '', ['--examine', path]);
  assert.equal(code, 0, stdout);
  const says = (name: string): string =>
    new RegExp(`^ *${name} : (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  assert.equal(says('Version'), '1.2');
  assert.equal(says('Array UUID').replaceAll(':', ''), superblock.setUuid.replaceAll('-', ''));
  assert.equal(says('Device UUID').replaceAll(':', ''), superblock.memberUuid.replaceAll('-', ''));
  assert.equal(says('Raid Level'), 'raid5');
  assert.equal(says('Data Offset'), `${layout.dataOffset / 512} sectors`);
  assert.equal(says('Internal Bitmap'), '8 sectors from superblock');
  assert.match(says('Checksum'), / - correct$/);
  assert.equal(says('Layout'), 'left-symmetric');
  assert.equal(says('Device Role'), 'Active device 2');
  assert.equal(says('State'), 'clean');
  // The gap is ours: md counts it as unused, labels and all.
  const unusedBytes = 512 * Number(/before=(\d+) sectors/.exec(says('Unused Space'))?.[1]);
  assert.ok(unusedBytes >= 256 * 1024, says('Unused Space'));
});
