/**
 * Stories of several steps, which chance alone hardly ever tells: a drive that goes and is back, in whatever condition; one
 * that was removed and is added again; the drive of a window that is not what it was; a fault, a return or a crash at the
 * very stage for which the steps before it have prepared the volume. Beside the rest of a plan, with streams of their own.
 *
 * Nobody is named by his path: who it is shows when it happens (roles.ts), for which the stories and the rest of the plan
 * get in each other's way. A step of a story that has nobody to happen to, or is not covered at its moment, stays undone.
 */

import { EBADF, ESTALE } from '../src/base/errno.ts';
import type { DriveFault } from './faults.ts';
import { crashAction, faultAction, returns } from './generate-faults.ts';
import { otherDrive } from './generate-others.ts';
import type { Action, Config, Step, When } from './plan.ts';
import { asRole, type Role } from './roles.ts';
import type { Stage } from './stages.ts';
import { Stream } from './streams.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export type Told = Action & { readonly when?: When };

export interface Part {
  /** Moments of the plan after the part before. */
  readonly after: number;
  readonly step: Told;
  readonly waitUs?: number;
}

export class Acts {
  readonly #config: Config;
  readonly #draw: Stream;
  readonly #rare: Stream;
  readonly #other: Stream;
  /** How often a story begins at a moment of the plan. */
  readonly #often: number;
  readonly #due = new Map<number, Step[]>();

  constructor(seed: number, config: Config) {
    this.#config = config;
    this.#draw = new Stream(seed, 'acts');
    this.#rare = new Stream(seed, 'rare acts');
    this.#other = new Stream(seed, 'other drives');
    this.#often = this.#draw.pick([0, 0.02, 0.05, 0.1]);
  }

  /** What stories have for this moment of the plan; asked in order. */
  at(moment: number): Step[] {
    if (this.#draw.chance(this.#often)) this.#tell(moment, this.#story());
    if (this.#other.chance(this.#often / 6))
      this.#tell(moment, otherDrive(this.#other, this.#config));
    const steps = this.#due.get(moment) ?? [];
    this.#due.delete(moment);
    return this.#rare.chance(this.#often / 10) ? [...steps, this.#rarely()] : steps;
  }

  #tell(moment: number, story: readonly Part[]): void {
    let when = moment;
    for (const { after, step, waitUs = 0 } of story) {
      when += after;
      const due = this.#due.get(when) ?? [];
      this.#due.set(when, due);
      due.push({ waitUs, ...step });
    }
  }

  #story(): readonly Part[] {
    const draw = this.#draw;
    switch (draw.pick(['back', 'back', 'added', 'window', 'stage', 'stage', 'stage'] as const)) {
      case 'back':
        return this.#goesAndIsBack(this.#who());
      case 'added':
        return this.#addedAgain();
      case 'window':
        return this.#otherInWindow();
      case 'stage':
        return this.#atStage();
    }
  }

  /** What no other kind of trouble comes near to. */
  #rarely(): Step {
    const draw = this.#rare;
    const { members, legs } = this.#config;
    switch (draw.pick(['clock', 'stall', 'errno'] as const)) {
      case 'clock': {
        const byMs = draw.pick([-HOUR_MS, HOUR_MS, -DAY_MS, 365 * DAY_MS]);
        return { waitUs: 0, do: 'clock-jump', byMs };
      }
      case 'stall':
        return { waitUs: 0, do: 'stall', forMs: draw.pick([200, 5_000, 60_000]) };
      case 'errno': {
        const isLeg = draw.chance(0.3);
        const path = asRole(isLeg ? 'leg' : 'member', draw.below(isLeg ? legs : members));
        const fault: DriveFault = {
          title: 'F-24 ESTALE or EBADF from the layer below',
          effect: 'error',
          kinds: ['read', 'write', 'flush', 'punch'],
          errno: draw.pick([ESTALE, EBADF]),
          skip: draw.below(40),
        };
        return { waitUs: 0, do: 'fault', path, fault, harm: 'member' };
      }
    }
  }

  #who(): string {
    const { members, legs } = this.#config;
    const role = this.#draw.pick([
      'member',
      'member',
      'member',
      'leg',
      'rebuilding',
      'spare',
    ] as const);
    return asRole(role, this.#draw.below(role === 'leg' ? legs : members));
  }

  #soon(): number {
    return this.#draw.below(this.#draw.pick([2, 10, 40]));
  }

  #goesAndIsBack(who: string): readonly Part[] {
    return [
      ...this.#kept(who),
      { after: this.#soon(), step: { do: 'vanish', path: who } },
      { after: this.#soon(), step: this.#return(), waitUs: this.#draw.pick([0, 0, 2_000_000]) },
      ...this.#lookedAfter(),
    ];
  }

  /** Contents for it to be rolled back to. */
  #kept(path: string): readonly Part[] {
    return this.#draw.chance(0.5) ? [{ after: 0, step: { do: 'snapshot', path } }] : [];
  }

  #return(): Told {
    const path = asRole('gone', this.#draw.below(4));
    return { do: 'reappear', path, as: this.#draw.pick(returns) };
  }

  /** What somebody does about it, or nothing. */
  #lookedAfter(): readonly Part[] {
    const draw = this.#draw;
    const slot = draw.below(this.#config.members);
    const former = asRole('former', draw.below(4));
    const after = this.#soon();
    switch (draw.pick(['nothing', 'add', 'add', 'replace', 'leg', 'restart', 'close'] as const)) {
      case 'nothing':
        return [];
      case 'add':
        return [{ after, step: { do: 'add-back', path: former } }];
      case 'replace':
        return [{ after, step: { do: 'replace', slot, with: former } }];
      case 'leg':
        return [{ after, step: { do: 'replace-leg', leg: draw.below(this.#config.legs) } }];
      case 'restart':
        return [{ after, step: { do: 'restart' } }];
      case 'close':
        return [{ after, step: this.#close() }];
    }
  }

  #addedAgain(): readonly Part[] {
    const draw = this.#draw;
    const slot = draw.below(this.#config.members);
    const former = asRole('former', draw.below(3));
    const out: Told = { do: draw.pick(['fail', 'replace', 'replace'] as const), slot };
    const removed: Part[] = draw.chance(0.5)
      ? [{ after: this.#soon(), step: { do: 'remove', slot } }]
      : [];
    const changed = draw.chance(0.5)
      ? [
          { after: 1, step: { do: 'vanish', path: former } as const },
          { after: this.#soon(), step: this.#return() },
        ]
      : [];
    return [
      ...this.#kept(asRole('member', slot)),
      { after: this.#soon(), step: out },
      ...removed,
      ...changed,
      { after: this.#soon(), step: { do: 'add-back', path: former } },
    ];
  }

  #otherInWindow(): readonly Part[] {
    const slot = this.#draw.below(this.#config.members);
    return [
      ...this.#kept(asRole('member', slot)),
      { after: this.#soon(), step: this.#open(slot, 3_600_000) },
      { after: this.#soon(), step: { do: 'vanish', path: asRole('away', 0) } },
      { after: this.#soon(), step: this.#return() },
      { after: this.#soon(), step: this.#close() },
    ];
  }

  #open(slot: number, maxMs: number): Told {
    const draw = this.#draw;
    return {
      do: 'open-window',
      slot,
      purpose: draw.pick(['firmware', 'replacement'] as const),
      maxMs,
      onDoubleAbsence: draw.pick(['wait', 'error'] as const),
      waitMs: draw.pick([500, 10_000]),
    };
  }

  #close(): Told {
    const verify = this.#draw.pick(['recent', 'sample', 'full'] as const);
    return { do: 'close-window', verify, rebuild: this.#draw.chance(0.4) };
  }

  /** The steps that lead there, and what happens when it is so. */
  #atStage(): readonly Part[] {
    const draw = this.#draw;
    const stage = draw.pick(prepared);
    const what: Part[] = [];
    for (let left = 1 + draw.below(3); left > 0; left--) what.push(...this.#happens(stage));
    return [...what, ...this.#leadTo(stage)];
  }

  #happens(stage: Stage): readonly Part[] {
    const draw = this.#draw;
    const when = { stage, operations: draw.below(draw.pick([1, 6, 30])) };
    const once = (step: Action): Part => ({ after: 0, step: { ...step, when } });
    switch (
      draw.pick(['fault', 'fault', 'fault', 'return', 'return', 'crash', 'command'] as const)
    ) {
      case 'fault':
        return [once(this.#faultOf(stage))];
      case 'crash':
        return [once(crashAction(draw))];
      case 'return': {
        // Something has to be gone by then, that leaves the volume in that stage.
        const gone = asRole(
          draw.pick(['leg', 'leg', 'spare', 'former', 'member'] as const),
          draw.below(4),
        );
        return [
          ...this.#kept(gone),
          { after: draw.below(3), step: { do: 'vanish', path: gone } },
          once(this.#return()),
        ];
      }
      case 'command': {
        const path = asRole('former', draw.below(3));
        const slot = draw.below(this.#config.members);
        return [
          once(
            draw.pick([
              { do: 'add-back', path },
              { do: 'replace', slot },
              { do: 'replace', slot, with: path },
              { do: 'replace-leg', leg: draw.below(this.#config.legs) },
              { do: 'add-spare' },
              { do: 'abort-window' },
              { do: 'remove', slot },
            ] as const),
          ),
        ];
      }
    }
  }

  /** A fault of the usual kinds, of whoever it may matter for at that stage. */
  #faultOf(stage: Stage): Action {
    const draw = this.#draw;
    const { members, legs } = this.#config;
    const drawn = faultAction(draw, this.#config);
    // At once: the stage may be over in a few operations.
    const fault =
      drawn.do === 'fault' ? { ...drawn, fault: { ...drawn.fault, skip: draw.below(3) } } : drawn;
    if (fault.do === 'reappear') return fault;
    const isLeg = 'path' in fault && fault.path?.startsWith('leg') === true;
    const role: Role = isLeg ? 'leg' : draw.chance(0.3) ? (special[stage] ?? 'member') : 'member';
    return { ...fault, path: asRole(role, draw.below(isLeg ? legs : members)) } as Action;
  }

  #leadTo(stage: Stage): readonly Part[] {
    const draw = this.#draw;
    const { members, legs } = this.#config;
    const slot = draw.below(members);
    const other = (slot + 1 + draw.below(members - 1)) % members;
    const after = this.#soon();
    const opened: Part = { after, step: this.#open(slot, 3_600_000) };
    const closed: Part = { after: 2 + this.#soon(), step: this.#close() };
    const second: Part = { after: 1 + this.#soon(), step: { do: 'fail', slot: other } };
    switch (stage) {
      case 'starting':
      case 'resyncing':
        // In the middle of writes: what was not, leaves nothing in doubt.
        return [
          ...Array.from({ length: 4 }, () => ({ after: 0, step: this.#write() })),
          { after: 0, step: crashAction(draw) },
        ];
      case 'degraded':
        return [{ after, step: { do: 'fail', slot } }];
      case 'rebuilding':
        return [{ after, step: { do: 'replace', slot } }];
      case 'freezing':
      case 'frozen':
        return [opened];
      case 'second failure':
        return [opened, second];
      case 'returning':
      case 'replaying':
        return [opened, closed];
      case 'replaying alone':
        return [opened, second, closed];
      case 'thawing': {
        const step = this.#open(slot, 2_000);
        const nothing: Part = { after: 1, step: this.#write(), waitUs: 3_000_000 };
        return [
          { after, step },
          ...Array.from({ length: 6 }, () => ({ after: 1, step: this.#write() })),
          nothing,
        ];
      }
      case 'suspended': {
        const legsGo = Array.from({ length: legs }, (_, leg): Part => {
          const path = asRole('leg', leg);
          return { after: 1, step: { do: 'vanish', path } };
        });
        return [opened, ...legsGo, { after: 1, step: this.#write() }];
      }
      case 'halted':
        return Array.from({ length: Math.min(3, members) }, (_, n): Part => {
          const path = asRole('member', n);
          return { after: this.#soon(), step: { do: 'vanish', path } };
        });
    }
  }

  #write(): Action {
    const draw = this.#draw;
    return { do: 'write', lba: draw.below(100_000), sectors: 1 + draw.below(24), fua: false };
  }
}

/** Beyond the promises as a rule; then those two do not come about. */
const prepared: readonly Stage[] = [
  'starting',
  'degraded',
  'resyncing',
  'resyncing',
  'resyncing',
  'rebuilding',
  'rebuilding',
  'freezing',
  'frozen',
  'second failure',
  'returning',
  'replaying',
  'replaying',
  'replaying alone',
  'thawing',
  'thawing',
  'suspended',
  'halted',
];

const special: Partial<Record<Stage, Role>> = {
  rebuilding: 'rebuilding',
  frozen: 'away',
  returning: 'away',
  replaying: 'away',
  thawing: 'away',
};
