/**
 * `locum serve`: the composition root. Puts the parts together, starts them in order, and ends them in the reverse one.
 *
 *   state directory (lock) → known volumes, events, history → volumes → NBD listeners → control socket
 *
 * The control socket comes last, so that a server that answers is a server that serves: the volumes that can start have
 * started (or START_WAIT_MS have passed; a drive that hangs must not hide the others).
 *
 * SIGTERM or SIGINT: stop taking connections, finish what is under way, flush, mark clean, exit within STOP_WAIT_MS.
 * A second signal exits at once; so does a fault. Both are crashes to the volumes, which they recover from.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { catalogue, exitCodes, explain } from '../api/errors.ts';
import type { Serve, ServeOptions } from '../api/serve-options.ts';
import { Control } from '../control/control-plane.ts';
import { EventLog } from '../control/event-log.ts';
import { KnownVolumes } from '../control/known-volumes.ts';
import { openRolloutStore } from '../control/rollouts/rollout-store.ts';
import { openRunStore } from '../control/runs/run-store.ts';
import { WindowHistory } from '../control/window-history.ts';
import type { Outcome, Problem } from '../core/problems.ts';
import { done, refuse } from '../core/problems.ts';
import { buildApp } from '../http/app.ts';
import { listenOnControlSocket } from '../http/control-socket.ts';
import { chooseIo } from '../io/choose.ts';
import { native } from '../io/native.ts';
import type { ListenAddress } from '../nbd/acceptor.ts';
import { Listeners, parseListenAddress } from './listeners.ts';
import { type ServerLog, serverLog } from './log.ts';
import { runTools } from './run-tools.ts';
import { openStateDirectory, type StateDirectory } from './state-directory.ts';
import { startInMainThread, startWorker } from './volume-thread.ts';

const START_WAIT_MS = 15_000;
const STOP_WAIT_MS = 9_500;

export const serve: Serve = async (options) => {
  const log = serverLog(options.logJson);
  const fault = (error: unknown): never => {
    log.fatal(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(exitCodes.failed);
  };
  process.on('uncaughtException', fault);

  const state = openStateDirectory(options.stateDirectory);
  if (!state.ok) return complain(state.problem);
  const signals = new Signals();
  const running = await start(options, state.value, log, fault);
  if (!running.ok) {
    state.value.release();
    return complain(running.problem);
  }
  const signal = await signals.first;
  log.info(`${signal}: stopping`);
  return await stop(running.value, state.value, log);
};

interface Running {
  readonly control: Control;
  readonly events: EventLog;
  readonly history: WindowHistory;
  readonly listeners: Listeners;
  readonly app: ReturnType<typeof buildApp>;
}

async function start(
  options: ServeOptions,
  state: StateDirectory,
  log: ServerLog,
  fault: (error: unknown) => never,
): Promise<Outcome<Running>> {
  const choice = chooseIo(options.io);
  if (choice.io === null) {
    return refuse('argument-invalid', { name: '--io', value: options.io, reason: choice.reason });
  }
  const io = choice.io;
  const addresses = listenAddresses(options, state);
  if (!addresses.ok) return addresses;

  const trouble = (reason: string): void => log.error(reason);
  const known = await KnownVolumes.load(state.volumesFile);
  if (!known.ok) return known;
  const events = await EventLog.open(state.eventsFile, Date.now, trouble);
  const history = await WindowHistory.open(state.windowsFile, trouble);
  const startedAt = new Date().toISOString();
  const { version } = packageOf();
  const control: Control = new Control({
    server: () => ({
      version,
      pid: process.pid,
      startedAt,
      stateDirectory: state.path,
      io,
      ioReason: choice.reason,
      listen: listeners.addresses,
    }),
    known: known.value,
    events,
    history,
    startThread: (name) =>
      io === 'uring'
        ? startWorker(name, options.limits, fault)
        : startInMainThread(options.limits, fault),
    onDisconnected: (id, reason) => listeners.ended(id, reason),
    onVolumeLost: (name) => listeners.cut(name),
    onTrouble: trouble,
    wallMs: Date.now,
    rollouts: await openRolloutStore(state.rolloutsFolder, trouble),
    runs: await openRunStore(state.runsFolder, trouble),
    tools: runTools(),
    windowGroupsFile: state.windowGroupsFile,
    onFault: fault,
  });
  const listeners: Listeners = new Listeners(
    control,
    io === 'uring' ? 'fd' : 'socket',
    options.limits,
    log,
  );
  events.subscribe(Number.MAX_SAFE_INTEGER, null, ({ volume, kind, severity, message }) => {
    const level = severity === 'critical' ? 'error' : severity === 'warning' ? 'warn' : 'info';
    log[level]({ volume, kind }, message);
  });

  const ready = control.startKnown();
  const waited = await Promise.race([
    ready.then(() => true),
    delay(START_WAIT_MS, false, { ref: false }),
  ]);
  if (!waited) log.warn('some volumes are still being started');
  for (const address of addresses.value) {
    const listening = await listeners.listen(address);
    if (!listening.ok) return await undo(listening.problem);
  }
  const app = buildApp({ control, onFault: fault });
  const answering = await listenOnControlSocket(app, state.controlSocket, state.path);
  if (!answering.ok) return await undo(answering.problem);
  log.info(
    { version, io, state: state.path, listen: listeners.addresses },
    `serving; ${choice.reason}`,
  );
  return done({ control, events, history, listeners, app });

  async function undo(problem: Problem): Promise<Outcome<Running>> {
    await listeners.close();
    await control.close();
    return { ok: false, problem };
  }
}

async function stop(running: Running, state: StateDirectory, log: ServerLog): Promise<number> {
  const { control, events, history, listeners, app } = running;
  const orderly = async (): Promise<boolean> => {
    await Promise.all([app.close(), listeners.close()]);
    await control.close();
    await Promise.all([events.flush(), history.flush()]);
    return true;
  };
  const stopped = await Promise.race([orderly(), delay(STOP_WAIT_MS, false, { ref: false })]);
  state.release();
  if (!stopped) {
    log.error('not everything could be stopped in time; the volumes recover at the next start');
    return leave(exitCodes.failed);
  }
  log.info('stopped');
  // Threads that the kernel still has a hand in are not waited for.
  return leave(exitCodes.done);
}

/** Nothing is left to be written: the log and all files are written as they go. */
function leave(status: number): never {
  return native()?.exit(status) ?? process.exit(status);
}

/** The first signal asks, the second one insists. */
class Signals {
  readonly first: Promise<string>;

  constructor() {
    this.first = new Promise((resolve) => {
      let asked = false;
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.on(signal, () => {
          if (asked) process.exit(exitCodes.failed);
          asked = true;
          resolve(signal);
        });
      }
    });
  }
}

function listenAddresses(options: ServeOptions, state: StateDirectory): Outcome<ListenAddress[]> {
  if (options.listen.length === 0) return done([{ kind: 'unix', path: state.nbdSocket }]);
  const addresses: ListenAddress[] = [];
  for (const text of options.listen) {
    const address = parseListenAddress(text);
    if (!address) {
      return refuse('argument-invalid', {
        name: '--listen',
        value: text,
        expected: 'unix:PATH or tcp:HOST:PORT',
      });
    }
    addresses.push(address);
  }
  return done(addresses);
}

function complain(problem: Problem): number {
  const { message, fix } = explain(problem);
  process.stderr.write(`locum: ${message}\n  next: ${fix}\n`);
  return catalogue[problem.code].exitCode;
}

function packageOf(): { version: string } {
  return JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
}
