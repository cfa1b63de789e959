/** The reader of replies, on output that can be read in more than one way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Book } from '../../torture/fuzz-book.ts';
import { checkReplies } from '../../torture/fuzz-replies.ts';
import { command, halves, WireWriter, wire } from '../../torture/fuzz-wire.ts';

const FLUSHES = 33;
const terms = { structured: false, allocation: false, aligned: false, blind: true } as const;

/** Two reads that share a cookie, and flushes with cookies of their own. */
function asked(): Book {
  const out = new WireWriter();
  out.request(command.read, 0, [1, 1], halves(0), 1024);
  out.request(command.read, 0, [1, 1], halves(4096), 512);
  for (let index = 0; index < FLUSHES; index++)
    out.request(command.flush, 0, [2, index], halves(0), 0);
  const bytes = out.take();
  const book = new Book(bytes, 0, { ...terms, sizeBytes: 65_536, poolBytes: 1 << 20 });
  book.delivered(bytes.length);
  return book;
}

function reply(cookie: readonly [number, number], dataBytes = 0): Buffer {
  const bytes = Buffer.alloc(16 + dataBytes, 0xaa);
  bytes.writeUInt32BE(wire.simpleReplyMagic, 0);
  bytes.writeUInt32BE(0, 4);
  bytes.writeUInt32BE(cookie[0], 8);
  bytes.writeUInt32BE(cookie[1], 12);
  return bytes;
}

const flushes = Array.from({ length: FLUSHES }, (_, index) => reply([2, index]));
const short = reply([1, 1], 512);
const long = reply([1, 1], 1024);
const judge = (parts: readonly Buffer[]): string | null =>
  checkReplies(asked(), Buffer.concat(parts), 0, { orderly: true });

test('replies without data look like the rest of a longer one with the same cookie (torture run, nbd, seed 617859281)', () => {
  // 32 of them are 512 bytes, and then comes a reply: the longer read fits too.
  assert.equal(judge([short, ...flushes, long]), null);
  assert.equal(judge([long, ...flushes, short]), null);
  assert.equal(judge([...flushes.slice(0, 1), short, ...flushes.slice(1), long]), null);
});

test('what fits in no way is told as it was read first', () => {
  assert.match(judge([short, ...flushes]) ?? '', /never answered|nothing that was asked|no reply/);
  assert.match(judge([short, ...flushes, short]) ?? '', /no reply|within data|never answered/);
  assert.match(judge([long, ...flushes.slice(1), short]) ?? '', /was never answered/);
});
