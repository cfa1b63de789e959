/**
 * What came of a run, in one word, one sentence, and the next step. Judged from what the drive says afterwards and from
 * how its windows ended; what a tool printed or returned counts only where the drive cannot be asked.
 */

import type { DriveFacts } from './drive-facts.ts';
import type { RunOutcome } from './run-report.ts';
import type { Purpose } from './status.ts';

/** How the task's commands ended, taken together: the first that was not well. */
export interface TaskResult {
  readonly result: 'done' | 'failed' | 'timed-out' | 'stopped' | 'not-started' | 'interrupted';
  readonly exitStatus: number | null;
  /** One sentence; empty when done. */
  readonly reason: string;
}

export interface RunFacts {
  readonly volume: string;
  readonly path: string;
  readonly purpose: Purpose;
  readonly rehearsal: boolean;
  readonly begun: boolean;
  /** The revision that was asked for; null: any other than before. */
  readonly version: string | null;
  /** The task is a command of the user's own. */
  readonly ownCommand: boolean;
  /** Why the drive was called back before its task was through; null when it was not. */
  readonly recallWhy: string | null;
  /** Why the task was not even begun: an image that is gone, a window that was refused. */
  readonly refusal: string | null;
  readonly task: TaskResult | null;
  readonly before: DriveFacts | null;
  readonly after: DriveFacts | null;
  /** The read test after the task; empty when it passed or was not made. */
  readonly readTest: string;
  /** Why the read test could not even be begun; empty when it was. */
  readonly unread: string;
  /** A volume went on without the drive. */
  readonly thawed: boolean;
  /** And has it back by now. */
  readonly takenBack: boolean;
  /** It came back blank and was made from the frozen volume. */
  readonly rebuilt: boolean;
  /** Where the new drive of a replacement was expected; null: brought by hand. */
  readonly newPath: string | null;
}

export interface Verdict {
  readonly outcome: RunOutcome;
  readonly sentence: string;
  readonly next: string;
}

const verdict = (outcome: RunOutcome, sentence: string, next = ''): Verdict => ({
  outcome,
  sentence,
  next,
});

/** What others say may end without a full stop, or with more than one. */
const ended = (text: string): string => text.replace(/\.*$/, '.');

export function verdictOf(facts: RunFacts): Verdict {
  if (facts.thawed) return withoutDrive(facts);
  const { path, volume } = facts;
  if (facts.refusal !== null && !facts.begun) {
    return verdict(
      'refused',
      `Nothing was done to ${path}: ${ended(facts.refusal)}`,
      `Clear the reason, then start it again. Volume ${volume} is whole.`,
    );
  }
  if (facts.recallWhy !== null && !facts.begun) {
    return verdict(
      'recalled',
      `${path} was brought back before its task began: ${ended(facts.recallWhy)}`,
      `Look at \`locum status ${volume}\`; start it again when the volume is well.`,
    );
  }
  if (facts.rehearsal) {
    return verdict('rehearsed', `Everything was done but the touching of ${path}.`);
  }
  if (facts.readTest !== '') {
    // To find this is what a test is for.
    return verdict(
      facts.purpose === 'diagnostics' ? 'unhealthy' : 'failed',
      `${path} is back and does not read well: ${ended(facts.readTest)}`,
      `Replace it: \`locum drive replace ${volume} ${path} --with PATH\`.`,
    );
  }
  const isNews = facts.rebuilt && facts.purpose !== 'replacement';
  // Brought by hand in the middle of a task, before anybody asked who it is.
  if (isNews && facts.after === null) {
    return verdict(
      'failed',
      `A blank drive came back in the place of ${path}, and was rebuilt. Whether it is the same one is not known.`,
      `\`locum drive ls ${volume}\` shows which drive it is, \`locum firmware inventory ${volume}\` its firmware.`,
    );
  }
  const judged = byPurpose(facts);
  const rebuilt = isNews ? ' It came back blank and was rebuilt.' : '';
  const unread = facts.unread === '' ? '' : ` It was not read afterwards: ${ended(facts.unread)}`;
  return { ...judged, sentence: `${judged.sentence}${rebuilt}${unread}` };
}

/** Everything is whole but the volume went on without it: the outcome says that first, whatever the task did. */
function withoutDrive({ path, volume, takenBack, task, begun }: RunFacts): Verdict {
  const did = !begun
    ? 'its task had not begun'
    : `the task ended as "${task?.result ?? 'unknown'}"`;
  return takenBack
    ? verdict(
        'drive-lost',
        `Volume ${volume} went on without ${path}, which is back by a resync; ${did}.`,
        `${begun ? sampled(volume) : ''}\`locum drive ls ${volume}\` shows the resync. A longer window (--max) or a larger log avoids this.`,
      )
    : verdict(
        'drive-lost',
        `Volume ${volume} went on without ${path}, which is not back; ${did}.`,
        `Bring it back with \`locum drive add ${volume} ${path}\`, or replace it.`,
      );
}

/** A sample finds what it hits; what it finds is an alarm, and a complete rebuild. */
const sampled = (volume: string): string =>
  `It is compared before any of it is used, and rebuilt completely if it differs (\`locum status ${volume}\`: drive-differed). That looks at a sample unless --verify full was given: when it is back, \`locum scrub start ${volume} --wait\`, without --repair, looks at all of it. `;

function byPurpose(facts: RunFacts): Verdict {
  switch (facts.purpose) {
    case 'firmware':
      return firmware(facts);
    case 'diagnostics':
      return diagnostics(facts);
    case 'reset':
      return facts.task?.result === 'done'
        ? verdict('done', `${facts.path} was reset and is back.`)
        : failed(facts);
    case 'replacement':
      return facts.task !== null && facts.task.result !== 'done'
        ? failed(facts)
        : replacement(facts);
  }
}

function failed({ path, volume, task, recallWhy }: RunFacts): Verdict {
  if (recallWhy !== null && task?.result !== 'failed') {
    return verdict(
      'recalled',
      `${path} was called back before its task was through: ${ended(recallWhy)}`,
      `Look at \`locum status ${volume}\`; start it again when the volume is well.`,
    );
  }
  return verdict(
    'failed',
    `The task failed: ${ended(task?.reason || 'it did not say why')} ${path} is back and the volume is whole.`,
    `\`locum window show ${volume}\` prints what the command said.`,
  );
}

function firmware(facts: RunFacts): Verdict {
  const { before, after, version, path, volume, task, ownCommand } = facts;
  const was = before?.firmware ?? '';
  const is = after?.firmware ?? '';
  const well = task?.result === 'done';
  if (version !== null && is === version) {
    const told = well
      ? ''
      : ` (the tool said otherwise: ${(task?.reason ?? '').replace(/\.+$/, '')})`;
    return verdict('done', `${path} now has firmware ${is}${told}.`);
  }
  if (is !== '' && is !== was && version === null) {
    return verdict('done', `${path} went from firmware ${was || 'unknown'} to ${is}.`);
  }
  if (!well) return failed(facts);
  // Nobody but its author knows what the command was to do.
  if (ownCommand && version === null) {
    return verdict('done', `The command is done and ${path} is back.`);
  }
  // Taken back by hand before it was asked, or it says nothing where it said something before.
  if (after === null || (is === '' && was !== '')) {
    return verdict(
      'failed',
      `${path} is back, and which firmware it has is not known.`,
      `\`locum firmware inventory ${volume}\` asks it again.`,
    );
  }
  if (is === was) {
    const wanted = version === null ? '' : `, and ${version} was asked for`;
    return verdict(
      'not-applied',
      `${path} is well, and its firmware is still ${is || 'unknown'}${wanted}.`,
      'The drive did not take the image: check that it is meant for this model and is another revision.',
    );
  }
  return verdict(
    'failed',
    `${path} came back with firmware ${is}, and ${version} was asked for.`,
    'Check the image. The drive is in use and well.',
  );
}

function diagnostics(facts: RunFacts): Verdict {
  const { task, path, volume } = facts;
  if (task?.result === 'done') return verdict('done', `The test of ${path} found nothing.`);
  if (task?.result === 'failed' && task.exitStatus !== null) {
    return verdict(
      'unhealthy',
      `The test of ${path} found something: ${ended(task.reason.replace(/^exit status \d+: /, ''))}`,
      `Replace it soon: \`locum window run ${volume} ${path} --for replacement --with PATH\`.`,
    );
  }
  return failed(facts);
}

function replacement({ path, volume, rebuilt, newPath }: RunFacts): Verdict {
  if (rebuilt) {
    const by = newPath === null ? '' : ` by ${newPath}`;
    return verdict('done', `${path} was replaced${by} and rebuilt.`);
  }
  return verdict(
    'not-applied',
    `The drive that came back is the one that left: ${path}.`,
    `To replace it, start it again with \`--with PATH\`; \`locum drive ls ${volume}\` shows the drives.`,
  );
}
