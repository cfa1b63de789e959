/**
 * A small NBD client: what the demo, the end-to-end tests and the benchmark speak to a server with.
 *
 * Written from the protocol document and not from our server, so that the two can disagree. Any number of requests may
 * be in flight; replies are matched by cookie. Simple and structured replies are both understood (`structured: false`
 * leaves them simple). Every method rejects with NbdError when the server answers with an error, and with
 * NbdDisconnected when the connection ends first; nothing is retried here.
 *
 * Buffers given to `write` are borrowed until its promise settles.
 */

import { connect, type Socket } from 'node:net';

const greetingMagic = 0x4e42444d41474943n;
const optionMagic = 0x49484156454f5054n;
const optionReplyMagic = 0x0003e889045565a9n;
const requestMagic = 0x25609513;
const simpleReplyMagic = 0x67446698;
const chunkMagic = 0x668e33ef;

const option = { abort: 2, list: 3, go: 7, structuredReply: 8, setMetaContext: 10 } as const;
const reply = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;
const infoType = { export: 0, blockSize: 3 } as const;
const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  zero: 6,
  status: 7,
};
const chunk = { none: 0, data: 1, hole: 2, status: 5, error: 0x8001, errorOffset: 0x8002 } as const;

export const commandFlags = {
  fua: 1,
  noHole: 2,
  doNotFragment: 4,
  onlyOne: 8,
  fastZero: 16,
} as const;

export class NbdError extends Error {
  override readonly name = 'NbdError';
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(
      message === '' ? `the server answered with errno ${errno}` : `${message} (errno ${errno})`,
    );
    this.errno = errno;
  }
}

export class NbdDisconnected extends Error {
  override readonly name = 'NbdDisconnected';
}

export interface NbdTarget {
  /** A unix socket, or else host and port. */
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
  readonly exportName: string;
  readonly structured?: boolean;
}

export interface StatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

interface Pending {
  readonly target: Buffer | null;
  readonly offset: number;
  readonly extents: StatusExtent[];
  error: NbdError | null;
  resolve(): void;
  reject(error: Error): void;
}

/** Bytes as they come in, handed out in exact pieces to one reader. */
class Inbox {
  readonly #pieces: Buffer[] = [];
  #length = 0;
  #wanted = 0;
  #resolve: ((bytes: Buffer) => void) | null = null;
  #reject: ((error: Error) => void) | null = null;
  #failure: Error | null = null;

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
    this.#serve();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#serve();
  }

  take(lengthBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wanted = lengthBytes;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#serve();
    });
  }

  #serve(): void {
    if (!this.#resolve || !this.#reject) return;
    if (this.#length >= this.#wanted) {
      const resolve = this.#resolve;
      this.#resolve = null;
      resolve(this.#cut(this.#wanted));
    } else if (this.#failure) {
      const reject = this.#reject;
      this.#resolve = null;
      reject(this.#failure);
    }
  }

  #cut(lengthBytes: number): Buffer {
    this.#length -= lengthBytes;
    const first = this.#pieces[0];
    if (first && first.length >= lengthBytes) {
      if (first.length === lengthBytes) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(lengthBytes);
      return first.subarray(0, lengthBytes);
    }
    const whole = Buffer.allocUnsafe(lengthBytes);
    let filled = 0;
    while (filled < lengthBytes) {
      const piece = this.#pieces.shift() as Buffer;
      const used = Math.min(piece.length, lengthBytes - filled);
      piece.copy(whole, filled, 0, used);
      if (used < piece.length) this.#pieces.unshift(piece.subarray(used));
      filled += used;
    }
    return whole;
  }
}

/** The greeting and one option after the other; each `ask` collects the replies up to the final one. */
class Handshake {
  readonly #socket: Socket;
  readonly #inbox: Inbox;

  constructor(socket: Socket, inbox: Inbox) {
    this.#socket = socket;
    this.#inbox = inbox;
  }

  async greet(): Promise<void> {
    const greeting = await this.#inbox.take(18);
    if (greeting.readBigUInt64BE(0) !== greetingMagic) throw new Error('not an NBD server');
    if (greeting.readBigUInt64BE(8) !== optionMagic) throw new Error('not a newstyle NBD server');
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE(greeting.readUInt16BE(16) & 3);
    this.#socket.write(flags);
  }

  async ask(code: number, data: Buffer): Promise<{ type: number; data: Buffer }[]> {
    const head = Buffer.alloc(16);
    head.writeBigUInt64BE(optionMagic, 0);
    head.writeUInt32BE(code, 8);
    head.writeUInt32BE(data.length, 12);
    this.#socket.write(Buffer.concat([head, data]));
    const replies: { type: number; data: Buffer }[] = [];
    for (;;) {
      const answer = await this.#inbox.take(20);
      if (answer.readBigUInt64BE(0) !== optionReplyMagic) throw new Error('bad option reply magic');
      if (answer.readUInt32BE(8) !== code) throw new Error('a reply to another option');
      const type = answer.readUInt32BE(12);
      const body = await this.#inbox.take(answer.readUInt32BE(16));
      if (type >= 0x80000000)
        throw new NbdError(type - 0x80000000, `option ${code}: ${body.toString()}`);
      if (type === reply.ack) return replies;
      replies.push({ type, data: Buffer.from(body) });
    }
  }
}

function named(name: string, rest: Buffer): Buffer {
  const length = Buffer.alloc(4);
  const bytes = Buffer.from(name);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes, rest]);
}

async function open(target: NbdTarget): Promise<{ socket: Socket; inbox: Inbox }> {
  const socket = target.path
    ? connect(target.path)
    : connect(target.port ?? 10809, target.host ?? '127.0.0.1');
  const inbox = new Inbox();
  socket.on('data', (piece) => inbox.push(piece));
  socket.on('close', () => inbox.fail(new NbdDisconnected('the server closed the connection')));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', (error) => inbox.fail(new NbdDisconnected(error.message)));
  return { socket, inbox };
}

/** Names of the exports, as NBD_OPT_LIST tells them. */
export async function listExports(target: Omit<NbdTarget, 'exportName'>): Promise<string[]> {
  const { socket, inbox } = await open({ ...target, exportName: '' });
  try {
    const handshake = new Handshake(socket, inbox);
    await handshake.greet();
    const replies = await handshake.ask(option.list, Buffer.alloc(0));
    return replies
      .filter(({ type }) => type === reply.server)
      .map(({ data }) => data.toString('utf8', 4, 4 + data.readUInt32BE(0)));
  } finally {
    socket.destroy();
  }
}

export class NbdClient {
  readonly sizeBytes: number;
  readonly transmissionFlags: number;
  readonly preferredBytes: number;
  readonly #socket: Socket;
  readonly #inbox: Inbox;
  readonly #pending = new Map<bigint, Pending>();
  readonly #ended: Promise<void>;
  #cookie = 0n;
  #failure: Error | null = null;

  static async connect(target: NbdTarget): Promise<NbdClient> {
    const { socket, inbox } = await open(target);
    try {
      const handshake = new Handshake(socket, inbox);
      await handshake.greet();
      if (target.structured !== false) {
        await handshake.ask(option.structuredReply, Buffer.alloc(0));
        const one = Buffer.from([0, 0, 0, 1]);
        const query = named('base:allocation', Buffer.alloc(0));
        await handshake.ask(
          option.setMetaContext,
          named(target.exportName, Buffer.concat([one, query])),
        );
      }
      const wanted = Buffer.from([0, 1, 0, infoType.blockSize]);
      const infos = await handshake.ask(option.go, named(target.exportName, wanted));
      return new NbdClient(socket, inbox, infos);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  private constructor(socket: Socket, inbox: Inbox, infos: readonly { data: Buffer }[]) {
    this.#socket = socket;
    this.#inbox = inbox;
    const info = (type: number): Buffer | undefined =>
      infos.find(({ data }) => data.readUInt16BE(0) === type)?.data;
    const basics = info(infoType.export);
    if (!basics) throw new Error('the server did not tell the size');
    this.sizeBytes = Number(basics.readBigUInt64BE(2));
    this.transmissionFlags = basics.readUInt16BE(10);
    this.preferredBytes = info(infoType.blockSize)?.readUInt32BE(6) ?? 4096;
    this.#ended = this.#receive();
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get connected(): boolean {
    return this.#failure === null;
  }

  async read(offset: number, lengthBytes: number, flags = 0): Promise<Buffer> {
    const target = Buffer.allocUnsafe(lengthBytes);
    await this.#ask(command.read, flags, offset, lengthBytes, null, target);
    return target;
  }

  async write(offset: number, data: Uint8Array, flags = 0): Promise<void> {
    await this.#ask(command.write, flags, offset, data.length, data, null);
  }

  async flush(): Promise<void> {
    await this.#ask(command.flush, 0, 0, 0, null, null);
  }

  async zero(offset: number, lengthBytes: number, flags = 0): Promise<void> {
    await this.#ask(command.zero, flags, offset, lengthBytes, null, null);
  }

  async trim(offset: number, lengthBytes: number, flags = 0): Promise<void> {
    await this.#ask(command.trim, flags, offset, lengthBytes, null, null);
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly StatusExtent[]> {
    return (await this.#ask(command.status, 0, offset, lengthBytes, null, null)).extents;
  }

  /** Lets what is in flight finish, says goodbye and waits for the end. */
  async close(): Promise<void> {
    if (this.connected) this.#socket.write(this.#request(command.disconnect, 0, 0n, 0, 0));
    await this.#ended;
  }

  /** Drops the connection at once, as a host that dies would. */
  destroy(): void {
    this.#socket.destroy();
  }

  #request(type: number, flags: number, cookie: bigint, offset: number, length: number): Buffer {
    const head = Buffer.allocUnsafe(28);
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    return head;
  }

  #ask(
    type: number,
    flags: number,
    offset: number,
    lengthBytes: number,
    data: Uint8Array | null,
    target: Buffer | null,
  ): Promise<Pending> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const cookie = ++this.#cookie;
      const pending: Pending = {
        target,
        offset,
        extents: [],
        error: null,
        resolve: () => resolve(pending),
        reject,
      };
      this.#pending.set(cookie, pending);
      const head = this.#request(type, flags, cookie, offset, lengthBytes);
      this.#socket.cork();
      this.#socket.write(head);
      if (data) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  /** Runs for the life of the connection; its end is the end of every request still open. */
  async #receive(): Promise<void> {
    try {
      for (;;) {
        const magic = (await this.#inbox.take(4)).readUInt32BE(0);
        if (magic === simpleReplyMagic) await this.#simpleReply();
        else if (magic === chunkMagic) await this.#chunk();
        else throw new Error(`bad reply magic ${magic.toString(16)}`);
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#socket.destroy();
      for (const pending of this.#pending.values()) pending.reject(this.#failure);
      this.#pending.clear();
    }
  }

  #find(cookie: bigint): Pending {
    const pending = this.#pending.get(cookie);
    if (!pending) throw new Error('a reply to nothing that was asked');
    return pending;
  }

  #finish(cookie: bigint, pending: Pending): void {
    this.#pending.delete(cookie);
    if (pending.error) pending.reject(pending.error);
    else pending.resolve();
  }

  async #simpleReply(): Promise<void> {
    const head = await this.#inbox.take(12);
    const errno = head.readUInt32BE(0);
    const cookie = head.readBigUInt64BE(4);
    const pending = this.#find(cookie);
    if (errno !== 0) pending.error = new NbdError(errno, '');
    else if (pending.target) (await this.#inbox.take(pending.target.length)).copy(pending.target);
    this.#finish(cookie, pending);
  }

  async #chunk(): Promise<void> {
    const head = await this.#inbox.take(16);
    const isLast = (head.readUInt16BE(0) & 1) !== 0;
    const type = head.readUInt16BE(2);
    const cookie = head.readBigUInt64BE(4);
    const payload = await this.#inbox.take(head.readUInt32BE(12));
    const pending = this.#find(cookie);
    switch (type) {
      case chunk.none:
        break;
      case chunk.data:
        payload.copy(this.#within(pending, payload, payload.length - 8), 0, 8);
        break;
      case chunk.hole:
        this.#within(pending, payload, payload.readUInt32BE(8)).fill(0);
        break;
      case chunk.status:
        for (let at = 4; at < payload.length; at += 8) {
          pending.extents.push({
            lengthBytes: payload.readUInt32BE(at),
            flags: payload.readUInt32BE(at + 4),
          });
        }
        break;
      case chunk.error:
      case chunk.errorOffset: {
        const text = payload.toString('utf8', 6, 6 + payload.readUInt16BE(4));
        pending.error ??= new NbdError(payload.readUInt32BE(0), text);
        break;
      }
      default:
        throw new Error(`unknown chunk type ${type}`);
    }
    if (isLast) this.#finish(cookie, pending);
  }

  /** The part of the reader's buffer that a content chunk is for. */
  #within(pending: Pending, payload: Buffer, lengthBytes: number): Buffer {
    const start = Number(payload.readBigUInt64BE(0)) - pending.offset;
    if (!pending.target || start < 0 || start + lengthBytes > pending.target.length) {
      throw new Error('data outside the request');
    }
    return pending.target.subarray(start, start + lengthBytes);
  }
}
