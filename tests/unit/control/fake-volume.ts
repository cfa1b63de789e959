/** A volume without drives, for the tests of what stands around it. Its host runs in this thread. */

import { localPorts } from '../../../src/control/rpc.ts';
import type { VolumeThread } from '../../../src/control/volume-handle.ts';
import { type Sessions, VolumeHost } from '../../../src/control/volume-host.ts';
import { done, type Outcome, refuse } from '../../../src/core/problems.ts';
import type { LocumEvent, WindowReport } from '../../../src/core/status.ts';
import type { EngineEnvironment, RunningVolume } from '../../../src/engine/contract.ts';
import { optimalStatus, sampleReport } from '../api/samples.ts';

type NewEvent = Omit<LocumEvent, 'sequence' | 'at'>;

export class FakeVolume {
  /** Set to have the start refused. */
  refusal: Outcome<RunningVolume> | null = null;
  name = 'v1';
  uuid = optimalStatus().uuid;
  drives: string[] = [];
  logs: string[] = [];
  report: WindowReport | null = null;
  stopped = false;
  destroyed = false;
  connections = 0;
  emit: (event: NewEvent) => void = () => {};
  die: (reason: string) => void = () => {};
  terminated = false;
  /** While set, nothing is answered: a thread that hangs. */
  stalled = false;
  /** While set, adding a drive does not end: a command under way. */
  adding = false;
  readonly calls: string[] = [];
  readonly faults: unknown[] = [];

  thread(): VolumeThread {
    const [ours, theirs] = localPorts();
    const gated = {
      post: (message: unknown) => {
        if (!this.stalled) theirs.post(message);
      },
      listen: (receive: (message: unknown) => void) => theirs.listen(receive),
    };
    const start = async (
      name: string | null,
      drives: readonly string[],
      logs: readonly string[],
    ) => {
      if (this.refusal) return this.refusal;
      this.name = name ?? this.name;
      this.drives = [...drives];
      this.logs = [...logs];
      return done(this.running());
    };
    void new VolumeHost(gated, {
      createVolume: (_environment, request) =>
        start(request.name, request.drivePaths, request.logPaths),
      assembleVolume: (_environment, request) =>
        start(request.name, request.drivePaths, request.logPaths),
      environment: (emit) => {
        this.emit = emit;
        return {} as EngineEnvironment;
      },
      sessions: () => this.sessions(),
      close: () => true,
      onFault: (error) => this.faults.push(error),
    });
    const died = new Promise<string>((resolve) => {
      this.die = resolve;
    });
    const terminate = async (): Promise<void> => {
      this.terminated = true;
    };
    return { port: ours, died, terminate };
  }

  sessions(): Sessions {
    const count = (): number => this.connections;
    return {
      open: () => {
        this.connections += 1;
      },
      shutdown: async () => {
        this.connections = 0;
      },
      get connectionCount() {
        return count();
      },
    };
  }

  running(): RunningVolume {
    const did = (call: string): Promise<Outcome<void>> => {
      this.calls.push(call);
      return Promise.resolve(done(undefined));
    };
    const window = (change: Partial<WindowReport>): Promise<Outcome<WindowReport>> => {
      this.report = sampleReport({ volume: this.name, ...this.report, ...change });
      return Promise.resolve(done(this.report));
    };
    const volume: Partial<RunningVolume> = {
      uuid: this.uuid,
      preferredBytes: 65_536,
      description: 'a fake',
      status: () => optimalStatus({ name: this.name, uuid: this.uuid, io: 'memory' }),
      paths: () => ({ drives: [...this.drives], logs: [...this.logs] }),
      stop: () => {
        this.stopped = true;
        return did('stop');
      },
      destroy: () => {
        this.destroyed = true;
        return did('destroy');
      },
      addDrive: (path) => {
        if (this.adding) return new Promise(() => {});
        this.drives.push(path);
        return did(`add ${path}`);
      },
      replaceLeg: ({ leg, path }) => {
        this.logs[Number(leg)] = path;
        return did(`replace leg ${leg}`);
      },
      addLog: ({ paths }) => {
        this.logs = [...paths];
        return did('add log');
      },
      failDrive: (drive) => did(`fail ${drive}`),
      planWindow: async ({ purpose }) =>
        done({ allowed: true, drive: { slot: 1, path: '/srv/d1.img' }, purpose, checks: [] }),
      openWindow: () => window({}),
      closeWindow: () =>
        window({ state: 'closed', closedAt: '2026-01-01T00:10:00.000Z', outcome: 'returned' }),
      windowReport: () =>
        this.report ? done(this.report) : refuse('window-none', { volume: this.name }),
      scrubStatus: () => refuse('job-none', { kind: 'scrub' }),
      checkLog: () => new Promise(() => {}),
    };
    return volume as RunningVolume;
  }
}
