/** `npm run sim -- --exhaustive` and `--fail-at`: the modes that enumerate. Exit code 1: something was lost. */

import { choiceOf, numberOf } from '../scripts/flags/flags.ts';
import { again, exhaustive } from './exhaustive.ts';
import { failAt } from './fail-at.ts';
import { measure } from './measure.ts';

export const modeFlags = {
  exhaustive: { type: 'boolean', default: false },
  'fail-at': { type: 'boolean', default: false },
  measure: { type: 'boolean', default: false },
  level: { type: 'string' },
  commands: { type: 'string', default: '3' },
  alphabet: { type: 'string', default: 'usual' },
  seconds: { type: 'string', default: 'Infinity' },
  sequence: { type: 'string' },
  from: { type: 'string', default: '1' },
  to: { type: 'string', default: 'Infinity' },
} as const;

export interface ModeValues {
  readonly exhaustive: boolean;
  readonly measure: boolean;
  readonly level?: string | undefined;
  readonly commands: string;
  readonly alphabet: string;
  readonly seconds: string;
  readonly sequence?: string | undefined;
  readonly from: string;
  readonly to: string;
}

const LEVELS = [5, 1, 4, 3];
const onFailure = (failure: string): void => console.log(failure);

export async function mainModes(values: ModeValues): Promise<number> {
  if (values.measure) {
    const speed = await measure();
    for (const [name, value] of Object.entries(speed)) console.log(`${value}  ${name}`);
    return 0;
  }
  const levels = values.level === undefined ? LEVELS : [levelOf(values.level)];
  const seconds = numberOf('--seconds', values.seconds) / levels.length;
  let failed = 0;
  for (const level of levels) {
    if (values.sequence !== undefined) failed += await oneSequence(level, values.sequence);
    else if (values.exhaustive) failed += await allSequences(level, values, seconds);
    else failed += await allOperations(level, values, seconds);
  }
  return failed === 0 ? 0 : 1;
}

const levelOf = (text: string): number => Number(choiceOf('--level', text, ['1', '3', '4', '5']));

async function oneSequence(level: number, title: string): Promise<number> {
  const { failure, verdict, states } = await again(level, title);
  console.log(failure ?? `level ${level}: ${title}: ${verdict}, ${states} crash states`);
  return failure === null ? 0 : 1;
}

async function allSequences(level: number, values: ModeValues, limit: number): Promise<number> {
  const commands = numberOf('--commands', values.commands, 1);
  const alphabet = choiceOf('--alphabet', values.alphabet, ['usual', 'whole']);
  const result = await exhaustive({ level, alphabet, commands, seconds: limit, onFailure });
  const { listed, states, moments, sequences, failures, complete, seconds } = result;
  console.log(
    `level ${level}: ${listed} crash states at ${moments} moments, ${states} of them different ` +
      `(${(states / seconds).toFixed(0)}/s), of ${sequences} sequences of up to ${commands} commands, ${extentOf(complete)}; ${failures.length} failed`,
  );
  return failures.length;
}

async function allOperations(level: number, values: ModeValues, limit: number): Promise<number> {
  const range = {
    from: numberOf('--from', values.from),
    to: numberOf('--to', values.to),
    every: 1,
  };
  const { lives, operations, notCovered, failures, complete } = await failAt({
    level,
    seconds: limit,
    onFailure,
    ...range,
  });
  console.log(
    `level ${level}: ${lives} lives of ${operations} operations, ${extentOf(complete)}; ` +
      `${notCovered} times nothing was promised; ${failures.length} failed`,
  );
  return failures.length;
}

const extentOf = (complete: boolean): string => (complete ? 'all of them' : 'not all of them');
