/**
 * The fields of the label, as bytes: one table for the block and one for each kind of entry in it, and the two
 * directions of the translation. `decodeLabelBody` gives a reason instead of a label for whatever `encodeLabelBody`
 * could not have written. Coded words are places in the lists of label.ts and core/status.ts, which only ever grow.
 */

import { assert } from '../../base/assert.ts';
import { DIGEST_BYTES } from '../../base/digest.ts';
import { type Decoded, field, isZero, Layout } from '../../base/layout.ts';
import { BLOCK_BYTES } from '../../base/units.ts';
import { NIL_UUID, UUID_BYTES, type Uuid, uuidFromBytes, writeUuid } from '../../base/uuid.ts';
import { driveStates, purposes, windowStates } from '../status.ts';
import {
  doubleAbsenceWords,
  LABEL_DOUBTS_MAX,
  LABEL_HISTORY_MAX,
  LABEL_LEGS_MAX,
  LABEL_MAGIC,
  LABEL_MEMBERS_MAX,
  LABEL_RECOVERIES_MAX,
  LABEL_VERSION,
  type Label,
  type LabelDoubt,
  type LabelLog,
  type LabelMember,
  type LabelRecovery,
  type LabelScrub,
  type LabelWindow,
  legStates,
  memberReasons,
  recoveryKinds,
  stripeLogWords,
  windowOutcomes,
} from './label.ts';

const NO_SLOT = 0xffff;

/** Bits of `present`. */
const HAS_OWNER = 1;
const HAS_LOG = 2;
const HAS_WINDOW = 4;
const HAS_SCRUB = 8;
const PRESENT_ALL = HAS_OWNER | HAS_LOG | HAS_WINDOW | HAS_SCRUB;

export const memberTable = new Layout('label member', 40, {
  uuid: field(0, 'uuid', 'the member'),
  slot: field(16, 'u16', 'its slot; ffff for none'),
  state: field(18, 'u8', 'drive state'),
  reason: field(19, 'u8', 'why it is not online'),
  zero: field(20, 'zero', 'reserved', 4),
  eventsAtChange: field(24, 'u64', 'event counter when the state last changed'),
  changedWallMs: field(32, 'u64', 'wall clock then, ms'),
});

export const legTable = new Layout('label leg', 24, {
  uuid: field(0, 'uuid', 'the leg'),
  state: field(16, 'u8', 'leg state'),
  zero: field(17, 'zero', 'reserved', 7),
});

export const logTable = new Layout('label log', 80, {
  uuid: field(0, 'uuid', 'the log'),
  epoch: field(16, 'u64', 'its epoch'),
  lastSequence: field(24, 'u64', 'a lower bound of its last sequence'),
  legs: field(32, 'region', 'entries of 24 bytes', LABEL_LEGS_MAX * legTable.sizeBytes),
});

export const windowTable = new Layout('label window', 160, {
  id: field(0, 'uuid', 'the window'),
  token: field(16, 'uuid', 'the freeze token: the generation that the freeze began'),
  memberUuid: field(32, 'uuid', 'the member that is away'),
  openedWallMs: field(48, 'u64', 'wall clock at the freeze, ms'),
  elapsedMs: field(56, 'u64', 'how long it has been open, ms'),
  maxMs: field(64, 'u64', 'its time limit'),
  waitMs: field(72, 'u64', 'how long an I/O that needs two absent members waits'),
  logEpoch: field(80, 'u64', 'epoch of the log in this window'),
  frozenEvents: field(88, 'u64', 'event counter of all members at the freeze'),
  cursorStripe: field(96, 'u64', 'replay: stripes below are on the members'),
  appliedThrough: field(104, 'u64', 'replay: log records up to here are on the members'),
  slot: field(112, 'u16', 'slot of the member that is away'),
  purpose: field(114, 'u8', 'purpose'),
  state: field(115, 'u8', 'window state'),
  onDoubleAbsence: field(116, 'u8', '0 wait, 1 error'),
  verified: field(117, 'u8', '1: the returned drive was compared'),
  outcome: field(118, 'u8', 'how it ended'),
  zero: field(119, 'zero', 'reserved', 41),
});

export const recoveryTable = new Layout('label recovery', 16, {
  cursorStripe: field(0, 'u64', 'stripes below are rebuilt'),
  slot: field(8, 'u16', 'the slot being rebuilt; 0 in an unused entry'),
  kind: field(10, 'u8', '0 full, 1 bitmap'),
  zero: field(11, 'zero', 'reserved', 5),
});

export const doubtTable = new Layout('label doubt', 16, {
  firstStripe: field(0, 'u64', 'the first of the stripes'),
  stripes: field(8, 'u64', 'how many; 0 in an unused entry'),
});

export const scrubTable = new Layout('label scrub', 24, {
  cursorStripe: field(0, 'u64', 'stripes below are checked'),
  mismatches: field(8, 'u64', 'stripes found to disagree'),
  active: field(16, 'u8', '1: to be continued after a restart'),
  repair: field(17, 'u8', '1: mismatches are repaired'),
  zero: field(18, 'zero', 'reserved', 6),
});

const MEMBERS_BYTES = LABEL_MEMBERS_MAX * memberTable.sizeBytes;

export const labelLayout = new Layout('label', BLOCK_BYTES, {
  magic: field(0x000, 'ascii', '`LOCUMLBL`', 8),
  version: field(0x008, 'u32', '1; newer software writes more'),
  zero0: field(0x00c, 'zero', 'reserved', 4),
  digest: field(0x010, 'bytes', 'first half of SHA-256 with this field zero', DIGEST_BYTES),
  sequence: field(0x020, 'u64', 'number of this label; odd in copy A, even in copy B'),
  events: field(0x028, 'u64', 'event counter of the superblocks'),
  volumeUuid: field(0x030, 'uuid', 'the volume'),
  memberUuid: field(0x040, 'uuid', 'the member this copy is on'),
  generation: field(0x050, 'uuid', 'the current generation'),
  history: field(
    0x060,
    'region',
    'earlier generations, newest first',
    LABEL_HISTORY_MAX * UUID_BYTES,
  ),
  name: field(0x0e0, 'ascii', 'name of the volume', 32),
  memberDataBytes: field(0x100, 'u64', 'used of every member'),
  chunkBytes: field(0x108, 'u32', 'chunk'),
  memberCount: field(0x10c, 'u16', 'slots of the volume'),
  slot: field(0x10e, 'u16', 'slot of this member; ffff for none'),
  level: field(0x110, 'u8', "Locum's level: 1, 3, 4, 5"),
  clean: field(0x111, 'u8', '1: stopped in good order'),
  historyCount: field(0x112, 'u8', 'used entries of history'),
  membersCount: field(0x113, 'u8', 'used entries of members'),
  recoveryCount: field(0x114, 'u8', 'used entries of recovery'),
  legsCount: field(0x115, 'u8', 'used entries of the legs'),
  present: field(0x116, 'u8', 'bits: 1 owner, 2 log, 4 window, 8 scrub'),
  stripeLog: field(0x117, 'u8', 'the stripe log: 0 void, 1 kept, 2 whole'),
  ownerToken: field(0x118, 'uuid', 'the server that runs the volume'),
  ownerWallMs: field(0x128, 'u64', 'and when it said so, ms'),
  log: field(0x130, 'region', 'the log', logTable.sizeBytes),
  window: field(0x180, 'region', 'the window', windowTable.sizeBytes),
  recovery: field(0x220, 'region', 'rebuilds', LABEL_RECOVERIES_MAX * recoveryTable.sizeBytes),
  scrub: field(0x2a0, 'region', 'the scrub', scrubTable.sizeBytes),
  doubt: field(0x2b8, 'region', 'parity in doubt', LABEL_DOUBTS_MAX * doubtTable.sizeBytes),
  zero2: field(0x4b8, 'zero', 'reserved', 0x600 - 0x4b8),
  members: field(0x600, 'region', 'members, 40 bytes each', MEMBERS_BYTES),
});

const NO_DIGEST = new Uint8Array(DIGEST_BYTES);

/** Fills all of `bytes` except the digest. */
export function encodeLabelBody(label: Label, bytes: Uint8Array): void {
  const { history, members, recovery, doubt, log, window, owner, scrub } = label;
  assert(history.length <= LABEL_HISTORY_MAX, 'too many generations for the label');
  assert(members.length <= LABEL_MEMBERS_MAX, 'too many members for the label');
  assert(recovery.length <= LABEL_RECOVERIES_MAX, 'too many rebuilds for the label');
  assert(doubt.length <= LABEL_DOUBTS_MAX, 'too many doubts for the label');
  const at = labelLayout.fields;
  labelLayout.encode(
    {
      magic: LABEL_MAGIC,
      version: LABEL_VERSION,
      digest: NO_DIGEST,
      sequence: label.sequence,
      events: label.events,
      volumeUuid: label.volumeUuid,
      memberUuid: label.memberUuid,
      generation: label.generation,
      name: label.name,
      memberDataBytes: label.memberDataBytes,
      chunkBytes: label.chunkBytes,
      memberCount: label.memberCount,
      level: label.level,
      slot: label.slot ?? NO_SLOT,
      clean: label.clean ? 1 : 0,
      stripeLog: codeOf(stripeLogWords, label.stripeLog),
      historyCount: history.length,
      membersCount: members.length,
      recoveryCount: recovery.length,
      legsCount: log?.legs.length ?? 0,
      present:
        (owner ? HAS_OWNER : 0) |
        (log ? HAS_LOG : 0) |
        (window ? HAS_WINDOW : 0) |
        (scrub ? HAS_SCRUB : 0),
      ownerToken: owner?.token ?? NIL_UUID,
      ownerWallMs: owner?.wallMs ?? 0,
    },
    bytes,
  );
  for (const [index, generation] of history.entries()) {
    writeUuid(generation, bytes, at.history.offset + index * UUID_BYTES);
  }
  for (const [index, member] of members.entries()) {
    encodeMember(member, bytes, at.members.offset + index * memberTable.sizeBytes);
  }
  for (const [index, entry] of recovery.entries()) {
    const values = { ...entry, kind: codeOf(recoveryKinds, entry.kind) };
    recoveryTable.encode(values, bytes, at.recovery.offset + index * recoveryTable.sizeBytes);
  }
  for (const [index, entry] of doubt.entries()) {
    doubtTable.encode({ ...entry }, bytes, at.doubt.offset + index * doubtTable.sizeBytes);
  }
  if (log) encodeLog(log, bytes, at.log.offset);
  if (window) encodeWindow(window, bytes, at.window.offset);
  if (scrub) {
    const values = { ...scrub, active: scrub.active ? 1 : 0, repair: scrub.repair ? 1 : 0 };
    scrubTable.encode(values, bytes, at.scrub.offset);
  }
}

/** Of a label: the member it is on. */
export function encodeHolder(memberUuid: Uuid, slot: number | null, bytes: Uint8Array): void {
  const at = labelLayout.fields;
  writeUuid(memberUuid, bytes, at.memberUuid.offset);
  new DataView(bytes.buffer, bytes.byteOffset).setUint16(at.slot.offset, slot ?? NO_SLOT, true);
}

function encodeMember(member: LabelMember, bytes: Uint8Array, at: number): void {
  const slot = member.slot ?? NO_SLOT;
  const state = codeOf(driveStates, member.state);
  const reason = codeOf(memberReasons, member.reason);
  memberTable.encode({ ...member, slot, state, reason }, bytes, at);
}

function encodeLog(log: LabelLog, bytes: Uint8Array, at: number): void {
  assert(log.legs.length <= LABEL_LEGS_MAX, 'too many legs for the label');
  logTable.encode(log, bytes, at);
  for (const [index, leg] of log.legs.entries()) {
    const values = { uuid: leg.uuid, state: codeOf(legStates, leg.state) };
    legTable.encode(values, bytes, at + logTable.fields.legs.offset + index * legTable.sizeBytes);
  }
}

function encodeWindow(window: LabelWindow, bytes: Uint8Array, at: number): void {
  const values = {
    ...window,
    purpose: codeOf(purposes, window.purpose),
    state: codeOf(windowStates, window.state),
    onDoubleAbsence: codeOf(doubleAbsenceWords, window.onDoubleAbsence),
    verified: window.verified ? 1 : 0,
    outcome: codeOf(windowOutcomes, window.outcome),
  };
  windowTable.encode(values, bytes, at);
}

/** The label, or what is wrong with it. Magic, digest and version have been checked. */
export function decodeLabelBody(bytes: Uint8Array): Label | string {
  try {
    return decodeChecked(bytes);
  } catch (error) {
    if (error instanceof BadLabel) return error.message;
    throw error;
  }
}

/** Thrown and caught in this file only: the way out of the nested tables. */
class BadLabel extends Error {}

function bad(reason: string): never {
  throw new BadLabel(reason);
}

function decodeChecked(bytes: Uint8Array): Label {
  const finding = labelLayout.check(bytes);
  if (finding !== null) bad(finding);
  const at = labelLayout.fields;
  const raw = labelLayout.decode(bytes);
  if (raw.present > PRESENT_ALL) bad('unknown parts are present');
  const has = (bit: number): boolean => (raw.present & bit) !== 0;
  const { historyCount, membersCount, recoveryCount, legsCount, ownerToken, ownerWallMs } = raw;
  unused(bytes, at.history, historyCount, UUID_BYTES);
  unused(bytes, at.members, membersCount, memberTable.sizeBytes);
  unused(bytes, at.recovery, recoveryCount, recoveryTable.sizeBytes);
  if (!has(HAS_LOG)) unused(bytes, at.log, 0, logTable.sizeBytes);
  if (!has(HAS_WINDOW)) unused(bytes, at.window, 0, windowTable.sizeBytes);
  if (!has(HAS_SCRUB)) unused(bytes, at.scrub, 0, scrubTable.sizeBytes);
  if (!has(HAS_OWNER) && (ownerToken !== NIL_UUID || ownerWallMs !== 0)) bad('an owner is left');
  if (!has(HAS_LOG) && legsCount !== 0) bad('legs without a log');
  // One by one: "all but these" of an object this wide costs more than all the rest, and a start reads many labels.
  return {
    sequence: raw.sequence,
    events: raw.events,
    volumeUuid: raw.volumeUuid,
    memberUuid: raw.memberUuid,
    generation: raw.generation,
    name: raw.name,
    memberDataBytes: raw.memberDataBytes,
    chunkBytes: raw.chunkBytes,
    memberCount: raw.memberCount,
    level: raw.level,
    slot: raw.slot === NO_SLOT ? null : raw.slot,
    clean: flagOf(raw.clean),
    stripeLog: wordOf(stripeLogWords, raw.stripeLog),
    owner: has(HAS_OWNER) ? { token: ownerToken, wallMs: ownerWallMs } : null,
    history: entries(historyCount, at.history.offset, UUID_BYTES, (offset) =>
      uuidFromBytes(bytes.subarray(offset)),
    ),
    members: entries(membersCount, at.members.offset, memberTable.sizeBytes, (offset) =>
      decodeMember(bytes, offset),
    ),
    recovery: entries(recoveryCount, at.recovery.offset, recoveryTable.sizeBytes, (offset) =>
      decodeRecovery(bytes, offset),
    ),
    doubt: decodeDoubts(bytes),
    log: has(HAS_LOG) ? decodeLog(bytes, at.log.offset, legsCount) : null,
    window: has(HAS_WINDOW) ? decodeWindow(bytes, at.window.offset) : null,
    scrub: has(HAS_SCRUB) ? decodeScrub(bytes, at.scrub.offset) : null,
  };
}

function decodeMember(bytes: Uint8Array, at: number): LabelMember {
  const raw = checked(memberTable, bytes, at);
  // One by one here too: a label has dozens of them.
  return {
    uuid: raw.uuid,
    slot: raw.slot === NO_SLOT ? null : raw.slot,
    state: wordOf(driveStates, raw.state),
    reason: wordOf(memberReasons, raw.reason),
    eventsAtChange: raw.eventsAtChange,
    changedWallMs: raw.changedWallMs,
  };
}

function decodeRecovery(bytes: Uint8Array, at: number): LabelRecovery {
  const raw = checked(recoveryTable, bytes, at);
  return { ...raw, kind: wordOf(recoveryKinds, raw.kind) };
}

/** Up to the first unused one: a start reads many labels, and there is hardly ever a doubt on them. */
function decodeDoubts(bytes: Uint8Array): LabelDoubt[] {
  const { doubt } = labelLayout.fields;
  const used: LabelDoubt[] = [];
  while (used.length < LABEL_DOUBTS_MAX) {
    const offset = doubt.offset + used.length * doubtTable.sizeBytes;
    const entry = checked(doubtTable, bytes, offset);
    if (entry.stripes === 0) break;
    used.push(entry);
  }
  unused(bytes, doubt, used.length, doubtTable.sizeBytes);
  return used;
}

function decodeLog(bytes: Uint8Array, at: number, legsCount: number): LabelLog {
  const raw = checked(logTable, bytes, at);
  const { legs } = logTable.fields;
  unused(bytes, { ...legs, offset: at + legs.offset }, legsCount, legTable.sizeBytes);
  return {
    ...raw,
    legs: entries(legsCount, at + legs.offset, legTable.sizeBytes, (offset) => {
      const { uuid, state } = checked(legTable, bytes, offset);
      return { uuid, state: wordOf(legStates, state) };
    }),
  };
}

function decodeWindow(bytes: Uint8Array, at: number): LabelWindow {
  const raw = checked(windowTable, bytes, at);
  return {
    ...raw,
    purpose: wordOf(purposes, raw.purpose),
    state: wordOf(windowStates, raw.state),
    onDoubleAbsence: wordOf(doubleAbsenceWords, raw.onDoubleAbsence),
    verified: flagOf(raw.verified),
    outcome: wordOf(windowOutcomes, raw.outcome),
  };
}

function decodeScrub(bytes: Uint8Array, at: number): LabelScrub {
  const raw = checked(scrubTable, bytes, at);
  return { ...raw, active: flagOf(raw.active), repair: flagOf(raw.repair) };
}

function checked<F extends ConstructorParameters<typeof Layout>[2]>(
  layout: Layout<F>,
  bytes: Uint8Array,
  at: number,
): Decoded<F> {
  const finding = layout.check(bytes, at);
  if (finding !== null) bad(`${layout.name}: ${finding}`);
  return layout.decode(bytes, at);
}

function entries<T>(
  count: number,
  offset: number,
  entryBytes: number,
  decode: (offset: number) => T,
): T[] {
  return Array.from({ length: count }, (_, index) => decode(offset + index * entryBytes));
}

/** Entries behind the used ones are zero, and there are not more than there is room for. */
function unused(
  bytes: Uint8Array,
  region: { readonly offset: number; readonly lengthBytes: number },
  count: number,
  entryBytes: number,
): void {
  const used = count * entryBytes;
  if (used > region.lengthBytes) bad('a table has more entries than room');
  if (!isZero(bytes, region.offset + used, region.lengthBytes - used))
    bad('an unused entry is not zero');
}

function codeOf<Word extends string>(words: readonly Word[], word: Word): number {
  const code = words.indexOf(word);
  assert(code >= 0, 'a word without a code');
  return code;
}

function wordOf<Word extends string>(words: readonly Word[], code: number): Word {
  return words[code] ?? bad('an unknown word');
}

const flagOf = (code: number): boolean => (code <= 1 ? code === 1 : bad('a flag is not 0 or 1'));
