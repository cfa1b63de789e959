/**
 * Everything that happened on the drives of a server, in order, and what its host was told meanwhile.
 *
 * All drives and legs of the server are in this process, and so is the host that loads it: one list holds the writes
 * and flushes of every drive and the host's requests and answers, in the order in which they happened. A request is put
 * down before it is sent and an answer after it has come, so whatever the server did for a write lies between the two.
 *
 * A drive takes a write and answers at once: nothing is in flight inside it. What it holds after its last flush is
 * certain; a write after that is, at a power cut, there, gone or torn.
 */

import type { Answer, ServedDrive } from './drives-nbd.ts';

export type Entry =
  | {
      readonly kind: 'write';
      readonly drive: number;
      readonly offset: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: 'flush'; readonly drive: number }
  /** `host` is the number of a host request: see `power-host.ts`. */
  | { readonly kind: 'asked' | 'answered'; readonly host: number }
  /** What the life does next, for a person and for what may be demanded there. */
  | { readonly kind: 'mark'; readonly mark: Mark };

export interface Mark {
  readonly name: string;
  /** The state the volume is in from here on, as far as the life knows. */
  readonly state: string;
  /**
   * May a member be lost together with the power? `must`: a window is surely open and all others are present, so the
   * volume has to start. `maybe`: it may be refused (parity may be in doubt), but what starts is right.
   */
  readonly lost: 'must' | 'maybe' | 'no';
  /** One of the two legs is out already: the other may not be lost. */
  readonly isLegOut?: boolean;
}

export class Recording {
  readonly entries: Entry[] = [];
  readonly drives: RecordedDrive[] = [];
  isRecording = false;

  /** Drives are numbered in the order of this call; those of the volume first, then the legs. */
  addDrive(sizeBytes: number): RecordedDrive {
    const drive = new RecordedDrive(this, this.drives.length, sizeBytes);
    this.drives.push(drive);
    return drive;
  }

  /** From here on; what the drives hold now is where every replay begins. */
  start(): void {
    for (const drive of this.drives) drive.keepStart();
    this.isRecording = true;
  }

  add(entry: Entry): void {
    if (this.isRecording) this.entries.push(entry);
  }
}

export class RecordedDrive implements ServedDrive {
  readonly sizeBytes: number;
  /** What every request is answered with; 0 as long as the drive is well. */
  errno = 0;
  readonly #recording: Recording;
  readonly #number: number;
  readonly #bytes: Buffer;
  #start: Buffer;

  constructor(recording: Recording, number: number, sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#recording = recording;
    this.#number = number;
    this.#bytes = Buffer.alloc(sizeBytes);
    this.#start = this.#bytes;
  }

  get start(): Buffer {
    return this.#start;
  }

  /** What it holds now. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  keepStart(): void {
    this.#start = Buffer.from(this.#bytes);
  }

  read(offset: number, into: Buffer): Answer {
    if (this.errno === 0) this.#bytes.copy(into, 0, offset, offset + into.length);
    return this.errno;
  }

  write(offset: number, bytes: Buffer): Answer {
    if (this.errno !== 0) return this.errno;
    bytes.copy(this.#bytes, offset);
    this.#recording.add({ kind: 'write', drive: this.#number, offset, bytes });
    return 0;
  }

  flush(): Answer {
    if (this.errno === 0) this.#recording.add({ kind: 'flush', drive: this.#number });
    return this.errno;
  }
}
