/** The lives that are recorded: what the operator and the accidents do while the host works. */

import type { Life } from './power-life.ts';

export interface Story {
  readonly name: string;
  /** Levels that it makes sense for. */
  readonly levels: readonly number[];
  /** Every cut of it can be taken in the time of a slice. */
  readonly isShort?: boolean;
  readonly run: (life: Life) => Promise<void>;
}

const anyLevel = [1, 3, 4, 5];
const withParity = [3, 4, 5];
/** The slot of the drive that is away in every window. */
export const away = 1;

export const stories: readonly Story[] = [
  {
    name: 'a window',
    levels: anyLevel,
    isShort: true,
    run: async (life) => {
      await life.load(300);
      await life.openWindow(away);
      await life.load(400);
      await life.closeWindow();
      await life.load(200);
    },
  },
  {
    name: 'a window with a second failure',
    levels: withParity,
    run: async (life) => {
      await life.load(150);
      await life.openWindow(away);
      await life.load(200);
      await life.breakDrive(2, 'frozen, second failure');
      await life.load(200);
      await life.closeWindow('no');
      await life.load(150);
      await life.replace(2);
      await life.load(100);
    },
  },
  {
    name: 'degraded, then rebuilt',
    levels: anyLevel,
    run: async (life) => {
      await life.load(150);
      await life.breakDrive(0, 'degraded');
      await life.load(400);
      await life.replace(0);
      await life.load(200);
    },
  },
  {
    name: 'a drive breaks during the replay',
    levels: withParity,
    isShort: true,
    run: async (life) => {
      await life.load(100);
      await life.openWindow(away);
      await life.load(500);
      life.mark({
        name: 'drive returns, another breaks',
        state: 'replaying, second failure',
        lost: 'no',
      });
      const closing = life.closeWindow('no');
      life.drive(2).errno = 5;
      await closing;
      await life.until('told of the failure', (it) => it.drives[2]?.state === 'failed');
      await life.load(200);
    },
  },
  {
    name: 'killed while optimal, in a window and during the replay',
    levels: anyLevel,
    isShort: true,
    run: async (life) => {
      await life.load(200);
      await life.killAndRestart('resyncing', 'maybe');
      await life.load(200);
      await life.until('optimal', (it) => it.state === 'optimal');
      await life.openWindow(away);
      await life.load(250);
      await life.killAndRestart('frozen', 'must');
      await life.load(150);
      life.mark({ name: 'drive returns', state: 'replaying', lost: 'maybe' });
      const closing = life.closeWindow();
      closing.catch(() => undefined);
      await life.killAndRestart('replaying', 'maybe');
      await closing.catch(() => undefined);
      const status = await life.until(
        'on its feet',
        ({ window }) => window === null || window.state === 'open',
      );
      if (status.window !== null) await life.closeWindow();
      await life.load(100);
    },
  },
  {
    name: 'a window without a return: thawed, then a short resync',
    levels: anyLevel,
    run: async (life) => {
      await life.load(150);
      await life.openWindow(away, 1000);
      await life.load(600);
      // From here on the time may be up at any moment.
      life.mark({ name: 'time is nearly up', state: 'thawing', lost: 'no' });
      await life.thawed();
      await life.load(200);
      await life.takeBack(away);
      await life.load(150);
    },
  },
  {
    name: 'a window in which a leg fails',
    levels: anyLevel,
    isShort: true,
    run: async (life) => {
      await life.load(100);
      await life.openWindow(away);
      await life.load(200);
      await life.breakLeg(0);
      await life.load(200);
      await life.closeWindow('no');
      await life.load(150);
    },
  },
];

/** Those with the fewest drive writes: no rebuild, and no limit that is waited for. */
export const shortStories = stories.filter(({ isShort }) => isShort);
