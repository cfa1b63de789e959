/**
 * What the fuzzer does in one round, as plain data: several connections at the same time, each with all the bytes it will
 * ever send and the way it ends. A plan is made from (seed, number) alone, and can be written to a file, made smaller and
 * run again (fuzz-shrink.ts, fuzz-corpus.ts).
 *
 * Three quarters of the connections shake hands soundly, so that most messages are requests; a third of those is spoilt
 * afterwards. A sound message costs nothing to get right, but it is the mixture (a spoilt request between sound ones, in
 * flight beside a long read) that finds what neither finds alone.
 */

import { Stream } from '../sim/streams.ts';
import { command, flag, halves, option, WireWriter, wire } from './fuzz-wire.ts';

/**
 *   end        half-closes when everything was sent, reads to the end
 *   vanish     the connection breaks as soon as `sentBytes` of it were sent
 *   silent     stops in the middle and stays
 *   deaf       from `sentBytes` on it reads nothing more
 */
export type Ending = 'end' | 'vanish' | 'silent' | 'deaf';

export interface ConnectionPlan {
  readonly wire: Uint8Array;
  readonly ending: Ending;
  readonly sentBytes: number;
  /** Fragments, order and errors of the device, who comes first: everything that is not the bytes. */
  readonly seed: number;
  readonly sizeBytes: number;
  readonly fragments: 'whole' | 'large' | 'small' | 'bytes';
  readonly device: 'prompt' | 'late' | 'reordered';
  /** Of a thousand operations of the device, how many fail. */
  readonly troublePerMille: number;
}

export interface RoundPlan {
  readonly poolBytes: number;
  /** The pool fills what it gives and checks what it gets back. */
  readonly debug: boolean;
  /** A second export, so that the empty name means none. */
  readonly twoExports: boolean;
  /** The volume is shut down after so many turns; −1: not before the end. */
  readonly shutdownTurn: number;
  readonly connections: readonly ConnectionPlan[];
}

const KIB = 1024;
const MIB = 1024 * KIB;
const EDGES = [0, 1, 2, 3, 27, 28, 255, 256, 4095, 4096, 4097, 65_535, 65_536, 65_537];
const HUGE = [2 ** 25, 2 ** 26, 2 ** 26 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const SMALL_LENGTHS = [1, 2, 511, 512, 512, 513, 1024, 4096, 4096, 8192];
const NAMES = ['', 'v1', 'v2', 'v3', 'V1', 'v1 ', '\uFEFFv1', 'v1\0', 'ü', 'x'.repeat(300)];
const QUERIES: readonly (readonly string[])[] = [
  [],
  ['base:allocation'],
  ['base:'],
  ['base:allocation', 'base:allocation'],
  ['qemu:dirty-bitmap:x', 'base:allocation'],
  ['\uFEFFbase:allocation'],
  ['nothing'],
];

/** Where payloads come from: what matters is that two places of it differ. */
const noise = new Stream(1, 'noise').bytes(256 * KIB);

export function planRound(seed: number, number: number): RoundPlan {
  const draw = new Stream(seed, `round ${number}`);
  const kind = draw.below(100);
  const poolBytes = kind < 15 ? 4 * MIB : kind < 40 ? 16 * MIB : 64 * MIB;
  const count = 1 + draw.below(5);
  const twoExports = draw.chance(0.2);
  const connections = Array.from({ length: count }, (_, index) =>
    planConnection(new Stream(seed, `round ${number} connection ${index}`), twoExports),
  );
  return {
    poolBytes,
    debug: kind < 2,
    twoExports,
    shutdownTurn: draw.chance(0.1) ? draw.below(60) : -1,
    connections,
  };
}

function planConnection(draw: Stream, twoExports: boolean): ConnectionPlan {
  const sizeBytes = draw.chance(0.05)
    ? 8 * MIB + 512
    : draw.pick([1, 511, 512, 65_536 + 512, 512 * KIB, 512 * KIB, 512 * KIB, MIB]);
  const made = new WireMaker(draw, sizeBytes, twoExports).make();
  const ending = draw.pick<Ending>(['end', 'end', 'end', 'end', 'vanish', 'silent', 'deaf']);
  return {
    wire: made,
    ending,
    sentBytes: draw.below(made.length + 1),
    seed: draw.u32(),
    sizeBytes,
    fragments: draw.pick(['whole', 'large', 'large', 'large', 'small', 'small', 'bytes']),
    device: draw.pick(['prompt', 'prompt', 'late', 'reordered']),
    troublePerMille: draw.chance(0.25) ? draw.pick([5, 50, 400]) : 0,
  };
}

/** Empty between two plans; made once, because they grow. */
const sharedOut = new WireWriter();
const sharedData = new WireWriter();

/** All that one client sends. */
class WireMaker {
  readonly #draw: Stream;
  readonly #sizeBytes: number;
  readonly #exportName: string;
  readonly #out = sharedOut;
  readonly #data = sharedData;
  /** Where each request begins. */
  readonly #starts: number[] = [];

  constructor(draw: Stream, sizeBytes: number, twoExports: boolean) {
    this.#draw = draw;
    this.#sizeBytes = sizeBytes;
    this.#exportName = twoExports ? 'v1' : draw.pick(['v1', 'v1', '']);
  }

  make(): Uint8Array {
    const draw = this.#draw;
    if (draw.chance(0.75)) this.#soundHandshake();
    else this.#oddHandshake();
    const handshakeBytes = this.#out.length;
    const count = draw.chance(0.01) ? 1000 + draw.below(2000) : 1 + draw.below(120);
    for (let index = 0; index < count; index++) this.#request(index);
    if (draw.chance(0.4)) this.#disconnect(count);
    const made = this.#out.take();
    return draw.chance(0.4) ? this.#spoil(made, handshakeBytes) : made;
  }

  #soundHandshake(): void {
    const draw = this.#draw;
    const out = this.#out.u32(draw.chance(0.8) ? 3 : 1);
    const empty = new Uint8Array(0);
    if (draw.chance(0.1)) out.option(option.list, empty);
    if (draw.chance(0.7)) {
      out.option(option.structuredReply, empty);
      if (draw.chance(0.7)) out.option(option.setMeta, this.#meta(this.#exportName, QUERIES[1]!));
    }
    if (draw.chance(0.1)) out.option(option.info, this.#info(this.#exportName, [0, 1, 2, 3]));
    if (draw.chance(0.1)) {
      this.#data.text(this.#exportName);
      out.option(option.exportName, this.#data.take());
    } else {
      out.option(option.go, this.#info(this.#exportName, draw.pick([[], [3], [1, 3, 9]])));
    }
  }

  #oddHandshake(): void {
    const draw = this.#draw;
    this.#out.u32(draw.pick([3, 3, 3, 3, 3, 1, 0, 2, 4, 0x80000003]));
    const count = draw.chance(0.02) ? 70 : draw.below(9);
    for (let index = 0; index < count; index++) this.#oddOption();
    if (draw.chance(0.7)) this.#out.option(option.go, this.#info(this.#exportName, [3]));
  }

  #oddOption(): void {
    const draw = this.#draw;
    const name = draw.pick(NAMES);
    const code = draw.below(14);
    let data: Uint8Array;
    switch (draw.below(6)) {
      case 0:
        data = new Uint8Array(0);
        break;
      case 1:
        data = this.#meta(name, draw.pick(QUERIES));
        break;
      case 2:
        data = this.#info(name, [draw.below(9), draw.below(9)]);
        break;
      case 3:
        data = this.#data.u32(draw.pick(EDGES)).text(name).u32(draw.pick(EDGES)).take();
        break;
      case 4:
        data = this.#data.text(name).take();
        break;
      default:
        data = this.#manyQueries();
    }
    const fitting = [option.setMeta, option.listMeta, option.go, option.info, option.list] as const;
    const claimed = draw.chance(0.05) ? draw.pick([...EDGES, ...HUGE]) : data.length;
    this.#out.option(draw.chance(0.6) ? draw.pick(fitting) : code, data, claimed);
  }

  /** Around the limits of strings and of their number. */
  #manyQueries(): Uint8Array {
    const draw = this.#draw;
    const count = draw.pick([1, 255, 256, 257]);
    const query = 'q'.repeat(draw.pick([0, 1, 200]));
    this.#data.counted(draw.chance(0.5) ? 'v1' : 'n'.repeat(draw.pick([4095, 4096, 4097])));
    this.#data.u32(count);
    for (let index = 0; index < count; index++) this.#data.counted(query);
    return this.#data.take();
  }

  #meta(name: string, queries: readonly string[]): Uint8Array {
    this.#data.counted(name).u32(queries.length);
    for (const query of queries) this.#data.counted(query);
    return this.#data.take();
  }

  #info(name: string, types: readonly number[]): Uint8Array {
    this.#data.counted(name).u16(types.length);
    for (const type of types) this.#data.u16(type);
    return this.#data.take();
  }

  #request(index: number): void {
    const draw = this.#draw;
    const cookie = [draw.u32(), index > 0 && draw.chance(0.03) ? 7 : draw.u32()] as const;
    if (draw.chance(0.12)) this.#oddRequest(cookie);
    else this.#soundRequest(cookie);
  }

  #soundRequest(cookie: readonly [number, number]): void {
    const draw = this.#draw;
    const c = command;
    const { read, write } = c;
    const type = draw.pick([read, read, read, write, write, write, ...rareCommands]);
    const lengthBytes = Math.min(this.#length(), this.#sizeBytes);
    const whole = draw.chance(0.7);
    const free = this.#sizeBytes - lengthBytes;
    const offset = whole ? 512 * draw.below(Math.floor(free / 512) + 1) : draw.below(free + 1);
    let flags = draw.chance(0.15) ? flag.fua : 0;
    if (type === c.zeroes) flags |= draw.pick([0, flag.noHole, flag.fast, flag.noHole | flag.fast]);
    if (type === c.status) flags |= draw.pick([0, flag.one]);
    if (type === c.read && draw.chance(0.1)) flags |= flag.df;
    if (type === c.flush) this.#put(type, flags, cookie, [0, 0], 0);
    else this.#put(type, flags, cookie, halves(offset), lengthBytes);
    if (type === c.write) this.#payload(lengthBytes);
  }

  #oddRequest(cookie: readonly [number, number]): void {
    const draw = this.#draw;
    const size = this.#sizeBytes;
    const offsets = [0, 1, 511, 512, size - 1, size, size + 1, 2 ** 32, 2 ** 52, 2 ** 53 - 1];
    const offset = draw.chance(0.1)
      ? ([0xffffffff, draw.pick([0, 0xfffffe00, 0xffffffff])] as const)
      : halves(Math.max(0, draw.pick(offsets)));
    const type = draw.chance(0.8) ? draw.below(9) : draw.pick([10, 77, 0x8000, 0xffff]);
    const flags = draw.chance(0.5) ? draw.below(32) : draw.pick([0, 0, 32, 64, 0x8000, 0xffff]);
    if (type === command.disconnect && !draw.chance(0.1)) return;
    let lengthBytes = draw.chance(0.5) ? draw.pick(EDGES) : this.#length();
    if (draw.chance(0.1) && (type !== command.write || draw.chance(0.1))) {
      lengthBytes = draw.pick(HUGE);
    }
    this.#put(type, flags, cookie, offset, lengthBytes);
    if (type === command.write && lengthBytes <= 4 * MIB) this.#payload(lengthBytes);
  }

  #length(): number {
    const draw = this.#draw;
    const kind = draw.below(1000);
    if (kind < 930) return draw.pick(SMALL_LENGTHS);
    if (kind < 970) return 1 + draw.below(32 * KIB);
    if (kind < 995) return draw.pick([65_536, 65_537, 128 * KIB, 1 + draw.below(300 * KIB)]);
    return draw.pick([MIB, MIB + 1, 2 * MIB, 3 * MIB + 17, 5 * MIB]);
  }

  #payload(lengthBytes: number): void {
    const start = this.#draw.below(noise.length);
    for (let left = lengthBytes, at = start; left > 0; at = 0) {
      const taken = Math.min(left, noise.length - at);
      this.#out.bytes(noise.subarray(at, at + taken));
      left -= taken;
    }
  }

  #disconnect(count: number): void {
    this.#put(command.disconnect, 0, [0, count], [0, 0], 0);
    if (this.#draw.chance(0.3)) this.#soundRequest([1, 1]);
  }

  #put(
    type: number,
    flags: number,
    cookie: readonly [number, number],
    offset: readonly [number, number],
    lengthBytes: number,
  ): void {
    this.#starts.push(this.#out.length);
    // Shared among requests of one kind: among others the client itself could not tell the answers apart.
    this.#out.request(type, flags, cookie[1] === 7 ? [type, 7] : cookie, offset, lengthBytes);
  }

  /** A byte changed, a piece cut out, doubled, or put in; mostly in a header, seldom in its magic. */
  #spoil(made: Uint8Array, handshakeBytes: number): Uint8Array {
    const draw = this.#draw;
    let bytes = made;
    for (let times = 1 + draw.below(3); times > 0 && bytes.length > 0; times--) {
      const start = this.#starts.length > 0 ? draw.pick(this.#starts) : 0;
      const inHeader = draw.chance(0.05) ? draw.below(4) : 4 + draw.below(wire.requestBytes - 4);
      const anywhere = draw.below(draw.chance(0.3) ? handshakeBytes : bytes.length);
      const at = Math.min(draw.chance(0.8) ? start + inHeader : anywhere, bytes.length - 1);
      const kind = draw.below(20);
      if (kind < 16) bytes[at] = draw.pick([0, 1, 2, 3, 0x7f, 0x80, 0xff, draw.below(256)]);
      else if (kind === 16) bytes = bytes.slice(0, at);
      else if (kind === 17) bytes = spliced(bytes, at, 1 + draw.below(64), noise.subarray(0, 0));
      else if (kind === 18) bytes = spliced(bytes, at, 0, bytes.slice(at, at + 1 + draw.below(64)));
      else bytes = spliced(bytes, at, 0, noise.subarray(0, 1 + draw.below(64)));
    }
    return bytes;
  }
}

const rareCommands = [command.flush, command.trim, command.cache, command.zeroes, command.status];

export function spliced(
  bytes: Uint8Array,
  at: number,
  removedBytes: number,
  added: Uint8Array,
): Uint8Array {
  const rest = bytes.subarray(Math.min(at + removedBytes, bytes.length));
  const result = new Uint8Array(at + added.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(rest, at + added.length);
  return result;
}
