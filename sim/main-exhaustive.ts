/** `npm run sim -- --exhaustive`: counts crash states aloud, and ends with 1 when one of them was bad. */

import { exhaustive } from './exhaustive.ts';

export interface ExhaustiveFlags {
  readonly level: string | undefined;
  readonly commands: string | undefined;
  readonly seconds: string | undefined;
}

export async function mainExhaustive(flags: ExhaustiveFlags): Promise<number> {
  const levels = flags.level === undefined ? [5, 1, 4, 3] : [Number(flags.level)];
  const seconds =
    flags.seconds === undefined ? Number.POSITIVE_INFINITY : Number(flags.seconds) / levels.length;
  let failed = 0;
  for (const level of levels) {
    const commands = Number(flags.commands ?? 3);
    const onFailure = (failure: string): void => console.log(failure);
    const result = await exhaustive({ level, commands, seconds, onFailure });
    failed += result.failures.length;
    const rate = (result.states / result.seconds).toFixed(0);
    const extent = result.complete ? 'all of them' : 'not all of them';
    console.log(
      `level ${level}: ${result.states} crash states (${rate}/s) at ${result.moments} moments of ` +
        `${result.sequences} sequences of up to ${commands} commands, ${extent}; ${result.failures.length} failed`,
    );
  }
  return failed === 0 ? 0 : 1;
}
