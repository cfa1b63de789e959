/**
 * Every correctness case of a window, and the test that holds it: entry, the open window, the return, the replay, control.
 * cases.test.ts checks that each test exists under its title, so that the map never goes stale, and docs/accidents.md is
 * made from it. A case that no test can hold yet says why.
 */

export interface HeldBy {
  /** Below tests/, without `.test.ts`. */
  readonly file: string;
  /** As it stands in the source: template parts (`${level}`) included. */
  readonly title: string;
}

export interface WindowCase {
  readonly id: string;
  readonly what: string;
  readonly by: readonly HeldBy[];
  /** What of the case is not tested, and why. */
  readonly open?: string;
}

const held = (file: string, ...titles: string[]): HeldBy[] =>
  titles.map((title) => ({ file, title }));

const returns = (...titles: string[]): HeldBy[] => held('unit/engine/returns', ...titles);
const legs = (...titles: string[]): HeldBy[] => held('unit/engine/legs', ...titles);
const barriers = (...titles: string[]): HeldBy[] => held('directed-traps/barriers', ...titles);
const stripes = (...titles: string[]): HeldBy[] => held('directed-traps/stripes', ...titles);
const found = (...titles: string[]): HeldBy[] => held('directed/found', ...titles);
const machines = (...titles: string[]): HeldBy[] => held('unit/core/machines/machines', ...titles);
const matrixOf = held(
  'directed/matrix',
  'matrix, RAID ${level}: ${state} × ${fault}: ${what[outcome]}',
);
const crashPoints = held('unit/engine/crash-points', 'RAID ${level}, ${what}: ${how}${twice ?');

const runs = (...titles: string[]): HeldBy[] => held('unit/control/runs/runs', ...titles);
const flashed = (title: string): HeldBy[] => held('e2e/runs', title);
const rollout = (...titles: string[]): HeldBy[] => held('unit/control/rollouts/rollout', ...titles);
const restarted = (...titles: string[]): HeldBy[] =>
  held('unit/control/rollouts/restart', ...titles);

const opened = (title: string): HeldBy[] => held('directed/window-open', title);
const ended = (title: string): HeldBy[] => held('directed/window-end', title);

export const entry: readonly WindowCase[] = [
  {
    id: '6.1.1',
    what: 'the order of the freeze; a crash between any two steps lands in "no window" or "window open"',
    by: [
      ...barriers(
        'the power fails at any moment of a freeze',
        'writes that are under way when the freeze begins end before it',
      ),
      ...held('directed-traps/members', 'T6: a drive is let go with nothing left in its cache'),
      ...held(
        'unit/engine/freeze-and-return',
        'another drive fails while the labels of a freeze are written: no window, and nothing is halted',
        'the drive that is about to leave fails: no window, and it is failed',
      ),
      ...matrixOf,
    ],
  },
  {
    id: '6.1.2',
    what: 'a latent error on a survivor, found when the drive is away: the stripe waits, no drive is failed for it',
    by: opened(
      '6.1.2 a survivor cannot read a sector while the drive is away: that stripe waits, the drive is not failed',
    ),
    open: 'the age of the last clean scrub is not a check of the plan yet',
  },
  {
    id: '6.1.3',
    what: 'dirty stripes or a running rebuild are refused, a degraded volume needs a flag',
    by: returns(
      'a window on a volume that is rebuilding or resyncing is refused',
      'a window on a degraded volume: refused with the exposure, opened when that is accepted',
    ),
  },
  {
    id: '6.1.4',
    what: 'a log on the drive that leaves, two windows of one volume, a drive of two volumes: refused',
    by: [
      ...held(
        'unit/engine/new-legs',
        'what cannot be a leg is refused by name, and stays as it was',
      ),
      ...returns('a second window is refused with the check that fails'),
      ...held(
        'unit/control/control-plane',
        'the drives of one volume are refused to another, running or not',
      ),
    ],
    open: 'a shared controller or enclosure is not known to the server',
  },
  {
    id: '6.1.5',
    what: 'a spare does not replace the drive that is away, but the one that failed',
    by: opened(
      '6.1.5 a spare is there: the drive that is away does not get it, the one that failed gets it once the window is closed',
    ),
  },
];

export const openWindow: readonly WindowCase[] = [
  {
    id: '6.2.1',
    what: 'the server crashes: the window is open again; without the log no start; of several legs the newest complete one',
    by: [
      ...returns('it comes back after the server was restarted twice'),
      ...legs(
        'no leg is given while a window is open: no start, and it says what is missing',
        'only ${leg} is found at start: it is enough, and the other is out from then on',
        'both legs rolled back to earlier in the window, the labels newer: refused',
      ),
    ],
    open: 'a read-only start without the log is not offered: the volume does not start',
  },
  {
    id: '6.2.2',
    what: 'the members alone look clean and old: no other host or tool may take them',
    by: [
      ...held('lab/md', 'the kernel refuses members while a window is open'),
      ...barriers(
        'in a window every superblock carries the bit that md does not know; after it none does',
      ),
    ],
  },
  {
    id: '6.2.3',
    what: 'a bad record before a later acknowledged flush is damage, an alarm, and never the end of the log',
    by: held(
      'unit/engine-log/damage',
      'a segment that was flushed and has no header on any leg is damage, never the end of the log',
      'a tail that was never flushed may be torn on all legs: it ends there',
      'what cannot be read is not called torn',
    ),
  },
  {
    id: '6.2.4',
    what: 'a flush covers what was answered on every connection, in all legs; FUA is durable by itself',
    by: [
      ...held(
        'directed-traps/requests',
        'T11: a flush on one connection covers the writes of another',
      ),
      ...barriers(
        'a flush covers what was answered before it, also while another one is running',
        'a write with FUA survives the power, direct, degraded and frozen',
        'what a flush has not reached is not called committed by the records behind it',
      ),
    ],
  },
  {
    id: '6.2.5',
    what: 'bytes that are no whole sectors; a read beside a write has the old or the new, never a mixture',
    by: opened(
      '6.2.5 bytes that are no whole sectors, over log and members: newest wins, and a read beside a write has no mixture',
    ),
  },
  {
    id: '6.2.6',
    what: 'trims and zeroes are records in their order; fast zero and no hole keep their meaning',
    by: [
      ...legs(
        'trims and zeroes in a window are in the log too, and come out of a crash and the replay in order',
      ),
      ...opened(
        '6.2.6 a fast zero is fast only where it becomes a record; a trim reads as zeroes, and so it is on every member',
      ),
      ...stripes('T19: zeroes over what the log has not replayed yet'),
    ],
    open: 'a volume cannot be resized at all, so there is nothing to refuse in a window',
  },
  {
    id: '6.2.7',
    what: 'the memory of the index is bounded, checkpoints shorten its recovery',
    by: [
      ...held(
        'unit/engine-log/window-log',
        'the overlay is bounded: the log counts as full at its limit of extents',
      ),
      ...held(
        'unit/engine-log/checkpoint',
        'checkpoints shorten recovery and hold the same overlay',
        'a checkpoint whose segments were lost with the power is not believed beyond its flush',
      ),
    ],
    open: 'overwritten ranges are not compacted: a full log thaws, or holds writes',
  },
  {
    id: '6.2.8',
    what: 'the log is full: thawed with no drive failed, otherwise writes wait; reads go on',
    by: legs(
      'the log fills, no second failure: said at 70 and 85 %, gone on without the drive at 95 %',
      'the log is full and a second drive has failed: writes are held, reads go on, never thawed, freed by the return',
      'the log is full, a second drive has failed, the server is killed: writes are held again after the restart',
    ),
  },
  {
    id: '6.2.9',
    what: 'a leg fails: the other goes on; the only one: brought home while it answers, otherwise nothing is made up',
    by: [
      ...opened(
        '6.2.9 the only leg fails with no drive failed: what was acknowledged is brought home, or refused, never made up',
      ),
      ...legs(
        'no leg can be written, no second failure: the volume goes on without the drive by itself',
        'no leg can be written and a second drive has failed: writes are held, reads go on, the return frees them',
      ),
      ...held(
        'unit/engine/legs-probed',
        'a leg vanishes in a quiet window: out on the record, an alarm, and the drive is wanted back',
      ),
    ],
  },
  {
    id: '6.2.10',
    what: 'reads: the log, the member, the survivors; with two absent they wait, then EIO; never stale, never zeroes',
    by: [
      ...returns(
        'reads that need both wait for as long as was asked, then EIO; everything else goes on meanwhile',
        'held reads, aligned and not, and a held unaligned write are answered when the drive returns',
      ),
      ...held(
        'unit/engine/grid',
        '${title}, frozen: every pair of which the second ${how}, replay, replacement',
      ),
    ],
  },
  {
    id: '6.2.11',
    what: 'a second drive fails: no rebuild, no thaw, the drive is recalled',
    by: [
      ...machines('rules 2 and 3: with a second member absent nothing leads to a thaw'),
      ...held(
        'unit/engine/window',
        'a window that expires with a second drive failed holds on and never thaws',
      ),
      ...flashed(
        'another drive fails while the drive is being flashed: the activation is left out',
      ),
      ...matrixOf,
    ],
  },
  {
    id: '6.2.12',
    what: 'the second drive comes back by itself: it is of the frozen image, and taken',
    by: [
      ...held(
        'unit/engine/window',
        'the second drive comes back first: it is as good as the one that is away',
      ),
      ...returns(
        'of the frozen image: the second drive was missing at a start, is there at the next, and is taken back',
      ),
    ],
  },
  {
    id: '6.2.13',
    what: 'one more fails: everything is kept, and any of the frozen image is accepted later',
    by: [
      ...found(
        'L6: one drive is out, one is away, a third fails: the return alone does not end the window, and nothing is lost',
      ),
      ...matrixOf,
    ],
  },
  {
    id: '6.2.14',
    what: 'RAID 1: the drive returns and its mate is dead: the frozen image and the log are complete',
    by: held('unit/engine/window', 'RAID ${level}: a second drive fails while the first is away'),
    open: 'RAID 6 and 10 are not there yet',
  },
  {
    id: '6.2.15',
    what: 'the limit is monotonic, survives restarts, and clock jumps change nothing',
    by: [
      ...opened(
        '6.2.15 the wall clock jumps: a window ends when its time has passed, not before, and a jump back gives no time',
      ),
      ...returns(
        'extend: the deadline moves, also over a restart, and one that had passed with a second failure is quiet again',
      ),
    ],
  },
];

export const comingBack: readonly WindowCase[] = [
  {
    id: '6.3.1',
    what: 'identified: volume, member, freeze token, events, size, blocks',
    by: [
      ...ended('6.3.1 it comes back with blocks of 4 KiB instead of 512 bytes: refused'),
      ...returns(
        'a smaller drive comes back: refused by its size, also for a rebuild',
        'another member of the same volume is given: refused',
        'superblock or label of the drive are gone or damaged: named for what it is',
      ),
      ...runs(
        'a drive that is gone after its activation is waited for; one that is another is not taken',
      ),
      ...held(
        'unit/control/runs/wrong-drive',
        'another member answers at the path after the freeze: nothing touches it',
      ),
    ],
    open: 'protection format and lock state are not asked for: such a drive shows in its size, its blocks or its errors',
  },
  {
    id: '6.3.2',
    what: 'its contents are compared with the frozen survivors',
    by: [
      ...returns('the contents changed where ${verify} looks: refused, taken when told to rebuild'),
      ...barriers('a drive is compared with the others to the end before it is on record as back'),
    ],
    open: 'with another drive failed nothing is left to compare with; that is said, and the drive is taken (no digests yet)',
  },
  {
    id: '6.3.3',
    what: 'a blank or foreign drive: rebuilt from the frozen image; with another one failed refused',
    by: returns(
      'RAID ${level}: a blank drive comes back, with a crash half-way through its rebuild',
      'RAID ${level}: a blank drive comes back while another is failed: refused with the reason',
      'a member of another volume comes back: refused, nothing is written to it, taken only when told to rebuild',
    ),
  },
  {
    id: '6.3.4',
    what: 'an image of an older epoch: refused',
    by: returns(
      'an image of the drive from before the window comes back: refused as stale',
      'an image of the drive from an earlier window comes back: refused as stale',
    ),
  },
  {
    id: '6.3.5',
    what: 'it comes back with the old firmware',
    by: [
      ...flashed('firmware: flashed under load, on record; the same image again is not applied'),
      ...runs('what the drive says afterwards decides, not the tool'),
      ...rollout('a drive that says another version after the soak halts the rollout'),
    ],
  },
  {
    id: '6.3.6',
    what: 'it never comes back: thawed; with another one failed the window stays open',
    by: held(
      'unit/engine/window',
      'the drive never comes back: the window expires and the volume thaws',
      'a window that expires with a second drive failed holds on and never thaws',
    ),
  },
  {
    id: '6.3.7',
    what: 'it fails at its first write',
    by: [
      ...returns(
        'RAID ${level}: each member fails in turn during ${phase}, early, in the middle, late',
        'the drive that came back fails in replay, the server is killed, the drive is there again: it is not current',
      ),
      ...matrixOf,
    ],
  },
  {
    id: '6.3.8',
    what: 'it flaps: compared anew each time, tried ever less often',
    by: ended(
      '6.3.8 the drive flaps on its return, the other one all the time: compared anew each time, tried ever less often',
    ),
  },
];

export const replay: readonly WindowCase[] = [
  {
    id: '6.4.1',
    what: 'idempotent and ordered by range; the log is released after the members are flushed',
    by: [
      ...crashPoints,
      ...barriers('the power fails at any moment of a replay and of the end of the window'),
    ],
  },
  {
    id: '6.4.2',
    what: 'the write hole of a degraded replay: the after-image is in the log first',
    by: [
      ...stripes('T1: a kill in a replay onto a stripe that has a member absent'),
      ...found(
        'L4: of the record of a failure only the superblocks survive, and the server is killed at its next start: no split history',
      ),
    ],
  },
  {
    id: '6.4.3',
    what: 'with all there, parity is made from data, never modified',
    by: stripes('T2: a small write to a stripe whose parity a crash left in doubt'),
  },
  {
    id: '6.4.4',
    what: 'host writes during the replay: below the cursor to the members, above it to the log, the flush covers both',
    by: [
      ...barriers('host writes into the zone that the replay is about to finish'),
      ...stripes('T18: reads while the log is replayed, before and behind the cursor'),
      ...held(
        'unit/engine/stop-in-replay',
        'RAID ${level}: stopped while the log is replayed and hosts write: what they wrote is there',
      ),
    ],
  },
  {
    id: '6.4.5',
    what: 'hosts that outrun the replay are slowed down',
    by: ended(
      '6.4.5 hosts write faster than the log is replayed: they are slowed down, and the replay ends',
    ),
  },
  {
    id: '6.4.6',
    what: 'a second failure during the replay',
    by: [
      ...returns(
        'RAID ${level}: each member fails in turn during ${phase}, early, in the middle, late',
      ),
      ...matrixOf,
    ],
  },
  {
    id: '6.4.7',
    what: 'the returned drive fails during the replay with another one out',
    by: matrixOf,
  },
  {
    id: '6.4.8',
    what: 'a crash during the replay: it goes on, and reads see the log above the cursor',
    by: [...returns('${how} in every state of a window, and started again'), ...crashPoints],
  },
  {
    id: '6.4.9',
    what: 'the end: flushed, on record, released; who was out is behind, and resynced by what it missed',
    by: [
      ...ended(
        '6.4.9 the other drive was only unplugged and the window has ended without it: it is behind, and is resynced by bitmap',
      ),
      ...returns(
        'a drive failed before the window is added in it: refused as stale, it missed writes',
      ),
    ],
  },
  {
    id: '6.4.10',
    what: 'after the close parity and mirrors of the replayed stripes are right',
    by: returns(
      'exactness: a whole window leaves every member with the bytes of one image, and frozen members untouched',
    ),
    open: 'the server does not check them by itself; a scrub does',
  },
];

export const control: readonly WindowCase[] = [
  {
    id: '6.5.1',
    what: 'every state has a timer, an owner and an exit',
    by: machines('every state but the last ones has a way out, and every state is reached'),
  },
  {
    id: '6.5.2',
    what: 'cancel is safe',
    by: returns(
      'abort: the drive is taken back and nothing of what was logged is lost',
      'abort with a drive that was changed: refused, the window stays',
    ),
  },
  {
    id: '6.5.3',
    what: 'a command given twice does its work once',
    by: [
      ...returns('two returns at once: one goes on, the other is told so'),
      ...runs('two runs asked for at once: one of them is refused'),
    ],
    open: 'there are no request ids: the second command is refused by name',
  },
  {
    id: '6.5.4',
    what: 'an executor hangs: ended, and the drive stays away until it has been asked who it is',
    by: [
      ...runs('a tool that hangs is ended, and the drive is asked'),
      ...held(
        'unit/tasks/image-drive',
        'a tool that hangs and does not listen is ended by force, and the drive is as it was',
      ),
      ...held(
        'unit/control/runs/at-work',
        'a drive in the middle of a download is not given back to the volume that went on without it',
      ),
    ],
  },
  {
    id: '6.5.5',
    what: 'a rolling plan survives a restart, and halts on a bad result, on errors, on a second failure',
    by: [
      ...restarted(
        'killed while a run is at work: the run goes on by itself, the rollout after it',
        'paused and halted stay so over a restart, with their reason',
      ),
      ...rollout(
        'new errors in the soak halt it, and say so of the drive',
        'a second failure halts it, names the drive and what to do',
        'one rollout a volume, two of different volumes side by side',
      ),
    ],
  },
  {
    id: '6.5.6',
    what: 'status never shows more than 100 %',
    by: ended(
      '6.5.6 nothing is ever more than done: jobs and the replay count up to their total and not beyond',
    ),
  },
  {
    id: '6.5.7',
    what: 'older software refuses what newer software wrote',
    by: held(
      'unit/core/format/label',
      'a copy written by newer software wins, wherever it lies; of two corrupt ones the first is told',
    ),
  },
];

/** With how many there are, so that none is dropped. */
export const chapters: readonly [string, number, readonly WindowCase[]][] = [
  ['Entry', 5, entry],
  ['While it is open', 15, openWindow],
  ['The return', 8, comingBack],
  ['Replay', 10, replay],
  ['Control', 7, control],
];
