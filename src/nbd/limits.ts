/**
 * Everything a client could make large has its limit here. docs/protocol/nbd.md repeats them for
 * users; what happens at a limit is said at the place that holds it.
 */

import { KIB, MIB } from '../base/units.ts';

export interface NbdLimits {
  /** Connections in any state, of all exports; one more is accepted and closed at once. */
  readonly connectionCount: number;
  readonly connectionsPerExport: number;
  /** Connections in any state of one TCP peer address, beyond it as above. A unix socket's peers have no address. */
  readonly connectionsPerAddress: number;
  /** From accept to GO, in total: not renewed by an option. */
  readonly handshakeMs: number;
  /** No more than this waits unread in the socket of a client that is still in the handshake. */
  readonly handshakeUnsentBytes: number;
  readonly requestsInFlight: number;
  /** Payloads and replies one connection may hold in the buffer pool. */
  readonly heldBytes: number;
  /** A part of a request arrived and less than `progressBytes` more of it since: dropped. */
  readonly halfSentMs: number;
  readonly progressBytes: number;
  /** Replies wait and the client takes nothing: dropped. */
  readonly unreadMs: number;
  /** After the last reply the client has this long to close its end. */
  readonly lingerMs: number;
  /** What is advertised to clients that ask for block sizes. */
  readonly payloadBytes: number;
}

/** What is advertised: the largest payload a client should send or ask for. */
export const PAYLOAD_BYTES_ADVERTISED = 32 * MIB;

/**
 * Of a pool of this size: at least a half of it is shared by clients, and a payload may be a quarter of what they share
 * (check-request.ts). A power of two, as others expect.
 */
export const payloadBytesFor = (poolBytes: number): number =>
  Math.min(PAYLOAD_BYTES_ADVERTISED, 2 ** Math.floor(Math.log2(poolBytes / 8)));

export const DEFAULT_LIMITS: NbdLimits = {
  connectionCount: 2048,
  connectionsPerExport: 1536,
  connectionsPerAddress: 1024,
  handshakeMs: 10_000,
  handshakeUnsentBytes: 256 * KIB,
  requestsInFlight: 64,
  heldBytes: 64 * MIB,
  halfSentMs: 30_000,
  progressBytes: MIB,
  unreadMs: 60_000,
  lingerMs: 2_000,
  payloadBytes: PAYLOAD_BYTES_ADVERTISED,
};

/** Names that are no limit of NBD are passed over: they are the engine's. */
export const nbdLimitsFrom = (overrides: Readonly<Record<string, number>>): NbdLimits => {
  const known = Object.keys(DEFAULT_LIMITS);
  const ours = Object.entries(overrides).filter(([name]) => known.includes(name));
  const { poolBytes } = overrides;
  const fromPool = poolBytes === undefined ? {} : { payloadBytes: payloadBytesFor(poolBytes) };
  return { ...DEFAULT_LIMITS, ...fromPool, ...Object.fromEntries(ours) };
};

/** Of one option's data; more is not read at all, the connection is dropped. */
export const OPTION_BYTES_MAX = 64 * KIB;
/** Of a name, a description or a query, by the protocol. */
export const STRING_BYTES_MAX = 4096;
export const OPTION_COUNT_MAX = 64;
export const META_QUERY_COUNT_MAX = 256;
/** Of a client's string, repeated in an error message or in the log. */
export const ECHO_CHARACTERS_MAX = 80;

/** What is accepted: known clients exceed the advertised maximum. */
export const PAYLOAD_BYTES_MAX = 64 * MIB;
/**
 * Longer payloads and replies are cut into pieces of this size, so that no request needs a large
 * contiguous buffer.
 */
export const PIECE_BYTES = MIB;
/** A long read holds both halves of a double buffer: one piece is read while the other is sent. */
export const READ_PIECES_HELD = 2;
/** Advertised and enforced for clients that asked for block sizes. */
export const BLOCK_BYTES_MIN = 512;
