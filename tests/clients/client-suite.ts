/**
 * Real NBD clients against any server: given a socket and an export of at least 64 MiB, which they
 * overwrite. The tests of this folder run it against the memory server; NBD_TEST_SOCKET and
 * NBD_TEST_EXPORT point it at any other server.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { isInstalled, run, runWell } from './programs.ts';

export interface Target {
  readonly socketPath: string;
  readonly exportName: string;
  /** For images and mount points; empty, and removed by the caller. */
  readonly folder: string;
}

export interface ClientTest {
  readonly name: string;
  /** Programs it cannot do without. */
  readonly needs: readonly string[];
  readonly body: (t: TestContext, target: Target) => Promise<void>;
}

const MIB = 1024 * 1024;
const IMAGE_BYTES = 48 * MIB;
/** The distribution's own: its packages are not seen by any other. */
const PYTHON = '/usr/bin/python3';

export const uriOf = ({ socketPath, exportName }: Target): string =>
  `nbd+unix:///${encodeURIComponent(exportName)}?socket=${socketPath}`;

/** Random data with holes, as images are. */
const makeImage = async (path: string, sizeBytes: number): Promise<Buffer> => {
  const content = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 2 * MIB <= sizeBytes; at += 4 * MIB) {
    randomFillSync(content, at, 2 * MIB - 512);
  }
  const file = await open(path, 'w');
  await file.truncate(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 4 * MIB) {
    await file.write(content, at, Math.min(2 * MIB, sizeBytes - at), at);
  }
  await file.close();
  return content;
};

const sizeOf = async (target: Target): Promise<number> =>
  Number((await runWell('nbdinfo', '--size', uriOf(target))).trim());

const python = async (target: Target, body: string): Promise<void> => {
  const program = `import nbd\nuri = ${JSON.stringify(uriOf(target))}\n${body}`;
  const { code, all } = await run(PYTHON, ['-c', program]);
  assert.equal(code, 0, all);
};

const pythonMissing = async (): Promise<string | null> => {
  const { code } = await run(PYTHON, ['-c', 'import nbd']);
  return code === 0 ? null : 'python3-libnbd is not installed';
};

export const clientTests: readonly ClientTest[] = [
  {
    name: 'nbdinfo: what the export is, as text, JSON, list and map',
    needs: ['nbdinfo'],
    body: async (_t, target) => {
      const uri = uriOf(target);
      const info = JSON.parse(await runWell('nbdinfo', '--json', uri)) as {
        protocol: string;
        structured: boolean;
        exports: Record<string, unknown>[];
      };
      assert.equal(info.protocol, 'newstyle-fixed');
      assert.equal(info.structured, true);
      const [first] = info.exports;
      assert.equal(first?.['export-name'], target.exportName);
      assert.deepEqual(first?.['contexts'], ['base:allocation']);
      for (const can of [
        'can_multi_conn',
        'can_flush',
        'can_fua',
        'can_trim',
        'can_zero',
        'can_df',
        'can_fast_zero',
        'can_cache',
      ]) {
        assert.equal(first?.[can], true, can);
      }
      assert.equal(first?.['is_read_only'], false);
      const server = `nbd+unix:///?socket=${target.socketPath}`;
      assert.ok((await runWell('nbdinfo', '--list', server)).includes(`"${target.exportName}"`));
      const map = JSON.parse(await runWell('nbdinfo', '--map', '--json', uri)) as {
        length: number;
      }[];
      assert.equal(
        map.reduce((sum, { length }) => sum + length, 0),
        await sizeOf(target),
      );
      const unknown = await run('nbdinfo', [`nbd+unix:///no-such?socket=${target.socketPath}`]);
      assert.notEqual(unknown.code, 0);
    },
  },
  {
    name: 'nbdcopy: there and back, with one and with several connections',
    needs: ['nbdcopy'],
    body: async (_t, target) => {
      const there = join(target.folder, 'there.img');
      const back = join(target.folder, 'back.img');
      const content = await makeImage(there, IMAGE_BYTES);
      for (const connections of ['1', '4']) {
        await runWell('nbdcopy', `--connections=${connections}`, '--flush', there, uriOf(target));
        await runWell('nbdcopy', `--connections=${connections}`, uriOf(target), back);
        const copied = await readFile(back);
        assert.ok(copied.subarray(0, IMAGE_BYTES).equals(content), `${connections} connections`);
        await rm(back);
        // What the first round wrote must not make the second one pass.
        const zeroes = join(target.folder, 'zero.img');
        await writeFile(zeroes, '');
        await (
          await open(zeroes, 'r+').then(async (file) => (await file.truncate(IMAGE_BYTES), file))
        ).close();
        await runWell('nbdcopy', '--allocated', zeroes, uriOf(target));
      }
    },
  },
  {
    name: 'qemu-img: convert, compare, info, map',
    needs: ['qemu-img', 'nbdinfo'],
    body: async (_t, target) => {
      const uri = `nbd+unix:///${target.exportName}?socket=${target.socketPath}`;
      const image = join(target.folder, 'image.img');
      await makeImage(image, await sizeOf(target));
      await runWell(
        'qemu-img',
        'convert',
        '-n',
        '-f',
        'raw',
        '-O',
        'raw',
        '-W',
        '-m',
        '8',
        image,
        uri,
      );
      await runWell('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', image, uri);
      const copy = join(target.folder, 'copy.qcow2');
      await runWell('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', uri, copy);
      await runWell('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', copy, uri);
      await runWell('qemu-img', 'info', '-f', 'raw', uri);
      await runWell('qemu-img', 'map', '-f', 'raw', '--output=json', uri);
      const changed = ['-f', 'raw', uri, '-c', 'write -P 0x5a 12345 16'];
      await runWell('qemu-io', ...changed);
      const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri]);
      assert.equal(compared.code, 1, 'a changed byte is found');
    },
  },
  {
    name: 'qemu-io: patterns at odd places, zeroes, discard, FUA, large requests',
    needs: ['qemu-io'],
    body: async (_t, target) => {
      const uri = `nbd+unix:///${target.exportName}?socket=${target.socketPath}`;
      const commands = [
        'write -P 1 0 32M',
        'read -P 1 0 32M',
        'write -P 2 777 3333',
        'read -P 2 777 3333',
        'read -P 1 4110 1000',
        'write -z 1M 1M',
        'read -P 0 1M 1M',
        'write -z -u 4M 2M',
        'read -P 0 4M 2M',
        'discard 8M 4M',
        'write -f -P 3 8M 64k',
        'read -P 3 8M 64k',
        'aio_write -P 4 16M 1M',
        'aio_write -P 5 17M 1M',
        'aio_flush',
        'read -P 4 16M 1M',
        'read -P 5 17M 1M',
        'flush',
      ];
      const args = commands.flatMap((command) => ['-c', command]);
      const { code, all } = await run('qemu-io', ['-f', 'raw', uri, ...args]);
      assert.equal(code, 0, all);
      assert.ok(!/fail|error/i.test(all), all);
    },
  },
  {
    name: 'fio: random writes with checksums, verified',
    needs: ['fio'],
    body: async (_t, target) => {
      for (const [rw, blockSize] of [
        ['randwrite', '4k'],
        ['randwrite', '512-128k'],
        ['write', '1m'],
      ]) {
        const output = await runWell(
          'fio',
          '--name=verify',
          '--ioengine=nbd',
          `--uri=${uriOf(target)}`,
          `--rw=${rw}`,
          blockSize?.includes('-') ? `--bsrange=${blockSize}` : `--bs=${blockSize}`,
          '--iodepth=32',
          '--size=32m',
          '--verify=crc32c',
          '--verify_fatal=1',
          '--verify_state_save=0',
          '--do_verify=1',
          '--randseed=7',
        );
        assert.ok(/err= 0/.test(output), output);
      }
    },
  },
  {
    name: 'python3-libnbd: what a good client does',
    needs: ['python3'],
    body: async (t, target) => {
      const missing = await pythonMissing();
      if (missing !== null) return t.skip(missing);
      await python(
        target,
        `
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(uri)
assert h.can_meta_context("base:allocation")
assert h.get_block_size(nbd.SIZE_MINIMUM) == 512
h.pwrite(b"x" * 8192, 4096, nbd.CMD_FLAG_FUA)
assert h.pread(8192, 4096) == b"x" * 8192
h.zero(4096, 4096, nbd.CMD_FLAG_NO_HOLE)
h.trim(65536, 1 << 20)
h.cache(65536, 0)
h.flush()
assert h.pread(8192, 4096) == bytes(4096) + b"x" * 4096
seen = []
h.pread_structured(65536, 0, lambda data, offset, status, error: seen.append(offset), nbd.CMD_FLAG_DF)
assert len(seen) == 1
total = []
h.block_status(1 << 20, 0, lambda name, offset, entries, error: total.extend(entries[::2]))
assert sum(total) >= 512
h.block_status(1 << 20, 0, lambda name, offset, entries, error: total.append(len(entries)), nbd.CMD_FLAG_REQ_ONE)
assert total[-1] == 2
big = nbd.Buffer(32 << 20)
h.aio_pread(big, 0)
cookies = [h.aio_pread(nbd.Buffer(4096), 4096 * i) for i in range(500)]
while h.aio_in_flight() > 0:
    h.poll(-1)
for c in cookies:
    assert h.aio_command_completed(c)
h.shutdown()
`,
      );
    },
  },
  {
    name: 'python3-libnbd: what a good client would not send',
    needs: ['python3'],
    body: async (t, target) => {
      const missing = await pythonMissing();
      if (missing !== null) return t.skip(missing);
      await python(
        target,
        `
import errno
h = nbd.NBD()
h.set_strict_mode(0)
h.connect_uri(uri)
size = h.get_size()
def fails(expected, f, *args):
    try:
        f(*args)
    except nbd.Error as e:
        assert e.errnum == expected, (e.errnum, expected, args)
        return
    assert False, ("succeeded", args)
fails(errno.EINVAL, h.pread, 512, size)
fails(errno.EINVAL, h.pread, 1024, size - 512)
fails(errno.ENOSPC, h.pwrite, b"x" * 1024, size - 512)
fails(errno.ENOSPC, h.zero, 1024, size - 512)
fails(errno.EINVAL, h.trim, 1024, size - 512)
fails(errno.EINVAL, h.pread, 512, 1 << 62)
fails(errno.EINVAL, h.pread, 512, 0, 1 << 7)
fails(errno.EINVAL, h.pwrite, b"x" * 512, 0, nbd.CMD_FLAG_DF)
fails(errno.EINVAL, h.pread, 512, 1)
fails(errno.EINVAL, h.pwrite, b"x" * 3, 0)
fails(errno.EINVAL, h.block_status, 512, 0, lambda *a: 0)
fails(errno.EINVAL, h.pwrite, b"", 0)
h.pwrite(b"y" * 512, 0)
assert h.pread(512, 0) == b"y" * 512
h.pwrite(bytes(48 << 20), 0)
h.shutdown()
`,
      );
    },
  },
  {
    name: 'python3-libnbd: without structured replies, and by EXPORT_NAME',
    needs: ['python3'],
    body: async (t, target) => {
      const missing = await pythonMissing();
      if (missing !== null) return t.skip(missing);
      await python(
        target,
        `
for mask in (nbd.HANDSHAKE_FLAG_MASK, nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE, 0):
    h = nbd.NBD()
    h.set_request_structured_replies(False)
    h.set_handshake_flags(mask)
    h.connect_uri(uri)
    assert not h.get_structured_replies_negotiated()
    data = bytes(range(256)) * 4096 * 5
    h.pwrite(data, 4096)
    assert h.pread(len(data), 4096) == data
    h.shutdown()
`,
      );
    },
  },
  {
    name: 'nbdfuse: a file that is the volume',
    needs: ['nbdfuse', 'fusermount3'],
    body: async (t, target) => {
      try {
        accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
      } catch {
        return t.skip('/dev/fuse is not accessible');
      }
      const folder = join(target.folder, 'mount');
      await mkdir(folder);
      const child = spawn('nbdfuse', [folder, uriOf(target)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      child.stderr.on('data', (text: Buffer) => (said += text.toString()));
      const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
      try {
        const path = join(folder, 'nbd');
        for (let turn = 0; child.exitCode === null; turn += 1) {
          if (await stat(path).catch(() => null)) break;
          assert.ok(turn < 3_000, 'nbdfuse mounts in time');
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        if (child.exitCode !== null && /fuse|permitted/i.test(said)) {
          return t.skip(`nbdfuse cannot mount here: ${said.trim()}`);
        }
        const content = Buffer.alloc(3 * MIB);
        randomFillSync(content);
        const file = await open(path, 'r+');
        await file.write(content, 0, content.length, 8192);
        await file.sync();
        const read = Buffer.alloc(content.length);
        await file.read(read, 0, read.length, 8192);
        await file.close();
        assert.ok(read.equals(content));
      } finally {
        await run('fusermount3', ['-u', folder]);
        child.kill('SIGTERM');
        await ended;
      }
    },
  },
];

/** Why this test cannot run here, or null. */
export const missingFor = ({ needs }: ClientTest): string | null => {
  const missing = needs.find((program) => !isInstalled(program));
  return missing === undefined ? null : `${missing} is not installed`;
};
