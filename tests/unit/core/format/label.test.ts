/** The label: every field there and back, every damaged byte found, the newer copy chosen. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest128 } from '../../../../src/base/digest.ts';
import {
  doubleAbsenceWords,
  type Label,
  type LabelDoubt,
  legStates,
  memberReasons,
  recoveryKinds,
  stripeLogWords,
  windowOutcomes,
} from '../../../../src/core/format/label.ts';
import {
  decodeLabel,
  encodeLabel,
  labelCopyIndex,
  labelFor,
  newestLabel,
} from '../../../../src/core/format/label-codec.ts';
import { decodeLabelBody } from '../../../../src/core/format/label-tables.ts';
import { driveStates, purposes, windowStates } from '../../../../src/core/status.ts';
import { full, plain, uuid } from './labels.ts';

const doubts = (count: number): LabelDoubt[] =>
  Array.from({ length: count }, (_, i) => ({ firstStripe: 1e12 + 10 * i, stripes: 1 + i }));

test('labels come back as they were given', () => {
  for (const label of [
    plain,
    full,
    { ...full, doubt: doubts(1) },
    { ...full, doubt: doubts(32) },
  ]) {
    const bytes = encodeLabel(label);
    assert.equal(bytes.length, 4096);
    assert.deepEqual(decodeLabel(bytes), { kind: 'label', value: label });
  }
});

test('the same label for another member differs in whose it is, and in nothing else', () => {
  const encoded = encodeLabel(full);
  for (const [memberUuid, slot] of [
    [uuid(77), 3],
    [uuid(78), null],
  ] as const) {
    const bytes = labelFor(encoded, memberUuid, slot);
    assert.deepEqual(bytes, encodeLabel({ ...full, memberUuid, slot }));
  }
  assert.deepEqual(encoded, encodeLabel(full));
});

test('the bytes may never change: a label of version 1', () => {
  const digestOf = (label: Label): string =>
    Buffer.from(digest128(encodeLabel(label))).toString('hex');
  assert.equal(digestOf(plain), '4b15d0fd0c2dc32356670e2b20a4dd20');
  assert.equal(digestOf({ ...full, stripeLog: 'void' }), '343d1175a8f3de8f3e751dd1ca66b5f6');
});

test('codes are places in lists that only grow', () => {
  assert.equal(driveStates.join(), 'online,away,returning,failed,missing,rebuilding,spare');
  assert.equal(windowStates.join(), 'freezing,open,returning,replaying,thawing,closed,aborted');
  assert.equal(purposes.join(), 'firmware,diagnostics,replacement,reset');
  assert.equal(
    memberReasons.join(),
    'none,write-error,read-errors,flush-error,timeout,vanished,operator,window,stale,' +
      'verify-mismatch,changed,expired,replaced,absent-at-start,md-faulty,rebuild-failed',
  );
  assert.equal(windowOutcomes.join(), 'none,returned,rebuilt,thawed,aborted');
  assert.equal(legStates.join(), 'online,failed,missing');
  assert.equal(recoveryKinds.join(), 'full,bitmap');
  assert.equal(doubleAbsenceWords.join(), 'wait,error');
  assert.equal(stripeLogWords.join(), 'void,kept,whole');
});

test('every flipped bit of the block is found', () => {
  const good = encodeLabel(full);
  for (let offset = 0; offset < 4096; offset++) {
    const bytes = good.slice();
    bytes[offset]! ^= 1 << (offset % 8);
    assert.equal(decodeLabel(bytes).kind, offset < 8 ? 'none' : 'corrupt', `offset ${offset}`);
  }
});

test('every torn write is found', () => {
  const older = encodeLabel({ ...full, sequence: 7, members: full.members.slice(0, 5) });
  const newer = encodeLabel(full);
  for (let cut = 512; cut < 4096; cut += 512) {
    const bytes = older.slice();
    bytes.set(newer.subarray(0, cut));
    if (cut < 4096) assert.equal(decodeLabel(bytes).kind, 'corrupt', `cut at ${cut}`);
  }
});

/** Changes bytes and makes the digest right again: what a mistaken or newer Locum would write. */
function forged(label: Label, change: (bytes: Uint8Array) => void): ReturnType<typeof decodeLabel> {
  const bytes = encodeLabel(label);
  change(bytes);
  bytes.fill(0, 0x10, 0x20);
  bytes.set(digest128(bytes), 0x10);
  return decodeLabel(bytes);
}

test('a right digest does not make nonsense valid', () => {
  const at = (offset: number, byte: number) => (bytes: Uint8Array) => {
    bytes[offset] = byte;
  };
  assert.deepEqual(forged(full, at(0x8, 2)), { kind: 'newer-version', version: 2 });
  const reasons: [string, Label, (bytes: Uint8Array) => void][] = [
    ['version 0', full, at(0x8, 0)],
    ['zero0 is not zero', full, at(0xc, 1)],
    ['zero2 is not zero', full, at(0x500, 1)],
    ['an unused entry is not zero', full, at(0x2b8, 1)],
    ['an unused entry is not zero', full, at(0x2b8 + 16 + 8, 1)],
    ['label doubt: stripes is impossibly large', full, at(0x2b8 + 15, 0x7f)],
    ['name is not text', full, at(0xe0, 1)],
    ['unknown parts are present', full, at(0x116, 0x1f)],
    ['a table has more entries than room', full, at(0x112, 9)],
    ['a table has more entries than room', full, at(0x113, 65)],
    ['a table has more entries than room', full, at(0x114, 9)],
    ['a table has more entries than room', full, at(0x115, 3)],
    ['an unused entry is not zero', full, at(0x113, 63)],
    ['an unused entry is not zero', full, at(0x115, 1)],
    ['an unused entry is not zero', full, at(0x116, 1 | 2 | 8)],
    ['an owner is left', full, at(0x116, 2 | 4 | 8)],
    ['legs without a log', plain, at(0x115, 1)],
    ['a flag is not 0 or 1', full, at(0x111, 2)],
    ['a flag is not 0 or 1', full, at(0x180 + 117, 2)],
    ['an unknown word', full, at(0x600 + 18, 7)],
    ['an unknown word', full, at(0x600 + 19, 200)],
    ['an unknown word', full, at(0x180 + 114, 4)],
    ['an unknown word', full, at(0x180 + 115, 7)],
    ['an unknown word', full, at(0x220 + 10, 2)],
    ['an unknown word', full, at(0x130 + 32 + 16, 3)],
    ['label window: zero is not zero', full, at(0x180 + 119, 1)],
    ['label member: zero is not zero', full, at(0x600 + 20, 1)],
    ['label scrub: zero is not zero', full, at(0x2a0 + 18, 1)],
    ['label window: maxMs is impossibly large', full, at(0x180 + 71, 0x7f)],
    ['sequence is impossibly large', full, at(0x27, 1)],
  ];
  for (const [reason, label, change] of reasons) {
    assert.deepEqual(forged(label, change), { kind: 'corrupt', reason });
  }
});

test('two copies: the newer valid one counts', () => {
  assert.deepEqual([1, 2, 3].map(labelCopyIndex), [0, 1, 0]);
  const one = decodeLabel(encodeLabel({ ...plain, sequence: 1 }));
  const two = decodeLabel(encodeLabel({ ...plain, sequence: 2 }));
  const none = decodeLabel(new Uint8Array(4096));
  const torn = { kind: 'corrupt', reason: 'torn' } as const;
  const newer = { kind: 'newer-version', version: 2 } as const;
  assert.equal(newestLabel(one, two), two);
  assert.equal(newestLabel(two, one), two);
  assert.equal(newestLabel(one, none), one);
  assert.equal(newestLabel(torn, two), two);
  assert.equal(newestLabel(one, torn), one);
  assert.equal(newestLabel(torn, torn), torn);
  // The first label of a new member, torn: it has none yet.
  assert.equal(newestLabel(none, torn), none);
  assert.equal(newestLabel(torn, none), none);
  assert.equal(newestLabel(none, none), none);
  assert.equal(newestLabel(one, newer), newer);
  assert.equal(none.kind, 'none');
});

test('a label that does not fit is a bug, found before it is written', () => {
  const member = full.members[0]!;
  const window = full.window!;
  for (const wrong of [
    { history: [...full.history, uuid(1)] },
    { members: [...full.members, member] },
    { recovery: [...full.recovery, full.recovery[0]!] },
    { doubt: doubts(33) },
    { name: 'n'.repeat(33) },
    { sequence: -1 },
    { members: [{ ...member, state: 'asleep' as never }] },
    { window: { ...window, elapsedMs: 0.5 } },
  ]) {
    assert.throws(() => encodeLabel({ ...full, ...wrong }));
  }
});

test('a copy written by newer software wins, wherever it lies; of two corrupt ones the first is told', () => {
  const one = decodeLabel(encodeLabel({ ...plain, sequence: 1 }));
  const newer = { kind: 'newer-version', version: 2 } as const;
  const none = { kind: 'none' } as const;
  for (const other of [one, none, { kind: 'corrupt', reason: 'torn' } as const]) {
    assert.equal(newestLabel(newer, other), newer);
    assert.equal(newestLabel(other, newer), newer);
  }
  const a = { kind: 'corrupt', reason: 'a' } as const;
  const b = { kind: 'corrupt', reason: 'b' } as const;
  assert.equal(newestLabel(a, b), a);
  assert.equal(newestLabel(a, none), none);
  assert.equal(newestLabel(none, b), none);
  assert.equal(newestLabel(none, none), none);
});

test('flags survive the trip in both positions', () => {
  for (const on of [true, false]) {
    const label: Label = {
      ...full,
      clean: on,
      window: full.window && { ...full.window, verified: on },
      scrub: { active: on, repair: !on, cursorStripe: 1, mismatches: 2 },
    };
    assert.deepEqual(decodeLabel(encodeLabel(label)), { kind: 'label', value: label });
  }
});

test('a mistake of ours is not taken for a damaged label', () => {
  assert.throws(() => decodeLabelBody(new Uint8Array(100)), /fewer bytes than the layout/);
});
