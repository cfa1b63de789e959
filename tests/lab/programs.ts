/** The programs that the lab needs on this machine, each with its Debian package. */

import { findProgram } from '../support/processes.ts';

const packages = {
  'linux.uml': 'user-mode-linux',
  modprobe: 'kmod',
  mdadm: 'mdadm',
  'nbd-client': 'nbd-client',
  'mkfs.ext4': 'e2fsprogs',
  sg_write_buffer: 'sg3-utils',
  smartctl: 'smartmontools',
  dmsetup: 'dmsetup',
  sfdisk: 'fdisk',
} as const;
export type Program = keyof typeof packages;

/** Why the programs cannot be used, in one sentence; null when all of them are there. */
export function whyNot(programs: readonly Program[]): string | null {
  const missing = programs.find((program) => findProgram(program) === null);
  return missing === undefined
    ? null
    : `${missing} is not installed (Debian package ${packages[missing]})`;
}
