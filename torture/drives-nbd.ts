/**
 * An NBD server for drives that live in this process, so that a test decides what each of them does: what the drives of
 * the server under test are made of, once `drives-mount.ts` has turned each into a local file.
 *
 * Written from the protocol document and not from `src/nbd`, and small: one unix socket for each drive, one export,
 * simple replies, read, write and flush. A request is handled in one piece when it is complete; what the drive
 * answers decides the reply, at once or later.
 */

import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';

/** 0, an errno of Linux, or null for no answer at all, ever. */
export type Answer = number | null;

export interface ServedDrive {
  readonly sizeBytes: number;
  /** Fills `into`. */
  read(offset: number, into: Buffer): Answer | Promise<Answer>;
  /** `bytes` may be kept. */
  write(offset: number, bytes: Buffer): Answer | Promise<Answer>;
  flush(): Answer | Promise<Answer>;
}

const greetingMagic = 0x4e42444d41474943n;
const optionMagic = 0x49484156454f5054n;
const optionReplyMagic = 0x0003e889045565a9n;
const requestMagic = 0x25609513;
const replyMagic = 0x67446698;
const option = { exportName: 1, abort: 2, info: 6, go: 7 } as const;
const reply = { ack: 1, info: 3, unsupported: 0x80000001 } as const;
const command = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
/** HAS_FLAGS and SEND_FLUSH: no FUA, no trim, no zeroes, so that all that changes the drive is a write. */
const exportFlags = 1 | 4;
const EINVAL = 22;

export class DriveServer {
  readonly socketPath: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async start(socketPath: string, drive: ServedDrive): Promise<DriveServer> {
    const served = new DriveServer(socketPath, drive);
    await new Promise<void>((resolve, reject) => {
      served.#server.once('error', reject);
      served.#server.listen(socketPath, resolve);
    });
    return served;
  }

  private constructor(socketPath: string, drive: ServedDrive) {
    this.socketPath = socketPath;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // A client that vanishes is no error of ours.
      socket.on('error', () => undefined);
      const session = new Session(socket, drive);
      socket.on('data', (piece) => session.push(piece));
    });
  }

  /** Ends it as a crash would: every connection breaks at once. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await rm(this.socketPath, { force: true });
  }
}

/** One connection: bytes come in, whole messages are cut off the front. */
class Session {
  readonly #socket: Socket;
  readonly #drive: ServedDrive;
  #pieces: Buffer[] = [];
  #lengthBytes = 0;
  #stage: 'flags' | 'options' | 'requests' = 'flags';

  constructor(socket: Socket, drive: ServedDrive) {
    this.#socket = socket;
    this.#drive = drive;
    const greeting = Buffer.alloc(18);
    greeting.writeBigUInt64BE(greetingMagic, 0);
    greeting.writeBigUInt64BE(optionMagic, 8);
    // FIXED_NEWSTYLE and NO_ZEROES.
    greeting.writeUInt16BE(3, 16);
    socket.write(greeting);
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#lengthBytes += piece.length;
    let isMore = true;
    while (isMore && !this.#socket.destroyed) isMore = this.#step();
  }

  #step(): boolean {
    if (this.#stage === 'flags') {
      if (this.#take(4) === null) return false;
      this.#stage = 'options';
      return true;
    }
    return this.#stage === 'options' ? this.#option() : this.#request();
  }

  /** The first bytes without taking them, or null when they are not there yet. */
  #peek(lengthBytes: number): Buffer | null {
    if (this.#lengthBytes < lengthBytes) return null;
    if ((this.#pieces[0]?.length ?? 0) < lengthBytes) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0]!.subarray(0, lengthBytes);
  }

  #take(lengthBytes: number): Buffer | null {
    const bytes = this.#peek(lengthBytes);
    if (bytes === null) return null;
    this.#pieces[0] = this.#pieces[0]!.subarray(lengthBytes);
    if (this.#pieces[0].length === 0) this.#pieces.shift();
    this.#lengthBytes -= lengthBytes;
    return bytes;
  }

  #option(): boolean {
    const head = this.#peek(16);
    if (head === null) return false;
    const code = head.readUInt32BE(8);
    if (this.#take(16 + head.readUInt32BE(12)) === null) return false;
    if (code === option.go || code === option.info) {
      const info = Buffer.alloc(12);
      info.writeBigUInt64BE(BigInt(this.#drive.sizeBytes), 2);
      info.writeUInt16BE(exportFlags, 10);
      this.#answerOption(code, reply.info, info);
      this.#answerOption(code, reply.ack, Buffer.alloc(0));
      if (code === option.go) this.#stage = 'requests';
    } else if (code === option.exportName) {
      const info = Buffer.alloc(10);
      info.writeBigUInt64BE(BigInt(this.#drive.sizeBytes), 0);
      info.writeUInt16BE(exportFlags, 8);
      this.#socket.write(info);
      this.#stage = 'requests';
    } else if (code === option.abort) {
      this.#answerOption(code, reply.ack, Buffer.alloc(0));
      this.#socket.end();
    } else {
      this.#answerOption(code, reply.unsupported, Buffer.alloc(0));
    }
    return true;
  }

  #answerOption(code: number, type: number, data: Buffer): void {
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(optionReplyMagic, 0);
    head.writeUInt32BE(code, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(data.length, 16);
    this.#socket.write(Buffer.concat([head, data]));
  }

  #request(): boolean {
    const head = this.#peek(28);
    if (head === null) return false;
    if (head.readUInt32BE(0) !== requestMagic) {
      this.#socket.destroy();
      return false;
    }
    const type = head.readUInt16BE(6);
    const cookie = head.readBigUInt64BE(8);
    const offset = Number(head.readBigUInt64BE(16));
    const lengthBytes = head.readUInt32BE(24);
    const payloadBytes = type === command.write ? lengthBytes : 0;
    const message = this.#take(28 + payloadBytes);
    if (message === null) return false;
    const isInside = offset + lengthBytes <= this.#drive.sizeBytes;
    const none = Buffer.alloc(0);
    if (type === command.disconnect) this.#socket.end();
    else if (type === command.flush) this.#settle(cookie, this.#drive.flush(), none);
    else if (!isInside) this.#reply(cookie, EINVAL, none);
    else if (type === command.read) {
      const into = Buffer.alloc(lengthBytes);
      this.#settle(cookie, this.#drive.read(offset, into), into);
    } else if (type === command.write) {
      const bytes = Buffer.from(message.subarray(28));
      this.#settle(cookie, this.#drive.write(offset, bytes), none);
    } else this.#reply(cookie, EINVAL, none);
    return true;
  }

  #settle(cookie: bigint, answer: Answer | Promise<Answer>, data: Buffer): void {
    if (answer instanceof Promise) {
      void answer.then((errno) => this.#reply(cookie, errno, data));
    } else this.#reply(cookie, answer, data);
  }

  #reply(cookie: bigint, errno: Answer, data: Buffer): void {
    if (errno === null || this.#socket.destroyed) return;
    const head = Buffer.alloc(16);
    head.writeUInt32BE(replyMagic, 0);
    head.writeUInt32BE(errno, 4);
    head.writeBigUInt64BE(cookie, 8);
    this.#socket.write(errno === 0 && data.length > 0 ? Buffer.concat([head, data]) : head);
  }
}
