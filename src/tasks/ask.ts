/**
 * Short questions to a drive: a tool that only reads, its answer taken as bytes through a pipe. Unlike the commands of
 * command.ts it changes nothing, so that it may be killed at any time, and it does not outlive the server.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { done, type Outcome, refuse } from '../core/problems.ts';
import { findTool, type TaskContext, type Tool, tools } from './context.ts';
import { plainText } from './output-file.ts';

const ANSWER_LIMIT_MS = 10_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const KILL_WAIT_MS = 1000;

/** Questions that could not even be killed, by drive: it is asked no more until one of them ends. */
const hanging = new Map<string, Set<ChildProcess>>();
const HANGING_MAX = 4;

function addHanging(path: string, child: ChildProcess): void {
  const children = hanging.get(path) ?? new Set();
  hanging.set(path, children.add(child));
  child.once('exit', () => {
    children.delete(child);
    if (children.size === 0) hanging.delete(path);
  });
}

export interface Answer {
  /** Null: ended by a signal. */
  readonly exitStatus: number | null;
  readonly bytes: Buffer;
  /** What it said on its error output, for a sentence. */
  readonly complaint: string;
}

/** Refused: tool missing, no answer in time, or more answer than anybody asked for. Any exit status is an answer. */
export async function ask(
  context: TaskContext,
  path: string,
  tool: Tool,
  args: readonly string[],
  limitMs = ANSWER_LIMIT_MS,
): Promise<Outcome<Answer>> {
  const program = findTool(context, tool);
  if (program === null) return refuse('tool-missing', { tool, package: tools[tool], path });
  if ((hanging.get(path)?.size ?? 0) >= HANGING_MAX) {
    const reason = `${HANGING_MAX} questions before this one hang in the kernel`;
    return refuse('drive-no-answer', { path, reason });
  }
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: context.environment,
      cwd: '/',
      // A group of its own: a tool that is a script ends with its children.
      detached: true,
    });
    const pieces: Buffer[] = [];
    const complaints: Buffer[] = [];
    let lengthBytes = 0;
    let trouble = '';
    let abandon: NodeJS.Timeout | null = null;
    const giveUp = (why: string): void => {
      if (trouble !== '') return;
      trouble = why;
      killGroup(child.pid);
      // A process that waits in the kernel for a dead drive does not end even so.
      abandon = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        addHanging(path, child);
        finish(null);
      }, KILL_WAIT_MS);
    };
    const take =
      (into: Buffer[]) =>
      (piece: Buffer): void => {
        lengthBytes += piece.length;
        if (lengthBytes > ANSWER_BYTES_MAX) giveUp(`${tool} printed more than 1 MiB`);
        else into.push(piece);
      };
    const limit = setTimeout(
      () => giveUp(`${tool} got no answer within ${limitMs / 1000} s`),
      limitMs,
    );
    const finish = (exitStatus: number | null): void => {
      clearTimeout(limit);
      if (abandon !== null) clearTimeout(abandon);
      if (trouble !== '') return resolve(refuse('drive-no-answer', { path, reason: trouble }));
      const complaint = plainText(Buffer.concat(complaints).toString('utf8')).trim();
      resolve(done({ exitStatus, bytes: Buffer.concat(pieces), complaint }));
    };
    child.stdout.on('data', take(pieces));
    child.stderr.on('data', take(complaints));
    child.once('error', (error) => {
      trouble = `${tool} cannot be started: ${error.message}`;
      finish(null);
    });
    child.once('close', (status) => finish(status));
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** An answer of exit status 0, or why there is none, told from what the tool complained of. */
export async function askWell(
  context: TaskContext,
  path: string,
  tool: Tool,
  args: readonly string[],
): Promise<Outcome<Buffer>> {
  let answer = await ask(context, path, tool, args);
  for (let i = 1; i < ATTENTIONS_MAX && isUnitAttention(tool, answer); i += 1) {
    answer = await ask(context, path, tool, args);
  }
  if (!answer.ok) return answer;
  const { exitStatus, bytes, complaint } = answer.value;
  if (exitStatus === 0) return done(bytes);
  const said = firstLine(complaint || plainText(bytes.toString('utf8')));
  // Some tools begin with their name, others do not.
  const words = said.startsWith(tool) ? said : `${tool}: ${said || `exit status ${exitStatus}`}`;
  return refuse(whyNot(complaint), { path, reason: words });
}

/** Something has happened to the drive, and the command was not carried out: normal after new firmware or a reset. */
const isUnitAttention = (tool: Tool, answer: Outcome<Answer>): boolean =>
  tool.startsWith('sg_') && answer.ok && answer.value.exitStatus === UNIT_ATTENTION;
const UNIT_ATTENTION = 6;
const ATTENTIONS_MAX = 5;

const firstLine = (text: string): string => text.trim().split('\n')[0]!.trim().slice(0, 200);

/** The words of strerror, which all tools print. */
export function whyNot(complaint: string): 'not-permitted' | 'drive-busy' | 'drive-no-answer' {
  if (/permission denied|operation not permitted/i.test(complaint)) return 'not-permitted';
  if (/device or resource busy/i.test(complaint)) return 'drive-busy';
  return 'drive-no-answer';
}
