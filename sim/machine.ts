/**
 * The hardware: drives and legs by path, with what is on them. It outlives every server process that runs on it.
 *
 * `fork` lets something be tried on the hardware (a crash, a restart, a member pulled out) and takes it back.
 */

import { assert } from '../src/base/assert.ts';
import { SimMedium } from './medium.ts';

export class Machine {
  readonly media = new Map<string, SimMedium>();
  /** What the operator gives to `assemble`. */
  readonly drivePaths: string[] = [];
  readonly logPaths: string[] = [];
  #made = 0;
  #forks = 0;

  addDrive(sizeBytes: number, blockBytes: number, listed = true): SimMedium {
    return this.#add('d', this.drivePaths, sizeBytes, blockBytes, listed);
  }

  addLeg(sizeBytes: number, blockBytes: number, listed = true): SimMedium {
    return this.#add('leg', this.logPaths, sizeBytes, blockBytes, listed);
  }

  /** It was made for the log, listed or not. */
  isLeg(path: string): boolean {
    return path.startsWith('leg');
  }

  at(path: string): SimMedium {
    const medium = this.media.get(path);
    assert(medium !== undefined, `there is no ${path}`);
    return medium;
  }

  /** One that nobody has in use, or had: it is as if it had never been there. */
  throwAway(path: string): void {
    const medium = this.at(path);
    if (medium.isOpen) return;
    this.media.delete(path);
    this.takeOut([path]);
    medium.scrap();
  }

  /** It is in use again, and given to a start like the others. */
  putBack(path: string): void {
    if (!this.drivePaths.includes(path)) this.drivePaths.push(path);
  }

  /** No start is given them any more. */
  takeOut(odd: readonly string[]): void {
    for (const paths of [this.drivePaths, this.logPaths]) {
      const kept = paths.filter((path) => !odd.includes(path));
      paths.splice(0, paths.length, ...kept);
    }
  }

  get forks(): number {
    return this.#forks;
  }

  async fork<T>(act: () => Promise<T>): Promise<T> {
    const media = [...this.media.values()];
    const { drivePaths, logPaths } = this;
    const lists = [[...drivePaths], [...logPaths]] as const;
    const made = this.#made;
    for (const medium of media) medium.mark();
    this.#forks++;
    try {
      return await act();
    } finally {
      for (const medium of media) medium.rollback();
      for (const path of [...this.media.keys()])
        if (!media.includes(this.at(path))) this.media.delete(path);
      drivePaths.splice(0, drivePaths.length, ...lists[0]);
      logPaths.splice(0, logPaths.length, ...lists[1]);
      this.#made = made;
    }
  }

  #add(
    prefix: string,
    list: string[],
    sizeBytes: number,
    blockBytes: number,
    listed: boolean,
  ): SimMedium {
    const index = this.#made++;
    const medium = new SimMedium(`${prefix}${index}`, index, sizeBytes, blockBytes);
    this.media.set(medium.path, medium);
    if (listed) list.push(medium.path);
    return medium;
  }
}
