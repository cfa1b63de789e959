/**
 * What tasks take from the outside, so that tests can give them tools of their own, another /sys and another user.
 *
 * Tools are looked for in PATH and nowhere else. The folders in which Debian keeps the tools of the administrator are
 * added to it once, by `toolEnvironment`: a service may be started with the PATH of an ordinary user.
 */

import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { done, type Outcome, refuse } from '../core/problems.ts';

export interface TaskContext {
  /** The whole environment of every command; PATH is where tools are looked for. */
  readonly environment: Readonly<Record<string, string>>;
  readonly isRoot: boolean;
  /** `/sys`, or a model of it. */
  readonly sysRoot: string;
  /** How often a self-test is looked at; for tests. */
  readonly testEveryMs?: number;
}

/** Nothing but the folders that a path can be given without: the same output in every language. */
export function toolEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const given = Object.entries(environment).filter(
    (pair): pair is [string, string] => pair[1] !== undefined,
  );
  const folders = (environment['PATH'] ?? '').split(':').filter(Boolean);
  for (const folder of ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (!folders.includes(folder)) folders.push(folder);
  }
  return { ...Object.fromEntries(given), PATH: folders.join(':'), LC_ALL: 'C' };
}

export const systemContext = (): TaskContext => ({
  environment: toolEnvironment(process.env),
  isRoot: process.geteuid?.() === 0,
  sysRoot: '/sys',
});

/** Each tool, and the Debian package that brings it. */
export const tools = {
  nvme: 'nvme-cli',
  smartctl: 'smartmontools',
  hdparm: 'hdparm',
  sg_inq: 'sg3-utils',
  sg_vpd: 'sg3-utils',
  sg_readcap: 'sg3-utils',
  sg_write_buffer: 'sg3-utils',
  sg_reset: 'sg3-utils',
  sg_senddiag: 'sg3-utils',
  sg_logs: 'sg3-utils',
} as const;
export type Tool = keyof typeof tools;

/** The full path of a tool, or null. */
export function findTool(context: TaskContext, tool: Tool): string | null {
  for (const folder of (context.environment['PATH'] ?? '').split(':').filter(Boolean)) {
    const file = join(folder, tool);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // The next folder.
    }
  }
  return null;
}

/** The first tool that is not there is the refusal. */
export function needTools(
  context: TaskContext,
  path: string,
  wanted: readonly Tool[],
): Outcome<void> {
  for (const tool of wanted) {
    if (findTool(context, tool) === null) {
      return refuse('tool-missing', { tool, package: tools[tool], path });
    }
  }
  return done(undefined);
}

export function needRoot(context: TaskContext, path: string): Outcome<void> {
  return context.isRoot
    ? done(undefined)
    : refuse('not-permitted', { path, reason: 'it does not run as root' });
}
