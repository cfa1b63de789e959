/** A plan as a person would tell it. */

import type { Plan, Step } from './plan.ts';
import type { Failure } from './run.ts';

export function storyOf(plan: Plan, failure: Failure | null): string {
  const { config, seed, promise, steps } = plan;
  const chunk = config.chunkBytes === null ? '' : `, chunk ${config.chunkBytes / 1024} KiB`;
  const lines = [
    `seed ${seed}: RAID ${config.level} of ${config.members} drives${chunk}, ${config.legs} log legs`,
    `faults: ${promise === 'covered' ? 'only what the promises cover' : 'also more than the promises cover'}`,
    ...steps.map(
      (step, i) => `  ${String(i).padStart(3)}  ${after(step)}${once(step)}${sayStep(step)}`,
    ),
  ];
  if (failure !== null) lines.push(`  then ${failure.checker}: ${failure.message}`);
  return lines.join('\n');
}

const after = ({ waitUs }: Step): string =>
  waitUs < 1000 ? '' : `${(waitUs / 1000).toFixed(waitUs < 100_000 ? 1 : 0)} ms later: `;

const once = ({ when }: Step): string =>
  when === undefined ? '' : `once it is ${when.stage}, ${when.operations} operations on: `;

const returned = {
  same: 'the same',
  snapshot: 'rolled back to its copy',
  blank: 'blank',
  smaller: 'smaller',
  larger: 'larger',
  cloned: 'with a clone',
  blocks: 'with the other size of blocks',
  elsewhere: 'written to by another server',
} as const;

function sayStep(step: Step): string {
  switch (step.do) {
    case 'write':
      return `write sectors ${step.lba}+${step.sectors}${step.fua ? ', FUA' : ''}`;
    case 'zero':
    case 'trim':
      return `${step.do} sectors ${step.lba}+${step.sectors}${step.fua ? ', FUA' : ''}`;
    case 'read':
      return `read sectors ${step.lba}+${step.sectors}`;
    case 'flush':
      return 'flush';
    case 'open-window':
      return `open a window on slot ${step.slot} for ${step.purpose}, at most ${step.maxMs / 1000} s`;
    case 'close-window':
      return `close the window, verify ${step.verify}${step.rebuild ? ', rebuild' : ''}`;
    case 'abort-window':
      return 'abort the window';
    case 'extend-window':
      return `extend the window by ${step.byMs / 1000} s`;
    case 'fail':
    case 'remove':
      return `${step.do} the drive in slot ${step.slot}`;
    case 'replace':
      return `replace the drive in slot ${step.slot}${step.with === undefined ? '' : ` by ${step.with}`}`;
    case 'add-spare':
      return 'add a spare';
    case 'add-back':
      return `add ${step.path} again`;
    case 'replace-leg':
      return `replace leg ${step.leg} of the log`;
    case 'scrub':
      return `scrub${step.repair ? ' and repair' : ''}`;
    case 'check-log':
      return 'check the log';
    case 'restart':
      return 'stop the server and start it again';
    case 'kill':
      return `kill the server after ${step.afterOperations} operations, start it again`;
    case 'power-cut':
      return `cut the power after ${step.afterOperations} operations (caches keep ${step.fate}), start again`;
    case 'fault':
      return `${step.path}: ${step.fault.title}`;
    case 'rot':
      return `${step.path}: ${step.lengthBytes} bytes rot at ${step.offset}`;
    case 'vanish':
      return `${step.path} is pulled out`;
    case 'reappear':
      return `${step.path} is back: ${returned[step.as]}`;
    case 'snapshot':
      return `the contents of ${step.path ?? 'all drives'} are copied`;
    case 'hang':
      return `${step.path} hangs`;
    case 'slow':
      return `${step.path} is ${step.factor} times slower`;
    case 'read-only':
      return `${step.path} takes no more writes`;
    case 'mend':
      return `${step.path} is well again`;
    case 'clock-jump':
      return `the clock is set ${step.byMs < 0 ? 'back' : 'forward'} by ${Math.abs(step.byMs) / 1000} s`;
    case 'stall':
      return `the server gets no turn for ${step.forMs / 1000} s`;
    case 'check':
      return 'everything comes to rest and is looked at';
  }
}
