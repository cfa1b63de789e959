/**
 * The handshake as bytes against the protocol document: every option, every malformed form, any
 * cutting into packets.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExportDirectory, ExportInfo } from '../../../src/nbd/export-directory.ts';
import type { HandshakeOutcome } from '../../../src/nbd/handshake.ts';
import { Handshake } from '../../../src/nbd/handshake.ts';
import { nbdLimitsFrom } from '../../../src/nbd/limits.ts';
import type { Reply } from './handshake-wire.ts';
import * as wire from './handshake-wire.ts';
import { bytes, clientFlags, infoData, metaData, option, u16, u32, u64 } from './handshake-wire.ts';

const MIB = 1024 * 1024;
const FLAGS_PLAIN = 1 | 4 | 8 | 32 | 64 | 256 | 1024 | 2048;
const FLAGS_STRUCTURED = FLAGS_PLAIN | 128;
const SIZE = 5 * 2 ** 32 + 4096;

const volume = (name: string): ExportInfo => ({
  name,
  description: `the volume ${name}`,
  sizeBytes: SIZE,
  preferredBytes: 192 * 1024,
});

const directoryOf = (...names: readonly string[]): ExportDirectory => ({
  list: () => names.map(volume),
  find: (name) => {
    if (name === '' && names.length === 1) return volume(names[0] as string);
    return names.includes(name) ? volume(name) : null;
  },
});

interface Talk {
  readonly replies: Reply[];
  readonly wire: Uint8Array;
  readonly outcome: HandshakeOutcome;
}

const talk = (sent: readonly Uint8Array[], directory = directoryOf('v1')): Talk => {
  const outcome = new Handshake(directory).push(bytes(...sent));
  let replies: Reply[] = [];
  try {
    replies = wire.parseReplies(outcome.reply);
  } catch {
    // EXPORT_NAME has no reply header; its tests look at the bytes.
  }
  return { replies, wire: outcome.reply, outcome };
};

const fixed = clientFlags(3);
const types = (replies: readonly Reply[]): number[] => replies.map((reply) => reply.type);

/** The option is answered with this error, and the next one (LIST) still works. */
const refused = (code: number, data: Uint8Array, type: number, before: Uint8Array[] = []): void => {
  const { replies, outcome } = talk([fixed, ...before, option(code, data), option(3)]);
  assert.equal(outcome.kind, 'more');
  assert.deepEqual(types(replies.slice(before.length)), [type, wire.SERVER, wire.ACK]);
};

const dropped = (...sent: readonly Uint8Array[]): void => {
  const { outcome } = talk(sent);
  assert.equal(outcome.kind, 'dropped');
};

const negotiated = (sent: readonly Uint8Array[], directory = directoryOf('v1')) => {
  const { outcome } = talk(sent, directory);
  assert.equal(outcome.kind, 'handed-over');
  return outcome.kind === 'handed-over' ? outcome : assert.fail();
};

test('the greeting is fixed newstyle without zeroes', () => {
  const greeting = new Handshake(directoryOf('v1')).greeting();
  assert.deepEqual(Buffer.from(greeting), bytes('NBDMAGICIHAVEOPT', u16(3)));
});

test('unknown client flags drop the connection', () => {
  dropped(clientFlags(4));
  dropped(clientFlags(0x80000001));
});

test('without fixed newstyle only EXPORT_NAME is heard', () => {
  dropped(clientFlags(0), option(3));
  dropped(clientFlags(2), option(7, infoData('v1')));
  negotiated([clientFlags(0), option(1, bytes('v1'))]);
});

test('a wrong option magic drops the connection', () => {
  dropped(fixed, bytes('IHAVEOPS', u32(3), u32(0)));
  dropped(fixed, bytes('jHAVEOPT', u32(3), u32(0)));
});

test('EXPORT_NAME answers with size, flags and padding', () => {
  const padded = negotiated([clientFlags(1), option(1, bytes('v1'))]);
  const head = bytes(u64(SIZE), u16(FLAGS_PLAIN));
  assert.deepEqual(Buffer.from(padded.reply), bytes(head, new Uint8Array(124)));
  const short = negotiated([fixed, option(1, bytes(''))]);
  assert.deepEqual(Buffer.from(short.reply), head);
  assert.deepEqual(short.negotiated, {
    exportName: 'v1',
    structured: false,
    allocationContextId: 0,
    aligned: false,
  });
});

test('EXPORT_NAME of something else drops the connection', () => {
  dropped(fixed, option(1, bytes('v2')));
  dropped(fixed, option(1, bytes('v1\0')));
  dropped(fixed, option(1, bytes('x'.repeat(4097))));
});

test('ABORT is acknowledged, whatever it carries', () => {
  for (const data of [bytes(), bytes('why')]) {
    const { outcome, replies } = talk([fixed, option(2, data), option(3)]);
    assert.equal(outcome.kind, 'finished');
    assert.deepEqual(types(replies), [wire.ACK]);
  }
});

test('LIST names every export', () => {
  const { replies } = talk([fixed, option(3)], directoryOf('a', 'bc'));
  assert.deepEqual(types(replies), [wire.SERVER, wire.SERVER, wire.ACK]);
  assert.deepEqual(replies[1]?.data, bytes(u32(2), 'bcthe volume bc'));
  refused(3, bytes('x'), wire.INVALID);
});

test('options without data refuse data; TLS and extended headers are not supported', () => {
  refused(5, bytes(), wire.UNSUPPORTED);
  refused(5, bytes('x'), wire.INVALID);
  refused(8, bytes([0]), wire.INVALID);
  refused(11, bytes(), wire.UNSUPPORTED);
  refused(4, bytes(), wire.UNSUPPORTED);
  refused(0, bytes(), wire.UNSUPPORTED);
  refused(0xffffffff, bytes(new Uint8Array(65536)), wire.UNSUPPORTED);
});

test('INFO and GO give the same answers, and GO ends the handshake', () => {
  const data = infoData('v1', [3, 1, 2, 0, 77]);
  const info = talk([fixed, option(6, data)]);
  const go = negotiated([fixed, option(7, data)]);
  const ofGo = wire.parseReplies(go.reply);
  assert.equal(info.outcome.kind, 'more');
  assert.deepEqual(
    info.replies.map(({ type, data: content }) => ({ type, content })),
    ofGo.map(({ type, data: content }) => ({ type, content })),
  );
  assert.deepEqual(types(ofGo), [wire.INFO, wire.INFO, wire.INFO, wire.INFO, wire.ACK]);
  assert.deepEqual(ofGo[0]?.data, bytes(u16(0), u64(SIZE), u16(FLAGS_PLAIN)));
  assert.deepEqual(ofGo[1]?.data, bytes(u16(1), 'v1'));
  assert.deepEqual(ofGo[2]?.data, bytes(u16(2), 'the volume v1'));
  // 192 KiB is no power of two: what is below it is preferred.
  assert.deepEqual(ofGo[3]?.data, bytes(u16(3), u32(512), u32(131072), u32(2 ** 25)));
  assert.equal(go.negotiated.aligned, true);
});

test('GO without information requests says only what it must', () => {
  const go = negotiated([fixed, option(7, infoData(''))]);
  assert.deepEqual(types(wire.parseReplies(go.reply)), [wire.INFO, wire.ACK]);
  assert.equal(go.negotiated.exportName, 'v1');
  assert.equal(go.negotiated.aligned, false);
});

test('what is advertised can be served: a small pool advertises less', () => {
  for (const [poolBytes, payloadBytes] of [
    [8, 1],
    [100, 8],
    [256, 32],
    [1024, 32],
  ] as const) {
    const limits = nbdLimitsFrom({ poolBytes: poolBytes * MIB });
    const handshake = new Handshake(directoryOf('v1'), limits.payloadBytes);
    const { reply } = handshake.push(bytes(fixed, option(7, infoData('v1', [3]))));
    const sizes = wire.parseReplies(reply).find(({ data }) => data[1] === 3)?.data;
    assert.ok(sizes);
    const view = new DataView(sizes.buffer, sizes.byteOffset);
    const [preferredBytes, most] = [view.getUint32(6), view.getUint32(10)];
    assert.equal(most, payloadBytes * MIB, `of ${poolBytes} MiB`);
    assert.ok(preferredBytes <= most);
  }
  assert.equal(nbdLimitsFrom({}).payloadBytes, 32 * MIB);
});

test('INFO and GO refuse what does not add up, and stay in step', () => {
  for (const code of [6, 7]) {
    for (let length = 0; length < 6; length += 1) {
      refused(code, new Uint8Array(length), wire.INVALID);
    }
    refused(code, bytes(u32(0xffffffff), 'v1', u16(0)), wire.INVALID);
    refused(code, bytes(u32(3), 'v1', u16(0)), wire.INVALID);
    refused(code, bytes(u32(2), 'v1', u16(1)), wire.INVALID);
    refused(code, bytes(u32(2), 'v1', u16(0xffff), u16(3)), wire.INVALID);
    refused(code, bytes(infoData('v1', [3]), [0]), wire.INVALID);
    refused(code, bytes(infoData('v1'), u16(3)), wire.INVALID);
    refused(code, infoData('v1\0'), wire.INVALID);
    refused(code, infoData('x'.repeat(4097)), wire.TOO_BIG);
    refused(code, infoData('nothing'), wire.UNKNOWN);
    refused(code, bytes(u32(1), [0xff], u16(0)), wire.UNKNOWN);
  }
});

test('the empty name is refused when there are several exports', () => {
  const { replies } = talk([fixed, option(7, infoData(''))], directoryOf('a', 'b'));
  assert.deepEqual(types(replies), [wire.UNKNOWN]);
});

test('a byte order mark before a name makes it another name', () => {
  refused(6, infoData('\uFEFFv1'), wire.UNKNOWN);
  const queries = ['\uFEFFbase:allocation'];
  const { replies } = talk([fixed, option(8), option(10, metaData('v1', queries))]);
  assert.deepEqual(types(replies), [wire.ACK, wire.ACK], 'nothing is selected');
});

test('an unknown name is echoed short and harmless', () => {
  const name = `\u001b[31m${'é'.repeat(2000)}`;
  const { replies } = talk([fixed, option(7, infoData(name))]);
  const message = replies[0]?.data.toString() ?? '';
  assert.equal(replies[0]?.type, wire.UNKNOWN);
  assert.ok(!message.includes('\u001b'));
  assert.ok(message.length < 120, message);
});

test('structured replies, once or twice, bring DF', () => {
  const sent = [fixed, option(8), option(8), option(6, infoData('v1'))];
  const { replies } = talk(sent);
  assert.deepEqual(types(replies), [wire.ACK, wire.ACK, wire.INFO, wire.ACK]);
  assert.deepEqual(replies[2]?.data, bytes(u16(0), u64(SIZE), u16(FLAGS_STRUCTURED)));
  assert.equal(negotiated([fixed, option(8), option(1, bytes('v1'))]).negotiated.structured, true);
});

const contextsOf = (code: number, queries: readonly string[]): string[] => {
  const { replies } = talk([fixed, option(8), option(code, metaData('v1', queries))]);
  assert.equal(replies.at(-1)?.type, wire.ACK);
  return replies.slice(1, -1).map(({ type, data }) => {
    assert.equal(type, wire.META_CONTEXT);
    return `${data.readUInt32BE(0)} ${data.subarray(4).toString()}`;
  });
};

test('LIST_META_CONTEXT knows wildcards', () => {
  assert.deepEqual(contextsOf(9, []), ['0 base:allocation']);
  assert.deepEqual(contextsOf(9, ['base:']), ['0 base:allocation']);
  assert.deepEqual(contextsOf(9, ['qemu:', 'base:allocation']), ['0 base:allocation']);
  assert.deepEqual(contextsOf(9, ['base:alloc', 'qemu:x', '']), []);
});

test('SET_META_CONTEXT selects by exact name', () => {
  assert.deepEqual(contextsOf(10, ['base:allocation', 'base:allocation']), ['1 base:allocation']);
  assert.deepEqual(contextsOf(10, ['base:']), []);
  assert.deepEqual(contextsOf(10, []), []);
  refused(10, metaData('v1', ['base:allocation']), wire.INVALID);
  refused(10, metaData('v2', ['base:allocation']), wire.UNKNOWN, [option(8)]);
});

test('the selection holds for its name, until the next one, failed or not', () => {
  const set = (name: string, ...queries: string[]) => option(10, metaData(name, queries));
  const selected = (...sent: Uint8Array[]) =>
    negotiated([fixed, option(8), ...sent, option(7, infoData('a'))], directoryOf('a', 'b'))
      .negotiated.allocationContextId;
  assert.equal(selected(set('a', 'base:allocation')), 1);
  assert.equal(selected(set('b', 'base:allocation')), 0);
  assert.equal(selected(set('a', 'base:allocation'), set('a')), 0);
  assert.equal(selected(set('a', 'base:allocation'), set('nothing', 'base:allocation')), 0);
  assert.equal(selected(set('a', 'base:allocation'), option(10, bytes([1]))), 0);
  assert.equal(selected(set('a', 'base:allocation'), option(9, metaData('b', []))), 1);
});

test('meta context options that do not add up are refused', () => {
  for (const code of [9, 10]) {
    for (let length = 0; length < 8; length += 1) {
      refused(code, new Uint8Array(length), wire.INVALID, [option(8)]);
    }
    const refuse = (data: Uint8Array, type: number) => refused(code, data, type, [option(8)]);
    // The 46 bytes that abort other servers: an option longer than what parsing uses up.
    refuse(bytes(metaData('v1', ['base:allocation']), new Uint8Array(3)), wire.INVALID);
    refuse(bytes(metaData('v1', []), u32(0)), wire.INVALID);
    refuse(bytes(u32(2), 'v1', u32(2), u32(5), 'base:'), wire.INVALID);
    refuse(bytes(u32(2), 'v1', u32(1), u32(0xffffffff), 'base:'), wire.INVALID);
    refuse(bytes(u32(0xfffffffe), 'v1', u32(0)), wire.INVALID);
    refuse(bytes(u32(2), 'v1', u32(257), ...Array(257).fill(u32(0))), wire.TOO_BIG);
    refuse(metaData('v1', ['x'.repeat(4097)]), wire.TOO_BIG);
    refuse(metaData('v1', ['base:\0']), wire.INVALID);
  }
  const many = Array.from({ length: 256 }, () => 'a:');
  assert.deepEqual(contextsOf(10, many), []);
});

test('options are limited in length and in number', () => {
  dropped(fixed, bytes('IHAVEOPT', u32(3), u32(65537)));
  dropped(fixed, bytes('IHAVEOPT', u32(1), u32(0xffffffff)));
  const many = Array.from({ length: 64 }, () => option(99));
  assert.equal(talk([fixed, ...many]).outcome.kind, 'more');
  dropped(fixed, ...many, option(99));
});

test('what follows GO belongs to transmission', () => {
  const { leftover } = negotiated([fixed, option(7, infoData('v1')), bytes('later')]);
  assert.deepEqual(Buffer.from(leftover), bytes('later'));
});

test('the same bytes give the same answers, however they are cut', () => {
  const sent = bytes(
    fixed,
    option(8),
    option(3),
    option(10, metaData('v1', ['base:allocation'])),
    option(99, bytes('data')),
    option(7, infoData('v1', [3])),
    bytes('tail'),
  );
  const whole = talk([sent]);
  for (const step of [1, 2, 3, 7, 16, 19, 100]) {
    const handshake = new Handshake(directoryOf('v1'));
    const replies: Uint8Array[] = [];
    let at = 0;
    let outcome = handshake.push(bytes());
    while (outcome.kind === 'more') {
      outcome = handshake.push(sent.subarray(at, at + step));
      replies.push(outcome.reply);
      at += step;
    }
    assert.deepEqual(bytes(...replies), Buffer.from(whole.wire));
    assert.equal(outcome.kind, 'handed-over');
    const leftover = outcome.kind === 'handed-over' ? outcome.leftover : bytes();
    assert.deepEqual(bytes(leftover, sent.subarray(at)), bytes('tail'));
  }
});
