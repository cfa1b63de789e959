/**
 * A drive that left more generations ago than a label remembers comes back: the others call it one of theirs before its own
 * label does, and whatever ends the server between the two, the next start takes the volume. Every crash state between any
 * two operations of the drives is looked at.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Contents } from '../../sim/contents.ts';
import { Coverage } from '../../sim/coverage.ts';
import { crashStates } from '../../sim/crash-states.ts';
import { allBut, onlyOne } from '../../sim/fate.ts';
import type { SimMedium } from '../../sim/medium.ts';
import { Pools } from '../../sim/pools.ts';
import { probe } from '../../sim/probe.ts';
import { Script, smallPlan } from '../../sim/script.ts';
import { SeenStates } from '../../sim/seen-states.ts';
import { EIO } from '../../src/base/errno.ts';
import { LABEL_HISTORY_MAX } from '../../src/core/format/label.ts';
import type { Outcome } from '../../src/core/problems.ts';
import type { Volume } from '../../src/engine/volume.ts';

const pools = new Pools(2 * 1024 * 1024, false);
const SECOND_US = 1_000_000;
const MIXTURES = 2;
/** The slot of the drive that is gone, and that of windows meanwhile. */
const GONE = 2;
const OTHER = 1;

class LongGone {
  readonly script: Script;
  states = 0;
  #moments = 0;
  #before = '';
  readonly #contents = new Contents();
  readonly #seen = new SeenStates();

  constructor(level: number) {
    const plan = smallPlan(level);
    this.script = new Script(
      { ...plan, config: { ...plan.config, members: 3 } },
      pools,
      new Coverage(),
    );
  }

  get path(): string {
    return this.script.scene.standing().slots[GONE]?.path ?? assert.fail();
  }

  get volume(): Volume {
    return this.script.scene.server.volume;
  }

  get medium(): SimMedium {
    return this.script.scene.machine.at(this.path);
  }

  async logIs(state: 'idle' | 'degraded'): Promise<void> {
    assert.ok(await this.script.until(() => this.volume.core.log?.status().state === state));
  }

  async tell(story: () => Promise<void>): Promise<void> {
    const { scene } = this.script;
    try {
      await this.script.run(async () => {
        await this.script.create();
        await this.script.write(0, 20);
        await story();
      });
    } finally {
      scene.close();
    }
  }

  async done(outcome: Promise<Outcome<unknown>>): Promise<void> {
    const result = await outcome;
    assert.ok(result.ok, JSON.stringify(result));
  }

  /** More generations than are remembered: a window makes three. */
  async generationsPass(): Promise<void> {
    const { script } = this;
    const { generation } = script.scene.core.metadata;
    assert.ok(await script.until(() => this.volume.core.resyncJob?.running !== true));
    for (let windows = 0; windows * 3 <= LABEL_HISTORY_MAX; windows++) {
      await this.done(script.openWindow(OTHER));
      await script.write(5 * windows, 9);
      await this.done(script.closeWindow());
      assert.ok(await script.until(() => script.scene.core.window === null));
    }
    assert.ok(!script.scene.core.metadata.history.includes(generation));
    await script.write(3, 30);
    await script.flush();
  }

  /** Each crash state of what is done now is started from, and read. */
  async lookedAt(act: () => Promise<void>): Promise<void> {
    const { world } = this.script.scene;
    world.between = () => this.#look();
    await act();
    world.between = null;
  }

  async optimal(): Promise<void> {
    const { scene } = this.script;
    assert.ok(
      await this.script.until(() => scene.state === 'optimal', 60 * SECOND_US),
      scene.state,
    );
  }

  #look(): Promise<void> | null {
    const { scene } = this.script;
    let now = String(scene.outstanding);
    for (const medium of scene.machine.media.values())
      now += ` ${medium.operations}/${medium.inFlightCount}`;
    if (now === this.#before) return null;
    this.#before = now;
    return this.#lookAt(this.#moments++);
  }

  async #lookAt(moment: number): Promise<void> {
    const { scene } = this.script;
    const how = { lose: null, again: [], closeWindow: false };
    for (const state of crashStates(scene, this.#contents, moment, MIXTURES)) {
      const { kind, fate, title, contents } = state;
      const word = `${contents} ${scene.oracle.takenInFork({ kind, copyLost: false })}`;
      if (this.#seen.has(word)) continue;
      this.states++;
      await probe(scene, { kind, fate, title: `moment ${moment}: ${title}`, ...how });
      this.#seen.add(word);
    }
    // A kill may also have let each of what is in flight through alone, or kept each alone.
    const media = [...scene.machine.media.values()];
    const flying = media.reduce((sum, medium) => sum + medium.inFlightWrites().length, 0);
    if (flying < 2) return;
    for (let which = 0; which < flying; which++) {
      for (const fate of [onlyOne(which), allBut(which)]) {
        this.states++;
        const title = `moment ${moment}: kill, ${which} of ${flying} in flight`;
        await probe(scene, { kind: 'kill', fate, title, ...how });
      }
    }
  }
}

const stories: Record<string, (gone: LongGone) => Promise<void>> = {
  'a drive that was taken out is added again': async (gone) => {
    const { path } = gone;
    await gone.done(gone.volume.failDrive(String(GONE)));
    await gone.generationsPass();
    await gone.lookedAt(() => gone.done(gone.volume.addDrive(path, false, false)));
    await gone.optimal();
  },

  'a drive that was pulled out is there again at a start': async (gone) => {
    const { script, medium } = gone;
    medium.vanish();
    // A start that is told to do without it: missing, and not failed.
    await script.crash('kill');
    await gone.generationsPass();
    medium.reappear();
    await gone.lookedAt(async () => {
      await script.crash('kill');
      await gone.optimal();
    });
  },

  'a drive is replaced by itself': async (gone) => {
    const { path } = gone;
    await gone.done(gone.volume.failDrive(String(GONE)));
    await gone.generationsPass();
    await gone.lookedAt(() => gone.done(gone.volume.replaceDrive(String(GONE), path, false)));
    await gone.optimal();
  },

  'a drive that is out is replaced by a new one, and is still plugged in': async (gone) => {
    await gone.done(gone.volume.failDrive(String(GONE)));
    await gone.generationsPass();
    const { path } = gone.script.scene.addDrive();
    await gone.lookedAt(() => gone.done(gone.volume.replaceDrive(String(GONE), path, false)));
    await gone.optimal();
    await gone.lookedAt(() => gone.script.crash('power'));
  },

  'a drive that was replaced long ago is taken as a new one': async (gone) => {
    const { path } = gone;
    const other = gone.script.scene.addDrive().path;
    await gone.done(gone.volume.replaceDrive(String(GONE), other, false));
    await gone.optimal();
    await gone.generationsPass();
    await gone.lookedAt(async () => {
      await gone.script.crash('kill');
      await gone.done(gone.volume.addDrive(path, true, true));
      await gone.done(gone.volume.failDrive(other));
      await gone.optimal();
    });
  },

  'a drive that failed in a window is put back in it, after starts by force': async (gone) => {
    const { script, medium } = gone;
    const { machine } = script.scene;
    const other = machine.at(script.scene.standing().slots[OTHER]?.path ?? assert.fail());
    await gone.done(script.openWindow(0));
    // A start without the other one: a generation, which this one has.
    other.vanish();
    await script.crash('kill');
    other.reappear();
    await script.crash('kill');
    const { generation } = gone.volume.core.metadata;
    for (let starts = 0; starts <= LABEL_HISTORY_MAX; starts++) {
      medium.addFault({ title: 'unreadable', effect: 'error', kinds: ['read'], errno: EIO });
      await script.crash('kill');
    }
    assert.ok(!gone.volume.core.metadata.history.includes(generation));
    medium.mend();
    await script.write(7, 12);
    await gone.lookedAt(() => gone.done(gone.volume.addDrive(medium.path, false, false)));
    await gone.done(script.closeWindow());
    await gone.optimal();
  },

  'a leg that was pulled out is put back': async (gone) => {
    const { script } = gone;
    const leg = script.scene.machine.at(script.scene.standing().legs[1]?.path ?? assert.fail());
    leg.vanish();
    await gone.logIs('degraded');
    await gone.generationsPass();
    leg.reappear();
    const request = { leg: '1', path: leg.path, sizeBytes: null, force: true };
    await gone.lookedAt(() => gone.done(gone.volume.replaceLeg(request)));
    await gone.logIs('idle');
    await gone.generationsPass();
    await gone.lookedAt(() => script.crash('power'));
  },
};

for (const level of [1, 5])
  for (const [what, story] of Object.entries(stories))
    test(`RAID ${level}: ${what}`, async (t) => {
      const gone = new LongGone(level);
      await gone.tell(() => story(gone));
      t.diagnostic(`${gone.states} crash states`);
    });
