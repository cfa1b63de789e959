/**
 * The handshake of one connection as a pure state machine: bytes in, bytes out, no socket, no
 * clock. It only ever looks at a complete option of at most 64 KiB, copied out of the stream into a
 * buffer of exactly that size, so the same bytes give the same answers however they were cut into
 * packets.
 *
 *     flags ──► option header ──► option data ──┬──► (next option header)
 *                    ▲                          ├──► handed over   GO, EXPORT_NAME
 *                    └──────────────────────────┤──► finished      ABORT
 *                                               └──► dropped       protocol violation
 *
 * Rules:
 *   1. Only a violation of the protocol drops the connection; every other mistake gets an error
 *      reply, and the stream stays in step because exactly the announced bytes were consumed.
 *   2. Nothing about a volume is touched before GO: the directory answers from memory.
 *   3. SET_META_CONTEXT replaces the earlier selection even when it fails, and holds only for the
 *      name it gave.
 */

import { echo } from './echo.ts';
import type { ExportDirectory, ExportInfo } from './export-directory.ts';
import { transmissionFlags } from './export-directory.ts';
import {
  BLOCK_BYTES_MIN,
  OPTION_BYTES_MAX,
  OPTION_COUNT_MAX,
  PAYLOAD_BYTES_ADVERTISED,
} from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import type { OptionProblem } from './option-reader.ts';
import { OptionReader } from './option-reader.ts';
import { fields, greeting, OptionWriter, utf8Bytes } from './option-writer.ts';
import * as protocol from './protocol.ts';

export type HandshakeOutcome =
  /** Send `reply` and go on. */
  | { readonly kind: 'more'; readonly reply: Uint8Array }
  /** Send `reply`, then close: the client wanted it so. */
  | { readonly kind: 'finished'; readonly reply: Uint8Array }
  /** Close; `reason` is for the log. */
  | { readonly kind: 'dropped'; readonly reply: Uint8Array; readonly reason: string }
  /** `reply` goes out first, then transmission begins; `leftover` was sent ahead by the client. */
  | {
      readonly kind: 'handed-over';
      readonly reply: Uint8Array;
      readonly leftover: Uint8Array;
      readonly negotiated: Negotiated;
    };

type Phase = 'flags' | 'header' | 'data' | 'over';
type End = 'finished' | { readonly dropped: string } | Negotiated;

const EXPORT_NAME_PADDING_BYTES = 124;
const TEXT_INVALID_LENGTH = 'this option carries no data';

export class Handshake {
  readonly #directory: ExportDirectory;
  readonly #payloadBytes: number;
  readonly #writer = new OptionWriter();
  #phase: Phase = 'flags';
  /** What the current phase waits for, filled from the front. */
  #wanted = new Uint8Array(protocol.CLIENT_FLAGS_BYTES);
  #filledBytes = 0;
  #option = 0;
  #optionCount = 0;
  #fixedNewstyle = false;
  #noZeroes = false;
  #structured = false;
  #metaSelection: string | null = null;

  constructor(directory: ExportDirectory, payloadBytes = PAYLOAD_BYTES_ADVERTISED) {
    this.#directory = directory;
    this.#payloadBytes = payloadBytes;
  }

  /** What the server says unasked, once, before anything is pushed. */
  greeting(): Uint8Array {
    return greeting();
  }

  /** `bytes` is borrowed. Not to be called again after an outcome other than 'more'. */
  push(bytes: Uint8Array): HandshakeOutcome {
    let at = 0;
    while (this.#phase !== 'over') {
      const takenBytes = Math.min(bytes.length - at, this.#wanted.length - this.#filledBytes);
      this.#wanted.set(bytes.subarray(at, at + takenBytes), this.#filledBytes);
      this.#filledBytes += takenBytes;
      at += takenBytes;
      if (this.#filledBytes < this.#wanted.length) break;
      const end = this.#step(this.#wanted);
      if (end !== null) return this.#over(end, bytes.slice(at));
    }
    return { kind: 'more', reply: this.#writer.take() };
  }

  #over(end: End, leftover: Uint8Array): HandshakeOutcome {
    this.#phase = 'over';
    const reply = this.#writer.take();
    if (end === 'finished') return { kind: 'finished', reply };
    if ('dropped' in end) return { kind: 'dropped', reply, reason: end.dropped };
    return { kind: 'handed-over', reply, leftover, negotiated: end };
  }

  #await(phase: Phase, lengthBytes: number): null {
    this.#phase = phase;
    this.#wanted = new Uint8Array(lengthBytes);
    this.#filledBytes = 0;
    return null;
  }

  #step(bytes: Uint8Array): End | null {
    switch (this.#phase) {
      case 'flags':
        return this.#clientFlags(bytes);
      case 'header':
        return this.#optionHeader(bytes);
      default:
        return this.#run(new OptionReader(bytes), bytes.length) ?? this.#nextOption();
    }
  }

  #nextOption(): null {
    return this.#await('header', protocol.OPTION_HEADER_BYTES);
  }

  #clientFlags(bytes: Uint8Array): End | null {
    const flags = viewOf(bytes).getUint32(0);
    const known = protocol.HANDSHAKE_FIXED_NEWSTYLE | protocol.HANDSHAKE_NO_ZEROES;
    if ((flags & ~known) !== 0) return { dropped: 'unknown client flags' };
    this.#fixedNewstyle = (flags & protocol.HANDSHAKE_FIXED_NEWSTYLE) !== 0;
    this.#noZeroes = (flags & protocol.HANDSHAKE_NO_ZEROES) !== 0;
    return this.#nextOption();
  }

  #optionHeader(bytes: Uint8Array): End | null {
    const view = viewOf(bytes);
    const [high, low] = protocol.OPTION_MAGIC;
    if (view.getUint32(0) !== high || view.getUint32(4) !== low) {
      return { dropped: 'wrong option magic' };
    }
    this.#option = view.getUint32(8);
    const lengthBytes = view.getUint32(12);
    if (lengthBytes > OPTION_BYTES_MAX) return { dropped: 'option too long' };
    this.#optionCount += 1;
    if (this.#optionCount > OPTION_COUNT_MAX) return { dropped: 'too many options' };
    if (!this.#fixedNewstyle && this.#option !== protocol.OPTION_EXPORT_NAME) {
      return { dropped: 'an option that needs fixed newstyle' };
    }
    return this.#await('data', lengthBytes);
  }

  /** Null: go on with the next option. */
  #run(reader: OptionReader, lengthBytes: number): End | null {
    switch (this.#option) {
      case protocol.OPTION_EXPORT_NAME:
        return this.#exportName(reader);
      case protocol.OPTION_ABORT:
        this.#ack();
        return 'finished';
      case protocol.OPTION_LIST:
        return lengthBytes > 0 ? this.#invalid(TEXT_INVALID_LENGTH) : this.#list();
      case protocol.OPTION_STARTTLS:
        if (lengthBytes > 0) return this.#invalid(TEXT_INVALID_LENGTH);
        return this.#error(protocol.REPLY_ERR_UNSUPPORTED, 'TLS is not supported');
      case protocol.OPTION_INFO:
      case protocol.OPTION_GO:
        return this.#info(reader);
      case protocol.OPTION_STRUCTURED_REPLY:
        if (lengthBytes > 0) return this.#invalid(TEXT_INVALID_LENGTH);
        this.#structured = true;
        return this.#ack();
      case protocol.OPTION_LIST_META_CONTEXT:
      case protocol.OPTION_SET_META_CONTEXT:
        return this.#metaContext(reader);
      default:
        return this.#error(protocol.REPLY_ERR_UNSUPPORTED, 'this option is not supported');
    }
  }

  #exportName(reader: OptionReader): End {
    const name = reader.rest();
    const problem = reader.finish();
    if (problem !== null) return { dropped: problem.message };
    const info = this.#directory.find(name);
    if (info === null) return { dropped: `no export ${echo(name)}` };
    this.#writer.raw(fields([8, info.sizeBytes], [2, transmissionFlags(this.#structured)]));
    if (!this.#noZeroes) this.#writer.raw(new Uint8Array(EXPORT_NAME_PADDING_BYTES));
    return this.#negotiated(name, info, false);
  }

  #list(): null {
    for (const { name, description } of this.#directory.list()) {
      const nameBytes = utf8Bytes(name);
      const length = fields([4, nameBytes.length]);
      this.#reply(protocol.REPLY_SERVER, length, nameBytes, utf8Bytes(description));
    }
    return this.#ack();
  }

  #info(reader: OptionReader): End | null {
    const name = reader.string();
    const wanted = reader.informationTypes();
    const problem = reader.finish();
    if (problem !== null) return this.#problem(problem);
    const info = this.#directory.find(name);
    if (info === null) return this.#unknown(name);
    const flags = transmissionFlags(this.#structured);
    const { INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE, REPLY_INFO } = protocol;
    this.#reply(REPLY_INFO, fields([2, INFO_EXPORT], [8, info.sizeBytes], [2, flags]));
    if (wanted.includes(INFO_NAME)) {
      this.#reply(REPLY_INFO, fields([2, INFO_NAME]), utf8Bytes(info.name));
    }
    if (wanted.includes(INFO_DESCRIPTION)) {
      this.#reply(REPLY_INFO, fields([2, INFO_DESCRIPTION]), utf8Bytes(info.description));
    }
    const aligned = wanted.includes(INFO_BLOCK_SIZE);
    if (aligned) this.#reply(REPLY_INFO, blockSizes(info, this.#payloadBytes));
    this.#ack();
    return this.#option === protocol.OPTION_GO ? this.#negotiated(name, info, aligned) : null;
  }

  #metaContext(reader: OptionReader): null {
    const set = this.#option === protocol.OPTION_SET_META_CONTEXT;
    if (set) this.#metaSelection = null;
    const name = reader.string();
    const queries = reader.queries();
    const problem = reader.finish();
    if (problem !== null) return this.#problem(problem);
    if (set && !this.#structured) return this.#invalid('structured replies come first');
    if (this.#directory.find(name) === null) return this.#unknown(name);
    // `base:` is a wildcard in a list, and selects nothing.
    const all = !set && (queries.length === 0 || queries.includes('base:'));
    if (all || queries.includes(protocol.META_CONTEXT_ALLOCATION)) {
      const id = set ? protocol.META_CONTEXT_ALLOCATION_ID : 0;
      const context = utf8Bytes(protocol.META_CONTEXT_ALLOCATION);
      this.#reply(protocol.REPLY_META_CONTEXT, fields([4, id]), context);
      if (set) this.#metaSelection = name;
    }
    return this.#ack();
  }

  #negotiated(name: string, info: ExportInfo, aligned: boolean): Negotiated {
    const selected = this.#structured && this.#metaSelection === name;
    return {
      exportName: info.name,
      structured: this.#structured,
      allocationContextId: selected ? protocol.META_CONTEXT_ALLOCATION_ID : 0,
      aligned,
    };
  }

  #reply(type: number, ...data: readonly Uint8Array[]): void {
    this.#writer.reply(this.#option, type, ...data);
  }

  #ack(): null {
    this.#reply(protocol.REPLY_ACK);
    return null;
  }

  #error(type: number, message: string): null {
    this.#writer.error(this.#option, type, message);
    return null;
  }

  #problem({ reply, message }: OptionProblem): null {
    return this.#error(reply, message);
  }

  #invalid(message: string): null {
    return this.#error(protocol.REPLY_ERR_INVALID, message);
  }

  #unknown(name: string): null {
    return this.#error(protocol.REPLY_ERR_UNKNOWN, `there is no export ${echo(name)}`);
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Minimum, preferred (a power of two, as the protocol wants it), maximum payload. */
const blockSizes = ({ preferredBytes }: ExportInfo, payloadBytes: number): Uint8Array => {
  const wanted = Math.min(Math.max(preferredBytes, 4096), payloadBytes);
  const preferred = 2 ** Math.floor(Math.log2(wanted));
  return fields(
    [2, protocol.INFO_BLOCK_SIZE],
    [4, BLOCK_BYTES_MIN],
    [4, preferred],
    [4, payloadBytes],
  );
};
