/** Runs in front of the reader: `locum window run`, told by the few lines of its record that a person would look for. */

import type { RunOutcome, RunReport } from '../../../src/core/run-report.ts';
import { type Stage, StoryFailed } from './stage.ts';

/** Runs `locum window run VOLUME DRIVE …`; anything but this outcome ends the story. */
export async function windowRun(
  stage: Stage,
  words: readonly string[],
  outcome: RunOutcome = 'done',
): Promise<RunReport> {
  const said = await stage.asks('window', 'run', ...words);
  const { run } = JSON.parse(said) as { run: RunReport };
  tellRun(stage, run);
  if (run.outcome !== outcome) {
    throw new StoryFailed(
      `it ended ${run.outcome}, not ${outcome}: ${JSON.stringify(run, null, 2)}`,
    );
  }
  return run;
}

export function tellRun(stage: Stage, run: RunReport): void {
  const steps = run.steps.map(({ step, result }) =>
    result === 'done' ? step : `${step} ${result}`,
  );
  stage.say(`  ${steps.join(', ')}`);
  const [before, after] = [run.before?.firmware ?? '?', run.after?.firmware ?? '?'];
  const firmware = run.purpose === 'firmware' ? `firmware ${before} → ${after}, ` : '';
  const kibi = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;
  stage.say(`  ${firmware}${kibi(run.loggedBytes)} logged, ${kibi(run.replayedBytes)} replayed`);
  stage.say(`  ${run.outcome}: ${run.sentence}${run.next === '' ? '' : ` Next: ${run.next}`}`);
}
