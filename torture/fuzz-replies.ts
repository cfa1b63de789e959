/**
 * Reads all that a server put out in transmission and holds it against the book of the connection: the second half of the
 * oracle. The output is read at the end, in one pass; what it must not precede is known from `settledAtBytes`.
 *
 * Cookies may be used twice, so a reply is tried against each unanswered request with its cookie, and it is wrong only if
 * it fits none. One that was taken for another's is given back when that helps, and one that may be of several lengths is
 * read the other way when what follows makes no sense.
 */

import { type Book, type BookedRequest, ENOTSUP, ESHUTDOWN, isLongFua } from './fuzz-book.ts';
import { Choices } from './fuzz-choices.ts';
import { wireErrno } from './fuzz-errno.ts';
import { command, flag, unfragmentedBytesMax, wire } from './fuzz-wire.ts';

const CHUNK_NONE = 0;
const CHUNK_DATA = 1;
const CHUNK_STATUS = 5;
const CHUNK_ERROR = 0x8001;
const CHUNK_ERROR_OFFSET = 0x8002;

export interface Ended {
  /** Everything delivered must have been answered; else the tail may be cut and answers missing. */
  readonly orderly: boolean;
}

export function checkReplies(
  book: Book,
  output: Uint8Array,
  startAt: number,
  ended: Ended,
): string | null {
  return new Reader(book, output, startAt).readAll(!ended.orderly);
}

const shown = (request: BookedRequest): string =>
  `request ${request.index} (command ${request.type}, flags ${request.flags}, ` +
  `${request.offset}+${request.lengthBytes})`;

const bodyBytesOf = ({ type, lengthBytes }: BookedRequest, errno: number): number =>
  type === command.read && errno === 0 ? lengthBytes : 0;

class Reader {
  readonly #book: Book;
  readonly #output: Uint8Array;
  readonly #view: DataView;
  readonly #byCookie = new Map<number, BookedRequest[]>();
  readonly #choices = new Choices();
  #at: number;

  constructor(book: Book, output: Uint8Array, startAt: number) {
    this.#book = book;
    this.#output = output;
    this.#view = new DataView(output.buffer, output.byteOffset, output.byteLength);
    this.#at = startAt;
    for (const request of book.requests) {
      const key = request.cookieHigh * 2 ** 20 + request.cookieLow;
      const others = this.#byCookie.get(key);
      if (others === undefined) this.#byCookie.set(key, [request]);
      else others.push(request);
    }
  }

  readAll(mayBeCut: boolean): string | null {
    let first: string | null = null;
    for (;;) {
      const problem = this.#readOn(mayBeCut) ?? (mayBeCut ? null : this.#unanswered());
      if (problem === null) return null;
      first ??= problem;
      const other = this.#choices.next();
      if (other === null) return first;
      this.#at = other.at;
      this.#takeSimple(other.request);
    }
  }

  #unanswered(): string | null {
    if (this.#book.shutDown) return null;
    for (let index = 0; index < this.#book.deliveredCount; index++) {
      const request = this.#book.requests[index]!;
      if (!request.answered) return `${shown(request)} was never answered`;
    }
    return null;
  }

  #readOn(mayBeCut: boolean): string | null {
    while (this.#at < this.#output.length) {
      const left = this.#output.length - this.#at;
      if (left < 16) return mayBeCut ? null : 'the output ends within a reply';
      const magic = this.#view.getUint32(this.#at);
      let problem: string | null;
      if (magic === wire.simpleReplyMagic) problem = this.#simple(mayBeCut);
      else if (magic === wire.chunkMagic) problem = this.#chunk(mayBeCut);
      else problem = `no reply at byte ${this.#at} of the output`;
      if (problem === 'cut') return null;
      if (problem !== null) return problem;
    }
    return null;
  }

  #candidates(at: number): readonly BookedRequest[] {
    return this.#sharing(at).filter(({ answered }) => !answered);
  }

  /** All requests with this cookie. */
  #sharing(at: number): readonly BookedRequest[] {
    const high = this.#view.getUint32(at);
    const low = this.#view.getUint32(at + 4);
    const all = this.#byCookie.get(high * 2 ** 20 + low) ?? [];
    return all.filter((each) => each.cookieHigh === high && each.cookieLow === low);
  }

  #simple(mayBeCut: boolean): string | null {
    const errno = this.#view.getUint32(this.#at + 4);
    const bodyAt = this.#at + 16;
    const problems: string[] = [];
    // Among several that fit, the longest: a shorter one may be the beginning of it.
    const byLength = [...this.#candidates(this.#at + 8)].sort(
      (one, other) => other.lengthBytes - one.lengthBytes,
    );
    const fits: BookedRequest[] = [];
    for (const request of byLength) {
      const bodyBytes = bodyBytesOf(request, errno);
      if (fits.some((each) => bodyBytesOf(each, errno) === bodyBytes)) continue;
      const isCut = mayBeCut && this.#output.length - bodyAt < bodyBytes;
      if (mayBeCut && errno === 0 && this.#isCutRead(request, bodyAt)) return 'cut';
      let problem = this.#problemOfErrno(request, errno);
      if (problem === null && request.type === command.read && this.#book.terms.structured) {
        problem = `${shown(request)}: a simple reply to a structured read`;
      }
      if (problem === null && request.type === command.status && errno === 0) {
        problem = `${shown(request)}: block status without a status`;
      }
      if (problem === null && isCut) return 'cut';
      if (problem === null && bodyBytes > 0) {
        problem = this.#problemOfData(request, request.offset, bodyAt, bodyBytes);
      }
      if (problem === null && byLength.length > 1 && !this.#isReplyAt(bodyAt + bodyBytes)) {
        problem = `${shown(request)}: no reply follows its data`;
      }
      if (problem === null) fits.push(request);
      else problems.push(problem);
    }
    const [longest, ...shorter] = fits;
    if (longest !== undefined) {
      this.#choices.offer(this.#at, shorter);
      this.#takeSimple(longest);
      return null;
    }
    if (this.#exchanges(byLength, errno, this.#at + 8)) {
      this.#at = bodyAt;
      return null;
    }
    return problems[0] ?? `a reply at byte ${this.#at} to nothing that was asked`;
  }

  #takeSimple(request: BookedRequest): void {
    const errno = this.#view.getUint32(this.#at + 4);
    const bodyBytes = bodyBytesOf(request, errno);
    const { givenErrno } = request;
    this.#choices.change(request, {
      answered: true,
      givenErrno: bodyBytes === 0 ? errno : givenErrno,
    });
    this.#at += 16 + bodyBytes;
  }

  /**
   * A long read that failed when its simple reply had begun: that cannot be taken back, so the connection ends in the
   * middle of the data.
   */
  #isCutRead(request: BookedRequest, bodyAt: number): boolean {
    const { structured } = this.#book.terms;
    if (request.type !== command.read || structured || request.errors.length > 0) return false;
    if (request.errno === 0 || request.lengthBytes <= unfragmentedBytesMax) return false;
    const leftBytes = this.#output.length - bodyAt;
    if (leftBytes >= request.lengthBytes) return false;
    return this.#problemOfData(request, request.offset, bodyAt, leftBytes) === null;
  }

  /**
   * This errno fits none of the unanswered requests with its cookie. Does it fit one that was answered, whose own answer
   * fits one of the unanswered? Then the two had been mixed up, here and not by the server.
   */
  #exchanges(unanswered: readonly BookedRequest[], errno: number, cookieAt: number): boolean {
    const answered = this.#sharing(cookieAt).filter((each) => each.givenErrno >= 0);
    for (const one of answered) {
      if (this.#problemOfErrno(one, errno) !== null) continue;
      const other = unanswered.find((each) => this.#problemOfErrno(each, one.givenErrno) === null);
      if (other === undefined) continue;
      this.#choices.change(other, { answered: true, givenErrno: one.givenErrno });
      this.#choices.change(one, { givenErrno: errno });
      return true;
    }
    return false;
  }

  /** The same for a block status: one that is short fits a request that is longer, and may have been taken for its. */
  #exchangesStatus(): boolean {
    const hereAt = this.#at;
    const unanswered = this.#candidates(hereAt + 8);
    const answered = this.#sharing(hereAt + 8).filter((each) => each.givenStatusAt >= 0);
    for (const one of answered) {
      const thereAt = one.givenStatusAt;
      if (!this.#isStatusOf(one, hereAt)) continue;
      const other = unanswered.find((each) => this.#isStatusOf(each, thereAt));
      if (other === undefined) continue;
      other.answered = true;
      other.givenStatusAt = thereAt;
      one.givenStatusAt = hereAt;
      return true;
    }
    return false;
  }

  #isStatusOf(request: BookedRequest, at: number): boolean {
    const hereAt = this.#at;
    this.#at = at;
    const problem = this.#problemOfChunk(request, this.#view.getUint32(at + 16), true);
    this.#at = hereAt;
    return problem === null;
  }

  #isReplyAt(at: number): boolean {
    const left = this.#output.length - at;
    if (left < 4) return true;
    const magic = this.#view.getUint32(at);
    return magic === wire.simpleReplyMagic || magic === wire.chunkMagic;
  }

  #chunk(mayBeCut: boolean): string | null {
    if (!this.#book.terms.structured) return 'a chunk, and structured replies were not agreed';
    if (this.#output.length - this.#at < 20) return mayBeCut ? 'cut' : 'the output ends in a chunk';
    const lengthBytes = this.#view.getUint32(this.#at + 16);
    if (this.#output.length - this.#at - 20 < lengthBytes) {
      return mayBeCut ? 'cut' : 'the output ends in a chunk';
    }
    const flags = this.#view.getUint16(this.#at + 4);
    if (flags > 1) return `a chunk with the flags ${flags}`;
    const isError = this.#view.getUint16(this.#at + 6) >= CHUNK_ERROR && lengthBytes >= 4;
    const errno = isError ? this.#view.getUint32(this.#at + 20) : 0;
    const isStatus = this.#view.getUint16(this.#at + 6) === CHUNK_STATUS;
    const problems: string[] = [];
    for (const request of this.#likelyFirst(this.#candidates(this.#at + 8))) {
      const problem = this.#problemOfChunk(request, lengthBytes, flags === 1);
      if (problem !== null) {
        problems.push(problem);
        continue;
      }
      if (flags === 1) request.answered = true;
      if (isError) request.givenErrno = errno;
      if (isStatus) request.givenStatusAt = this.#at;
      this.#at += 20 + lengthBytes;
      return null;
    }
    if (isStatus && this.#exchangesStatus()) {
      this.#at += 20 + lengthBytes;
      return null;
    }
    if (isError && this.#exchanges(this.#candidates(this.#at + 8), errno, this.#at + 8)) {
      this.#at += 20 + lengthBytes;
      return null;
    }
    return problems[0] ?? `a chunk at byte ${this.#at} for nothing that was asked`;
  }

  /** This server places the errors of reads that it has run: an error without a place is more likely another request's. */
  #likelyFirst(candidates: readonly BookedRequest[]): readonly BookedRequest[] {
    if (candidates.length < 2 || this.#view.getUint16(this.#at + 6) !== CHUNK_ERROR)
      return candidates;
    const placed = (each: BookedRequest): number =>
      each.type === command.read && each.errors.length === 0 ? 1 : 0;
    return candidates.toSorted((one, other) => placed(one) - placed(other));
  }

  #problemOfChunk(request: BookedRequest, lengthBytes: number, done: boolean): string | null {
    const type = this.#view.getUint16(this.#at + 6);
    const bodyAt = this.#at + 20;
    switch (type) {
      case CHUNK_NONE:
        if (lengthBytes !== 0 || !done) return `${shown(request)}: an empty chunk that is not`;
        if (request.type === command.read) return `${shown(request)}: a read without data`;
        return this.#problemOfErrno(request, 0);
      case CHUNK_DATA:
        return this.#problemOfDataChunk(request, bodyAt, lengthBytes, done);
      case CHUNK_STATUS:
        return this.#problemOfStatus(request, bodyAt, lengthBytes, done);
      case CHUNK_ERROR:
      case CHUNK_ERROR_OFFSET:
        return this.#problemOfError(request, bodyAt, lengthBytes, type === CHUNK_ERROR_OFFSET);
      default:
        return `${shown(request)}: a chunk of type ${type}`;
    }
  }

  #problemOfDataChunk(
    request: BookedRequest,
    bodyAt: number,
    lengthBytes: number,
    done: boolean,
  ): string | null {
    if (request.type !== command.read) return `${shown(request)}: data for what is no read`;
    if (request.errors.length > 0) return `${shown(request)}: data for what must be refused`;
    const dataBytes = lengthBytes - 8;
    if (dataBytes < 1) return `${shown(request)}: a data chunk without data`;
    const offset = this.#view.getUint32(bodyAt) * 2 ** 32 + this.#view.getUint32(bodyAt + 4);
    // This server sends the pieces in order: that leaves neither overlap nor gap.
    if (offset !== request.offset + request.gotBytes) {
      return `${shown(request)}: a chunk at ${offset}`;
    }
    const gotBytes = request.gotBytes + dataBytes;
    if (gotBytes > request.lengthBytes) return `${shown(request)}: more data than asked`;
    if (done !== (gotBytes === request.lengthBytes)) return `${shown(request)}: wrong last chunk`;
    if ((request.flags & flag.df) !== 0 && !done) return `${shown(request)}: cut in spite of DF`;
    const problem = this.#problemOfData(request, offset, bodyAt + 8, dataBytes);
    if (problem === null) request.gotBytes = gotBytes;
    return problem;
  }

  #problemOfStatus(
    request: BookedRequest,
    bodyAt: number,
    lengthBytes: number,
    done: boolean,
  ): string | null {
    if (request.type !== command.status) return `${shown(request)}: a status for another command`;
    const problem = this.#problemOfErrno(request, 0);
    if (problem !== null) return problem;
    const count = (lengthBytes - 4) / 8;
    if (!Number.isInteger(count) || count < 1) return `${shown(request)}: a status cut in two`;
    if (!done) return `${shown(request)}: a status that is not the last chunk`;
    if (this.#view.getUint32(bodyAt) !== 1) return `${shown(request)}: a status of another context`;
    if ((request.flags & flag.one) !== 0 && count !== 1) return `${shown(request)}: REQ_ONE`;
    let at = 0;
    for (let index = 0; index < count; index++) {
      const extentBytes = this.#view.getUint32(bodyAt + 4 + index * 8);
      const status = this.#view.getUint32(bodyAt + 8 + index * 8);
      if (extentBytes === 0) return `${shown(request)}: an extent of nothing`;
      if (!this.#isStatus(request, at, extentBytes, status)) {
        return `${shown(request)}: status ${status} at +${at} for ${extentBytes}`;
      }
      at += extentBytes;
    }
    return at > request.lengthBytes ? `${shown(request)}: a status beyond the request` : null;
  }

  /** Is it what the device said of all this range? */
  #isStatus(request: BookedRequest, from: number, lengthBytes: number, status: number): boolean {
    if (this.#book.terms.blind === true) return true;
    let at = 0;
    for (const extent of request.extents) {
      const overlaps = at < from + lengthBytes && at + extent.lengthBytes > from;
      const said = (extent.hole ? 1 : 0) | (extent.zero ? 2 : 0);
      if (overlaps && said !== status) return false;
      at += extent.lengthBytes;
    }
    return at >= from + lengthBytes;
  }

  #problemOfError(
    request: BookedRequest,
    bodyAt: number,
    lengthBytes: number,
    placed: boolean,
  ): string | null {
    const textBytes = lengthBytes >= 6 ? this.#view.getUint16(bodyAt + 4) : 0;
    if (lengthBytes !== 6 + textBytes + (placed ? 8 : 0)) {
      return `${shown(request)}: an error chunk of ${lengthBytes} bytes`;
    }
    const errno = this.#view.getUint32(bodyAt);
    if (errno === 0) return `${shown(request)}: an error chunk without an error`;
    if (placed) {
      const at = bodyAt + 6 + textBytes;
      const offset = this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
      const inside = offset >= request.offset && offset < request.offset + request.lengthBytes;
      if (!inside) return `${shown(request)}: an error at ${offset}`;
    }
    return this.#problemOfErrno(request, errno);
  }

  /** Is `errno`, 0 included, a right answer, and not too early? */
  #problemOfErrno(request: BookedRequest, errno: number): string | null {
    const { errors } = request;
    // A flush of the device may belong to a flush or be the end of a long FUA write; the book cannot tell.
    const isVague =
      this.#book.vagueFlushes && (request.type === command.flush || isLongFua(request));
    if (this.#book.shutDown && errno === ESHUTDOWN) {
      return request.begun > 0 && !isVague
        ? `${shown(request)}: refused, and yet it was run`
        : null;
    }
    if (errors.length > 0) {
      return errors.includes(errno)
        ? null
        : `${shown(request)}: errno ${errno} instead of ${errors.join(' or ')}`;
    }
    if (this.#book.terms.blind === true) {
      const notFast = errno === ENOTSUP && (request.flags & flag.fast) !== 0;
      return errno === 0 || notFast ? null : `${shown(request)}: errno ${errno}`;
    }
    // Of a read that succeeds the data tells all of this, piece by piece: a long one is answered while it goes on.
    if (errno === 0 && request.type === command.read && request.errno === 0) return null;
    if (request.begun === 0) return `${shown(request)}: answered ${errno}, and it was never run`;
    if (isVague) return null;
    if (request.done < request.begun) return `${shown(request)}: answered before it was done`;
    if (request.settledAtBytes > this.#at) return `${shown(request)}: answered too early`;
    const expected = wireErrno(request, request.errno);
    if (errno !== expected) return `${shown(request)}: errno ${errno} instead of ${expected}`;
    const complete = request.doneBytes >= request.lengthBytes;
    // A hint that the device does not know is a success all the same.
    if (errno === 0 && request.errno === 0 && !complete)
      return `${shown(request)}: success, and half of it was run`;
    const needsFlush =
      request.type === command.write && (request.flags & flag.fua) !== 0 && request.begun > 1;
    if (errno === 0 && needsFlush && !request.flushed) return `${shown(request)}: FUA got lost`;
    return null;
  }

  #problemOfData(
    request: BookedRequest,
    offset: number,
    at: number,
    lengthBytes: number,
  ): string | null {
    if (this.#output.length - at < lengthBytes) return 'the output ends within data';
    if (this.#book.terms.blind === true) return null;
    for (let done = 0; done < lengthBytes; ) {
      const piece = request.pieces.find(
        (each) => each.offset <= offset + done && each.offset + each.bytes.length > offset + done,
      );
      if (piece === undefined) return `${shown(request)}: data that the device never gave`;
      if (piece.settledAtBytes > at + done) return `${shown(request)}: data before it was read`;
      const from = offset + done - piece.offset;
      const count = Math.min(piece.bytes.length - from, lengthBytes - done);
      const wanted = piece.bytes.subarray(from, from + count);
      const found = this.#output.subarray(at + done, at + done + count);
      if (Buffer.compare(wanted, found) !== 0) return `${shown(request)}: wrong data`;
      done += count;
    }
    return null;
  }
}
