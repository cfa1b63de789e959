/**
 * Runs one command on a drive, and never trusts it: it has a limit of time, its output is bounded, and it outlives the
 * server if it must, because a flash tool that is killed half-way is worse than one that runs on.
 *
 *   - The command is a session and a process group of its own, so that no signal of the server's terminal reaches it and
 *     its children end with it.
 *   - It writes to a file (output-file.ts), not to a pipe. A tiny shell around it leaves its process number in FILE.pid
 *     and its exit status in FILE.status, so that a server that is started again can wait for it and learn how it ended.
 *   - After the limit, or when it may be stopped and is told to: SIGTERM to the group, 5 seconds, SIGKILL, 5 seconds. What
 *     is still there then hangs in the kernel; it is left alone and the caller treats the drive as away.
 */

import { spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { closeDescriptor } from '../io/close-file.ts';
import type { TaskContext } from './context.ts';
import { cutOutput, readOutput, readTail } from './output-file.ts';
import type { CommandResult, StepControl } from './task.ts';

export interface Command {
  /** Full path of the program. */
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the environment of the tasks. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** For people; made of program and arguments when it is not given. */
  readonly shown?: string;
  /** A flash tool may not be stopped half-way; a test of a drive may. */
  readonly mayStop: boolean;
  /** Finds the share that is done in the last of the output. */
  readonly progress?: (lastLines: string) => number | null;
}

/** A process, told from a later one of the same number by its start in clock ticks since boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

const GRACE_MS = 5000;
/** Of what a tool said last, in a sentence. */
const LAST_LINE_CHARS = 160;
const LOOK_EVERY_MS = 100;
const PROGRESS_BYTES = 4096;

// The shell ignores SIGTERM for itself only: its command is ended by the signal, and the status is still written.
const SHELL = '/bin/sh';
/** Its $0, by which it is known again. */
const NAME = 'locum';
const wrapper =
  'trap : TERM; out=$1; shift; echo $$ 2>/dev/null >"$out.pid"; ' +
  '"$@"; status=$?; echo $status 2>/dev/null >"$out.status"; exit $status';

/** How a process ended; a status of null is not known. */
interface End {
  readonly exitStatus: number | null;
  readonly error: string;
}

export async function runCommand(
  command: Command,
  control: StepControl,
  context: TaskContext,
): Promise<CommandResult> {
  const shown = command.shown ?? shownCommand(command.program, command.args);
  const notStarted = (reason: string): CommandResult => ({
    command: shown,
    result: 'not-started',
    exitStatus: null,
    output: '',
    reason,
  });
  if (control.signal.aborted && command.mayStop)
    return notStarted('it was stopped before it began');
  let fd: number;
  try {
    fd = openSync(control.outputPath, 'a', 0o600);
    rmSync(`${control.outputPath}.status`, { force: true });
    writeFileSync(`${control.outputPath}.pid`, '');
  } catch (error) {
    return notStarted(`its output cannot be written: ${sentence(error)}`);
  }
  const child = spawn(
    SHELL,
    ['-c', wrapper, NAME, control.outputPath, command.program, ...command.args],
    {
      detached: true,
      stdio: ['ignore', fd, fd],
      env: { ...context.environment, ...command.environment },
      cwd: command.directory ?? '/',
    },
  );
  closeDescriptor(fd);
  const ended = new Promise<End>((resolve) => {
    child.once('error', (error) => resolve({ exitStatus: null, error: sentence(error) }));
    child.once('exit', (status) => resolve({ exitStatus: status, error: '' }));
  });
  if (child.pid === undefined) {
    const { error } = await ended;
    return notStarted(`it cannot be started: ${error}`);
  }
  const startTicks = startTicksOf(child.pid);
  if (startTicks !== null) control.onStarted({ pid: child.pid, startTicks });
  return supervise({ pid: child.pid, ended }, shown, command, control);
}

/** The process that a server before this one left running with this output; null when there is none. */
export function findCommand(outputPath: string): ProcessIdentity | null {
  const pid = numberIn(`${outputPath}.pid`) ?? unwrittenPid(outputPath);
  if (pid === null) return null;
  const startTicks = startTicksOf(pid);
  return startTicks !== null && isWrapper(pid, outputPath) ? { pid, startTicks } : null;
}

/**
 * The shell around the command that prints there, and not another process of that number, nor somebody who reads along
 * in the file. What the shell was told is not compared: a server of another version may have begun it.
 */
function isWrapper(pid: number, outputPath: string): boolean {
  const args = readOrEmpty(`/proc/${pid}/cmdline`).split('\0');
  const [shell, option, , name, output] = args;
  const isIt = shell === SHELL && option === '-c' && name === NAME && output === outputPath;
  return isIt && Number(statFields(pid)?.[SESSION]) === pid;
}

const SESSION = 3;

/** There was no room for the number: the process is looked for among all. A command that has ended left its status. */
function unwrittenPid(outputPath: string): number | null {
  if (!existsSync(`${outputPath}.pid`) || existsSync(`${outputPath}.status`)) return null;
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).find((pid) => isWrapper(pid, outputPath)) ?? null;
}

/**
 * Waits for a command that another process started, under the same limits. How it ended is read from what it left
 * behind; when it left nothing, `failed` says so, and the drive has to be asked in any case.
 */
export async function waitForProcess(
  process: ProcessIdentity,
  command: Pick<Command, 'mayStop' | 'progress'> & { readonly shown: string },
  control: Omit<StepControl, 'onStarted'>,
): Promise<CommandResult> {
  const leave = new AbortController();
  const ended = (async (): Promise<End> => {
    while (!leave.signal.aborted && isRunning(process)) await sleep(LOOK_EVERY_MS);
    return {
      exitStatus: numberIn(`${control.outputPath}.status`),
      error: 'it ended while no server watched it, and left no exit status',
    };
  })();
  // Its limit began with it. The kernel says how old it is; the clock on the wall may have been set meanwhile.
  const limitMs = isRunning(process)
    ? Math.max(1, control.limitMs - ageMsOf(process))
    : control.limitMs;
  const left = { ...control, limitMs };
  try {
    return await supervise({ pid: process.pid, ended }, command.shown, command, left);
  } finally {
    leave.abort();
    await ended;
  }
}

/** A zombie has ended; only nobody has asked for its status yet. */
export function isRunning({ pid, startTicks }: ProcessIdentity): boolean {
  const fields = statFields(pid);
  return fields !== null && fields[0] !== 'Z' && Number(fields[19]) === startTicks;
}

async function supervise(
  running: { readonly pid: number; readonly ended: Promise<End> },
  shown: string,
  command: Pick<Command, 'mayStop' | 'progress'>,
  control: Omit<StepControl, 'onStarted'>,
): Promise<CommandResult> {
  let end: End | null = null;
  const ended = running.ended.then((value) => {
    end = value;
  });
  const startMs = performance.now();
  let cause: 'timed-out' | 'stopped' | null = null;
  let stoppedMs = 0;
  let isKilled = false;
  for (;;) {
    await Promise.race([ended, sleep(LOOK_EVERY_MS)]);
    await cutOutput(control.outputPath, true);
    const nowMs = performance.now();
    const share = command.progress?.(await readTail(control.outputPath, PROGRESS_BYTES)) ?? null;
    if (share !== null) control.onProgress(share);
    // What was told to end has ended when its children have, too.
    if (end !== null && (cause === null || !signalGroup(running.pid, 0))) break;
    if (cause === null) {
      if (nowMs - startMs >= control.limitMs) cause = 'timed-out';
      else if (control.signal.aborted && command.mayStop) cause = 'stopped';
      if (cause === null) continue;
      stoppedMs = nowMs;
      signalGroup(running.pid, 'SIGTERM');
    } else if (!isKilled && nowMs - stoppedMs >= GRACE_MS) {
      isKilled = true;
      signalGroup(running.pid, 'SIGKILL');
    } else if (nowMs - stoppedMs >= 2 * GRACE_MS) {
      break;
    }
  }
  if (end !== null) await cutOutput(control.outputPath, false);
  const output = await readOutput(control.outputPath);
  const lastLine = output.trimEnd().split('\n').at(-1)?.trim() ?? '';
  const result = howItEnded(end, cause, isKilled, control.limitMs, lastLine);
  return { command: shown, output, ...result };
}

function howItEnded(
  end: End | null,
  cause: 'timed-out' | 'stopped' | null,
  isKilled: boolean,
  limitMs: number,
  lastLine: string,
): Pick<CommandResult, 'result' | 'exitStatus' | 'reason'> {
  if (cause === null) {
    const exitStatus = end?.exitStatus ?? null;
    if (exitStatus === 0) return { result: 'done', exitStatus, reason: '' };
    // A process that a signal ended has no status. What a tool says last is mostly why it failed.
    const said = lastLine === '' ? '' : `: ${lastLine.slice(0, LAST_LINE_CHARS)}`;
    const reason =
      exitStatus === null
        ? end?.error || 'it was ended by a signal'
        : `exit status ${exitStatus}${said}`;
    return { result: 'failed', exitStatus, reason };
  }
  const why =
    cause === 'stopped'
      ? 'it was stopped on request'
      : `it did not end within ${Math.round(limitMs / 1000)} s and was ended`;
  const how =
    end === null ? ', but it hangs in the kernel and cannot be ended' : isKilled ? ' by force' : '';
  return { result: cause, exitStatus: null, reason: why + how };
}

/** False when nobody is left in the group. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

/** For people, and so that it can be pasted into a shell. */
export const shownCommand = (program: string, args: readonly string[]): string =>
  quoted([program.slice(program.lastIndexOf('/') + 1), ...args]);

/** Words as a shell takes them. */
export const quoted = (words: readonly string[]): string =>
  words
    .map((word) =>
      /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`,
    )
    .join(' ');

export function startTicksOf(pid: number): number | null {
  const ticks = Number(statFields(pid)?.[19] ?? Number.NaN);
  return Number.isSafeInteger(ticks) ? ticks : null;
}

const TICK_MS = 10;

function ageMsOf({ startTicks }: ProcessIdentity): number {
  const upMs = Number(readOrEmpty('/proc/uptime').split(' ')[0]) * 1000;
  return Math.max(0, upMs - startTicks * TICK_MS) || 0;
}

/** From the third field on: the second, the name, may hold anything. */
function statFields(pid: number): string[] | null {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  return text === '' ? null : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function numberIn(file: string): number | null {
  const text = readOrEmpty(file).trim();
  return /^\d+$/.test(text) ? Number(text) : null;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const sleep = (delayMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delayMs));
const sentence = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
