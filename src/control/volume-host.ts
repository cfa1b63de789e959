/**
 * The volume's side of the calls: holds the one RunningVolume of its thread and its NBD sessions, and turns calls into
 * methods. Started by daemon/volume-worker.ts in a thread of its own, or by the daemon in the main thread.
 *
 * One host serves one volume once: after stop, destroy or a refused start it is thrown away.
 */

import { done, type Outcome, refuse } from '../core/problems.ts';
import type { LocumEvent } from '../core/status.ts';
import type {
  AssembleVolume,
  CreateVolume,
  EngineEnvironment,
  RunningVolume,
} from '../engine/contract.ts';
import type { BlockDevice } from '../io/block-device.ts';
import { answerCalls, type Port } from './rpc.ts';
import type { Connection, Snapshot, VolumeCalls, VolumeNotice } from './volume-calls.ts';

/** The NBD sessions of the volume; nbd/ implements them and control/ may not see it. */
export interface Sessions {
  open(connection: Connection): void;
  shutdown(deadlineMs: number): Promise<void>;
  readonly connectionCount: number;
}

export interface HostSurroundings {
  readonly createVolume: CreateVolume;
  readonly assembleVolume: AssembleVolume;
  /** The environment around `emit`, which the host provides. */
  readonly environment: (emit: EngineEnvironment['emit']) => EngineEnvironment;
  readonly sessions: (
    device: BlockDevice,
    onClosed: (id: number, reason: string) => void,
  ) => Sessions;
  /** Gives ring and pool back; false when the kernel still has something of them in hand. */
  readonly close: () => boolean;
  readonly onFault: (error: unknown) => void;
}

export class VolumeHost implements VolumeCalls {
  readonly #surroundings: HostSurroundings;
  readonly #tell: (notice: VolumeNotice) => void;
  readonly #environment: EngineEnvironment;
  #volume: RunningVolume | null = null;
  #sessions: Sessions | null = null;

  constructor(port: Port, surroundings: HostSurroundings) {
    this.#surroundings = surroundings;
    this.#environment = surroundings.environment((event: Omit<LocumEvent, 'sequence' | 'at'>) =>
      this.#tell({ kind: 'event', event }),
    );
    this.#tell = answerCalls<VolumeNotice>(port, this, surroundings.onFault);
  }

  create: VolumeCalls['create'] = async (request) =>
    this.#started(await this.#surroundings.createVolume(this.#environment, request));

  assemble: VolumeCalls['assemble'] = async (request) =>
    this.#started(await this.#surroundings.assembleVolume(this.#environment, request));

  #started(outcome: Outcome<RunningVolume>): Outcome<Snapshot> {
    if (!outcome.ok) return outcome;
    this.#volume = outcome.value;
    this.#sessions = this.#surroundings.sessions(outcome.value, (id, reason) =>
      this.#tell({ kind: 'disconnected', id, reason }),
    );
    return done(this.#snapshot(outcome.value));
  }

  #snapshot(volume: RunningVolume): Snapshot {
    const report = volume.windowReport();
    return {
      status: volume.status(),
      paths: volume.paths(),
      preferredBytes: volume.preferredBytes,
      description: volume.description,
      report: report.ok ? report.value : null,
      connections: this.#sessions?.connectionCount ?? 0,
    };
  }

  /** Runs `method` on the volume; a call that comes before the start or after the stop is answered so. */
  async #with<T>(
    method: (volume: RunningVolume) => Outcome<T> | Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    return this.#volume ? await method(this.#volume) : refuse('volume-not-running');
  }

  snapshot: VolumeCalls['snapshot'] = () => this.#with((volume) => done(this.#snapshot(volume)));

  connect: VolumeCalls['connect'] = (connection) =>
    this.#with(() => {
      this.#sessions?.open(connection);
      return done(undefined);
    });

  disconnect: VolumeCalls['disconnect'] = async (deadlineMs) => {
    await this.#sessions?.shutdown(deadlineMs);
    return done(undefined);
  };

  end: VolumeCalls['end'] = async () => done(this.#surroundings.close());
  stop: VolumeCalls['stop'] = () => this.#with((volume) => volume.stop());
  destroy: VolumeCalls['destroy'] = () => this.#with((volume) => volume.destroy());
  addDrive: VolumeCalls['addDrive'] = (path, spare, force, verify) =>
    this.#with((volume) => volume.addDrive(path, spare, force, verify));
  failDrive: VolumeCalls['failDrive'] = (drive) => this.#with((volume) => volume.failDrive(drive));
  removeDrive: VolumeCalls['removeDrive'] = (drive) =>
    this.#with((volume) => volume.removeDrive(drive));
  replaceDrive: VolumeCalls['replaceDrive'] = (drive, path, force) =>
    this.#with((volume) => volume.replaceDrive(drive, path, force));
  planWindow: VolumeCalls['planWindow'] = (request) =>
    this.#with((volume) => volume.planWindow(request));
  openWindow: VolumeCalls['openWindow'] = (request) =>
    this.#with((volume) => volume.openWindow(request));
  closeWindow: VolumeCalls['closeWindow'] = (request) =>
    this.#with((volume) => volume.closeWindow(request));
  abortWindow: VolumeCalls['abortWindow'] = () => this.#with((volume) => volume.abortWindow());
  extendWindow: VolumeCalls['extendWindow'] = (byMs) =>
    this.#with((volume) => volume.extendWindow(byMs));
  windowReport: VolumeCalls['windowReport'] = () => this.#with((volume) => volume.windowReport());
  startScrub: VolumeCalls['startScrub'] = (repair) =>
    this.#with((volume) => volume.startScrub(repair));
  stopScrub: VolumeCalls['stopScrub'] = () => this.#with((volume) => volume.stopScrub());
  scrubStatus: VolumeCalls['scrubStatus'] = () => this.#with((volume) => volume.scrubStatus());
  logReport: VolumeCalls['logReport'] = () => this.#with((volume) => volume.logReport());
  checkLog: VolumeCalls['checkLog'] = () => this.#with((volume) => volume.checkLog());
  replaceLeg: VolumeCalls['replaceLeg'] = (request) =>
    this.#with((volume) => volume.replaceLeg(request));
  addLog: VolumeCalls['addLog'] = (request) => this.#with((volume) => volume.addLog(request));
}
