/**
 * What a user would run instead of Locum, each as an NBD server on a unix socket. Every option that makes a peer faster
 * without weakening what it promises is switched on; docs/benchmarks/method.md has the reasons.
 *
 *   nbdkit, qemu-nbd    one plain file: no redundancy at all, the yardstick for the path from socket to file
 *   quorum              qemu-storage-daemon's mirror of two files
 *   btrfs               RAID 5 for data over four loop devices, one nodatacow file on it behind nbdkit
 *
 * A peer that cannot run here answers with the reason instead of a server.
 */

import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, mustRun, runProgram, ServerProcess } from '../tests/support/processes.ts';
import { nbdUri } from './fio.ts';

export interface Subject {
  readonly name: string;
  readonly uri: string;
  readonly socketPath: string;
  readonly exportName: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export type Peer = (folder: string, sizeBytes: number) => Promise<Subject | { skipped: string }>;

const notInstalled = (program: string): { skipped: string } => ({
  skipped: `${program} is not installed`,
});

function subject(
  name: string,
  server: ServerProcess,
  socketPath: string,
  exportName = '',
  cleanUp: () => Promise<void> = async () => {},
): Subject {
  return {
    name,
    uri: nbdUri(socketPath, exportName),
    socketPath,
    exportName,
    pid: server.pid,
    stop: async () => {
      await server.stop();
      // nbdkit leaves its socket behind, and refuses to start on it.
      await rm(socketPath, { force: true });
      await cleanUp();
    },
  };
}

/** A file with every block allocated, as a volume in use has: reads of holes would flatter whoever serves it. */
export async function filledFile(path: string, sizeBytes: number): Promise<void> {
  await rm(path, { force: true });
  await mustRun('dd', [
    'if=/dev/zero',
    `of=${path}`,
    'bs=1M',
    `count=${Math.ceil(sizeBytes / 2 ** 20)}`,
  ]);
  await truncate(path, sizeBytes);
}

export const nbdkit: Peer = async (folder, sizeBytes) => {
  if (!findProgram('nbdkit')) return notInstalled('nbdkit');
  const path = join(folder, 'nbdkit.img');
  const socketPath = join(folder, 'nbdkit.sock');
  await filledFile(path, sizeBytes);
  const server = await ServerProcess.start(
    'nbdkit',
    ['-f', '-U', socketPath, 'file', path],
    socketPath,
  );
  return subject('nbdkit, plain file', server, socketPath, '', () => rm(path));
};

export const qemuNbd: Peer = async (folder, sizeBytes) => {
  if (!findProgram('qemu-nbd')) return notInstalled('qemu-nbd');
  const path = join(folder, 'qemu-nbd.img');
  const socketPath = join(folder, 'qemu-nbd.sock');
  await filledFile(path, sizeBytes);
  const server = await ServerProcess.start(
    'qemu-nbd',
    ['-t', '-e', '16', '-f', 'raw', '--cache=writeback', '--aio=io_uring', '-k', socketPath, path],
    socketPath,
  );
  return subject('qemu-nbd, plain file', server, socketPath, '', () => rm(path));
};

export const quorum: Peer = async (folder, sizeBytes) => {
  if (!findProgram('qemu-storage-daemon')) return notInstalled('qemu-storage-daemon');
  const paths = [join(folder, 'quorum-a.img'), join(folder, 'quorum-b.img')];
  const socketPath = join(folder, 'quorum.sock');
  for (const path of paths) await filledFile(path, sizeBytes);
  const children = paths.flatMap((path, index) => [
    '--blockdev',
    `driver=file,node-name=f${index},filename=${path},aio=io_uring,cache.direct=off`,
  ]);
  const server = await ServerProcess.start(
    'qemu-storage-daemon',
    [
      ...children,
      '--blockdev',
      // A mirror: written to both, read from the first, and one copy is enough.
      'driver=quorum,node-name=mirror,vote-threshold=1,read-pattern=fifo,children.0=f0,children.1=f1',
      '--nbd-server',
      `addr.type=unix,addr.path=${socketPath},max-connections=16`,
      '--export',
      'type=nbd,id=mirror,node-name=mirror,name=mirror,writable=on',
    ],
    socketPath,
  );
  return subject('quorum mirror', server, socketPath, 'mirror', async () => {
    for (const path of paths) await rm(path);
  });
};

export const btrfs: Peer = async (folder, sizeBytes) => {
  for (const program of ['nbdkit', 'mkfs.btrfs', 'losetup', 'chattr']) {
    if (!findProgram(program)) return notInstalled(program);
  }
  if (process.getuid?.() !== 0) return { skipped: 'btrfs needs root for loop devices and mount' };

  const images = [0, 1, 2, 3].map((index) => join(folder, `btrfs-${index}.img`));
  const mountPoint = join(folder, 'btrfs');
  const loops: string[] = [];
  const cleanUp = async (): Promise<void> => {
    await runProgram('umount', [mountPoint]);
    for (const loop of loops) await runProgram('losetup', ['-d', loop]);
    for (const path of [...images, mountPoint]) await rm(path, { recursive: true, force: true });
  };
  try {
    // A third of the file on each of four drives, and room for metadata.
    const imageBytes = Math.ceil(sizeBytes / 3 / 2 ** 20) * 2 ** 20 + 512 * 2 ** 20;
    for (const path of images) {
      await filledFile(path, imageBytes);
      loops.push((await mustRun('losetup', ['-f', '--show', path])).stdout.trim());
    }
    await mustRun('mkfs.btrfs', ['-q', '-f', '-d', 'raid5', '-m', 'raid1', ...loops]);
    await mkdir(mountPoint, { recursive: true });
    for (const loop of loops) await runProgram('btrfs', ['device', 'scan', loop]);
    await mustRun('mount', ['-o', 'nodatacow,noatime', loops[0] ?? '', mountPoint]);
    const path = join(mountPoint, 'volume.img');
    await writeFile(path, '');
    await mustRun('chattr', ['+C', path]);
    await mustRun('dd', ['if=/dev/zero', `of=${path}`, 'bs=1M', `count=${sizeBytes / 2 ** 20}`]);
    await mustRun('sync', ['-f', path]);
    const socketPath = join(folder, 'btrfs.sock');
    const server = await ServerProcess.start(
      'nbdkit',
      ['-f', '-U', socketPath, 'file', path],
      socketPath,
    );
    return subject('btrfs raid5', server, socketPath, '', cleanUp);
  } catch (error) {
    await cleanUp();
    return { skipped: error instanceof Error ? error.message : String(error) };
  }
};
