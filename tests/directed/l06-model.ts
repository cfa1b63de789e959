/**
 * L6: mdadm's own tests of "fail, re-add" were broken for years, for nobody had a model of what should happen. This is the
 * model: a few words for each slot, what each command does to them, and when it is refused. l06-machine.ts runs both side
 * by side.
 *
 *   in       has everything                             away        the drive of the window
 *   out      missed writes                              frozen-out  lost since the freeze, and complete to that moment
 */

export type SlotWord = 'in' | 'out' | 'away' | 'frozen-out';

export const commandKinds = [
  'write',
  'flush',
  'quiet',
  'fail',
  'add',
  'replace',
  'open',
  'close',
  'pull',
  'plug',
  'stop',
  'kill',
  'power cut',
] as const;
export type CommandKind = (typeof commandKinds)[number];

export interface Command {
  readonly kind: CommandKind;
  /** Which slot, where, how much: taken modulo what there is, so that a command means something wherever it stands. */
  readonly n: number;
}

export interface ModelSlot {
  word: SlotWord;
  path: string;
  /** An operator failed it: it is not taken back by itself. */
  byHand: boolean;
  pulled: boolean;
}

/** done: the command works. A code: refused so. skip: it is not tried, because the outcome is another test's business. */
export type Expected = 'done' | 'skip' | { readonly refused: string };

const refused = (code: string): Expected => ({ refused: code });

export class Model {
  readonly slots: ModelSlot[];
  readonly #tolerates: number;

  constructor(members: number, tolerates: number) {
    this.#tolerates = tolerates;
    this.slots = Array.from({ length: members }, (_, slot) => ({
      word: 'in',
      path: `d${slot}`,
      byHand: false,
      pulled: false,
    }));
  }

  get frozen(): boolean {
    return this.slots.some(({ word }) => word === 'away');
  }

  get absent(): number {
    return this.slots.filter(({ word }) => word !== 'in').length;
  }

  get readable(): boolean {
    return this.absent <= this.#tolerates;
  }

  get state(): string {
    if (this.frozen) return 'frozen';
    return this.absent === 0 ? 'optimal' : 'degraded';
  }

  slot(n: number): ModelSlot {
    return this.slots[n % this.slots.length] as ModelSlot;
  }

  /** What the command does, and to the model at once. */
  apply({ kind, n }: Command): Expected {
    const slot = this.slot(n);
    switch (kind) {
      case 'write':
      case 'flush':
      case 'quiet':
      case 'stop':
      case 'kill':
      case 'power cut':
        return 'done';
      case 'fail':
        return this.#fail(slot);
      case 'pull':
        return this.#pull(slot);
      case 'plug':
        slot.pulled = false;
        if (slot.word === 'frozen-out' && !slot.byHand) slot.word = 'in';
        return 'done';
      case 'add':
        return this.#add(slot);
      case 'replace':
        return this.#replace(slot, `new${n}`);
      case 'open':
        if (this.frozen || slot.word !== 'in') return refused('window-refused');
        slot.word = 'away';
        return 'done';
      case 'close':
        return this.#close();
    }
  }

  #fail(slot: ModelSlot): Expected {
    if (slot.word !== 'in') return refused('drive-wrong-state');
    if (this.frozen) {
      // Somebody must be left who can record it.
      if (this.slots.filter(({ word }) => word === 'in').length === 1) return 'skip';
      slot.word = 'frozen-out';
      slot.byHand = true;
      return 'done';
    }
    if (this.absent + 1 > this.#tolerates) return refused('drive-last-copy');
    slot.word = 'out';
    slot.byHand = true;
    return 'done';
  }

  #pull(slot: ModelSlot): Expected {
    if (slot.word !== 'in' || slot.pulled) return 'skip';
    if (this.frozen) {
      if (this.slots.filter(({ word }) => word === 'in').length === 1) return 'skip';
      slot.word = 'frozen-out';
    } else {
      // One too many is a halt: the matrix has it.
      if (this.absent + 1 > this.#tolerates) return 'skip';
      slot.word = 'out';
    }
    slot.byHand = false;
    slot.pulled = true;
    return 'done';
  }

  #add(slot: ModelSlot): Expected {
    if (slot.pulled) return refused('drive-path-missing');
    switch (slot.word) {
      case 'in':
        return refused('drive-in-other-volume');
      case 'away':
        return refused('drive-wrong-state');
      case 'frozen-out':
        slot.word = 'in';
        return 'done';
      case 'out':
        if (this.frozen) return refused('drive-stale');
        slot.word = 'in';
        return 'done';
    }
  }

  #replace(slot: ModelSlot, path: string): Expected {
    if (this.frozen) return refused('volume-wrong-state');
    const others = this.slots.filter((one) => one !== slot && one.word !== 'in').length;
    if (slot.word === 'in' && others + 1 > this.#tolerates) return refused('drive-last-copy');
    Object.assign(slot, { word: 'in', path, byHand: false, pulled: false });
    return 'done';
  }

  /** The log is replayed: whoever is not here then has missed it. */
  #close(): Expected {
    const away = this.slots.find(({ word }) => word === 'away');
    if (away === undefined) return refused('window-none');
    // With it there must be enough; those that are as at the freeze can still come back.
    if (this.absent - 1 > this.#tolerates) return refused('window-others-absent');
    for (const slot of this.slots) if (slot.word === 'frozen-out') slot.word = 'out';
    away.word = 'in';
    return 'done';
  }
}
