/**
 * A run: one drive task inside the windows of one drive, from the freeze to the end of the replay.
 *
 * Two questions decide everything here. Has the task begun to touch the drive? If not, the drive is
 * as it left and may be brought back at once. And: is a window of it still there? If the volume went
 * on without the drive (a thaw), the drive comes back the late way, by a resync.
 *
 * What may be relied on in each phase
 *   opening      planned; some of the windows may be open
 *   frozen       all windows are open; nothing has touched the drive
 *   exchanging   as frozen; somebody swaps the drive
 *   working      the task has begun, a step of it is at work or the next one follows
 *   recalled     as working, and the drive is wanted back: the step at work is the last one
 *   identifying  the task is over; the drive has not yet said who it is
 *   returning    it is the right drive; its volumes are asked to take it back
 *   replaying    every volume has it back
 *   late         a volume went on without the drive, which is offered to it as a former member
 *   ended        on record
 *
 * A run waits inside its phase: that somebody is needed is said in its report, and changes nothing
 * of what may happen next. Each phase that waits ends by itself in the end: the windows have a limit
 * of time, after which the run goes on as `late`, and that gives up after a while.
 *
 * Events that come from outside (recall, thawed, closed-by-hand) are told again for as long as they
 * hold: one that means nothing now may mean something in the next phase.
 */

import { type Cell, type Decision, decide, type Machine } from './machine.ts';

export const runPhases = [
  'opening',
  'frozen',
  'exchanging',
  'working',
  'recalled',
  'identifying',
  'returning',
  'replaying',
  'late',
  'ended',
] as const;
export type RunPhase = (typeof runPhases)[number];

export const runEvents = [
  /** Every window is open. */
  'opened',
  /** One was refused; those that were open are being closed again, or are closed. */
  'not-opened',
  /** A rehearsal: the drive is left alone. */
  'nothing-to-do',
  /** On record: from here on the drive may have changed. */
  'task-begins',
  'exchange-begins',
  'drive-exchanged',
  /** A step of the task is over, and another one follows. */
  'step-ended',
  /** The last one is over, or one has failed. */
  'task-ended',
  /** The drive is wanted back: a second failure, the log, or somebody asks. */
  'recall',
  'answered',
  /** No answer, or not from the drive that left, or not from the drive as it was. */
  'not-answered',
  /** Every volume has taken it back. */
  'returned',
  'not-returned',
  /** Every window is closed. */
  'replayed',
  /** A volume goes on without the drive. */
  'thawed',
  /** An operator has closed the windows. */
  'closed-by-hand',
  /** The volumes that went on without it have it back. */
  'taken-back',
  'not-taken-back',
  'gave-up',
  /** The server was killed in this phase, and runs again. */
  'restarted',
] as const;
export type RunEvent = (typeof runEvents)[number];

export const runEffects = [
  /** Look once more whether the task may begin. */
  'begin',
  'next-step',
  /** A self-test or a scan may be stopped at any time; another command is let finish. */
  'stop-test',
  /** A tool of before the restart may still run. */
  'wait-for-tool',
  'look-for-drive',
  'identify',
  'bring-back',
  'follow-replay',
  'bring-late',
  'end',
] as const;
export type RunEffect = (typeof runEffects)[number];

type RunCell = Cell<RunPhase, RunEffect>;
const to = (phase: RunPhase, ...effects: RunEffect[]): RunCell => ({ to: phase, effects });

export const runMachine: Machine<RunPhase, RunEvent, RunEffect> = {
  name: 'run',
  states: runPhases,
  events: runEvents,
  rows: {
    opening: {
      opened: to('frozen', 'begin'),
      'not-opened': to('returning', 'bring-back'),
      // Told again when the windows are open.
      recall: 'ignored',
      // Nothing has begun: what is open by now is closed.
      restarted: to('returning', 'bring-back'),
    },
    frozen: {
      'nothing-to-do': to('identifying', 'identify'),
      'task-begins': to('working', 'next-step'),
      'exchange-begins': to('exchanging', 'look-for-drive'),
      recall: to('returning', 'bring-back'),
      thawed: to('late', 'bring-late'),
      'closed-by-hand': to('replaying', 'follow-replay'),
      restarted: to('returning', 'bring-back'),
    },
    exchanging: {
      'drive-exchanged': to('returning', 'bring-back'),
      recall: to('returning', 'bring-back'),
      thawed: to('late', 'bring-late'),
      'closed-by-hand': to('replaying', 'follow-replay'),
      restarted: to('exchanging', 'look-for-drive'),
    },
    working: {
      'step-ended': to('working', 'next-step'),
      'task-ended': to('identifying', 'identify'),
      recall: to('recalled', 'stop-test'),
      // A tool that is interrupted half way is the worst that can happen to a drive.
      thawed: to('recalled', 'stop-test'),
      'closed-by-hand': to('recalled', 'stop-test'),
      restarted: to('working', 'wait-for-tool'),
    },
    recalled: {
      'step-ended': to('identifying', 'identify'),
      'task-ended': to('identifying', 'identify'),
      recall: 'ignored',
      thawed: 'ignored',
      'closed-by-hand': 'ignored',
      restarted: to('recalled', 'wait-for-tool'),
    },
    identifying: {
      answered: to('returning', 'bring-back'),
      'not-answered': to('identifying', 'identify'),
      recall: 'ignored',
      thawed: to('late', 'bring-late'),
      'closed-by-hand': to('replaying', 'follow-replay'),
      restarted: to('identifying', 'identify'),
    },
    returning: {
      returned: to('replaying', 'follow-replay'),
      'not-returned': to('returning', 'bring-back'),
      recall: 'ignored',
      thawed: to('late', 'bring-late'),
      // Closed by hand or by the run itself: it is closed.
      'closed-by-hand': 'ignored',
      restarted: to('returning', 'bring-back'),
    },
    replaying: {
      replayed: to('ended', 'end'),
      recall: 'ignored',
      // Of several volumes one went on without the drive, and the others had it back.
      thawed: to('late', 'bring-late'),
      'closed-by-hand': 'ignored',
      restarted: to('replaying', 'follow-replay'),
    },
    late: {
      'taken-back': to('ended', 'end'),
      'not-taken-back': to('late', 'bring-late'),
      'gave-up': to('ended', 'end'),
      recall: 'ignored',
      thawed: 'ignored',
      'closed-by-hand': 'ignored',
      restarted: to('late', 'bring-late'),
    },
    ended: { recall: 'refused' },
  },
};

export const decideRun = (phase: RunPhase, event: RunEvent): Decision<RunPhase, RunEffect> =>
  decide(runMachine, phase, event, false);
