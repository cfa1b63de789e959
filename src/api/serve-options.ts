/**
 * What `locum serve` asks of the daemon. The command line may not see the daemon's layer (it is a client of the API),
 * so it loads daemon/main.ts by name and hands over this.
 */

export interface ServeOptions {
  /** Absolute; holds control.sock, nbd.sock, volumes.json, events.jsonl and windows.jsonl. */
  readonly stateDirectory: string;
  /** `unix:PATH` or `tcp:HOST:PORT`; empty means unix:STATE/nbd.sock. */
  readonly listen: readonly string[];
  readonly io: 'auto' | 'uring' | 'node';
  readonly logJson: boolean;
  /** Overrides of the limits of the engine and of NBD by name, such as `driveDeadlineMs`, `connectionCount`. */
  readonly limits: Readonly<Record<string, number>>;
}

/** daemon/main.ts exports `serve: Serve`; it resolves with the exit code when the server has stopped. */
export type Serve = (options: ServeOptions) => Promise<number>;

/** `--limit poolBytes`: in less than this a long read finds no room for its pieces, whatever the others give back. */
export const POOL_BYTES_MIN = 8 * 1024 * 1024;
