/** The commands of Locum's own tools, each a small program beside this file. */

import { fileURLToPath } from 'node:url';
import { type Command, shownCommand } from './command.ts';
import type { DownloadMode } from './scsi-format.ts';
import type { SelfTestTransport } from './self-test.ts';
import type { Fault } from './simulated.ts';

const toolFile = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** The last whole percent in what the tool printed. */
export function percentIn(lastLines: string): number | null {
  const last = [...lastLines.matchAll(/^(\d{1,3}) %$/gm)].at(-1);
  return last === undefined ? null : Math.min(1, Number(last[1]) / 100);
}

/** `sample` is the read test after a task, `scan` reads all of it. Either may be stopped at any time. */
export function readCommand(
  mode: 'sample' | 'scan',
  paths: readonly string[],
  badReads: readonly Fault[] = [],
): Command {
  const bad = badReads.map((fault) => `--bad=${fault.offsetBytes ?? 0}:${fault.lengthBytes ?? 1}`);
  return {
    program: process.execPath,
    args: [toolFile('read-tool'), mode, ...paths, ...bad],
    shown: `read ${mode === 'scan' ? 'all' : 'samples'} of ${paths.join(' ')}`,
    mayStop: true,
    progress: percentIn,
  };
}

export function simulatedCommand(
  verb: 'stage' | 'activate' | 'reset' | 'self-test',
  mainImage: string,
  argument: string | null,
): Command {
  const words = [verb, mainImage, ...(argument === null ? [] : [argument])];
  return {
    program: process.execPath,
    args: [toolFile('simulated-tool'), ...words],
    shown: `simulated-drive ${words.join(' ')}`,
    mayStop: verb === 'self-test',
    progress: percentIn,
  };
}

const TEST_EVERY_MS = 2000;

/** Stopping it aborts the test in the drive. */
export function selfTestCommand(
  transport: SelfTestTransport,
  path: string,
  kind: 'short' | 'long',
  everyMs = TEST_EVERY_MS,
): Command {
  return {
    program: process.execPath,
    args: [toolFile('self-test-tool'), transport, path, kind, String(everyMs)],
    shown: `${kind} self-test of ${path}`,
    mayStop: true,
    progress: percentIn,
  };
}

export function scsiDownloadCommand(
  program: string,
  mode: DownloadMode,
  image: string,
  path: string,
): Command {
  return {
    program: process.execPath,
    args: [toolFile('scsi-download-tool'), program, mode, image, path],
    shown: shownCommand('sg_write_buffer', [`--mode=${mode}`, '--bpw=4k', `--in=${image}`, path]),
    mayStop: false,
    progress: percentIn,
  };
}
