/**
 * L5: md's partial parity log closes the write hole, except for the chunk that was just being written when its own drive
 * is lost. Here: a crash in every write of a stripe, with each drive lost, the one being written included.
 *
 *   degraded   one drive out before, each in turn: what it held exists only through parity
 *   replay     a window's drive is back and being brought up to date; each other drive is lost together with the crash
 */

import assert from 'node:assert/strict';
import { type Death, dies, Life } from '../unit/engine/life.ts';
import {
  DirectedLife,
  deaths,
  faultOf,
  lengthsOf,
  levels,
  randomOf,
  stateAt,
  telling,
} from './directed-life.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';

const slotsOf = (level: number): number[] => (level === 1 ? [0, 1] : [0, 1, 2]);

/** The server starts although one drive is gone and no record says so: an operator has forced it. */
async function forced(life: Life, how: Death, chance: () => number, lost: string): Promise<void> {
  life.model.crash(how !== 'kill');
  life.dead = false;
  life.world.crash(how !== 'kill', how === 'power cut, nothing kept' ? () => 0 : chance);
  life.world.at(lost).vanish();
  life.arm(Number.POSITIVE_INFINITY);
  const started = await life.world.tryAssemble(true);
  assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
}

async function recovered(life: DirectedLife): Promise<void> {
  if (life.mode !== 'frozen') await life.readAll('after the crash');
  // The lost one may be the one that was away, or the only other that can stand in for it.
  if (life.world.at('d1').isVanished) await life.recoverWithNew();
  else await life.recover();
  await life.readAll('recovered');
  await life.addsUp();
}

async function degradedAt(level: number, failed: number, point: number, how: Death) {
  const life = new DirectedLife(level, level);
  await telling(
    life,
    () => life.chapter,
    async () => {
      if (!(await dies(life, () => life.burst(point, failed)))) return;
      await life.reborn(how, randomOf(level, failed, point, how).next, Number.POSITIVE_INFINITY);
      await recovered(life);
    },
  );
}

const degraded = (level: number): Enumeration => ({
  title: `L5 md PPL, RAID ${level} degraded: a crash in every write of a stripe, each drive out in turn`,
  cases: async () => {
    const cases: Case[] = [];
    for (const failed of slotsOf(level)) {
      const { operations } = await lengthsOf(
        `burst ${level} ${failed}`,
        () => new DirectedLife(level, level),
        (life) => life.burst(Number.POSITIVE_INFINITY, failed),
      );
      for (let point = 1; point <= operations; point++) {
        for (const how of deaths) {
          const name = `RAID ${level}, slot ${failed} out, ${how} at ${point}`;
          const hits = [[faultOf(how), 'degraded']] as const;
          cases.push({ name, hits, run: () => degradedAt(level, failed, point, how) });
        }
      }
    }
    return cases;
  },
});

async function replayAt(
  level: number,
  underWrites: boolean,
  lost: number,
  point: number,
  how: Death,
): Promise<void> {
  const life = new DirectedLife(level, level);
  const { next } = randomOf(level, lost, point, how);
  await telling(
    life,
    () => life.chapter,
    async () => {
      if (!(await dies(life, () => life.throughReplay(point, underWrites)))) return;
      await forced(life, how, next, `d${lost}`);
      await recovered(life);
    },
  );
}

const inReplay = (level: number, underWrites: boolean): Enumeration => {
  const writes = underWrites ? ' under host writes' : '';
  return {
    title: `L5 md PPL, RAID ${level} replaying${writes}: a crash in every write of a stripe, each drive lost with it`,
    cases: async () => {
      const lengths = await lengthsOf(
        `replay ${level}${writes}`,
        () => new DirectedLife(level, level),
        (life) => life.throughReplay(Number.POSITIVE_INFINITY, underWrites),
      );
      const cases: Case[] = [];
      for (let point = lengths.chapters.get('return') ?? 1; point <= lengths.operations; point++) {
        for (const [lost, how] of pairs(slotsOf(level), deaths)) {
          const name = `RAID ${level}, d${lost} lost${writes}, ${how} at ${point}`;
          const state = stateAt(lengths, point);
          const hits = [
            [faultOf(how), state],
            ['F-14 with the crash', state],
          ] as const;
          cases.push({ name, hits, run: () => replayAt(level, underWrites, lost, point, how) });
        }
      }
      return cases;
    },
  };
};

async function directAt(level: number, lost: number, point: number, how: Death): Promise<void> {
  const life = new DirectedLife(level, level);
  await telling(
    life,
    () => life.chapter,
    async () => {
      if (!(await dies(life, () => life.burst(point, null)))) return;
      await forced(life, how, randomOf(level, lost, point, how).next, `d${lost}`);
      await recovered(life);
    },
  );
}

const direct = (level: number): Enumeration => ({
  title: `L5 md PPL, RAID ${level} optimal: a crash in every write of a stripe, each drive lost with it`,
  cases: async () => {
    const { operations, chapters } = await lengthsOf(
      `direct ${level}`,
      () => new DirectedLife(level, level),
      (life) => life.burst(Number.POSITIVE_INFINITY, null),
    );
    const cases: Case[] = [];
    for (let point = chapters.get('burst') ?? 1; point <= operations; point++) {
      for (const [lost, how] of pairs(slotsOf(level), deaths)) {
        const name = `RAID ${level}, d${lost} lost, ${how} at ${point}`;
        const hits = [
          [faultOf(how), 'optimal'],
          ['F-14 with the crash', 'optimal'],
        ] as const;
        cases.push({ name, hits, run: () => directAt(level, lost, point, how) });
      }
    }
    return cases;
  },
});

export const writeHole: readonly Enumeration[] = [
  ...levels.map(degraded),
  ...levels.map(direct),
  ...levels.map((level) => inReplay(level, false)),
  ...levels.map((level) => inReplay(level, true)),
];
