/**
 * What a checker throws: which one, and what it saw. The shrinker looks for a smaller plan to which the same one objects.
 */

export type Checker =
  | 'identity'
  | 'data'
  | 'answer'
  | 'frozen members'
  | 'parity'
  | 'one member fewer'
  | 'log'
  | 'labels'
  | 'events'
  | 'leak'
  | 'said'
  | 'start'
  | 'liveness'
  | 'bug';

export class Objection extends Error {
  readonly checker: Checker;

  constructor(checker: Checker, message: string) {
    super(message);
    this.name = 'Objection';
    this.checker = checker;
  }
}

export const objectTo = (checker: Checker, when: boolean, message: () => string): void => {
  if (when) throw new Objection(checker, message());
};

/** Of an error that is no objection, for whoever looks for the bug. */
export const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
