/**
 * Assertions, on in production too.
 *
 * A failed assertion is a bug in Locum, never a user's mistake or a drive's. It stops the process: a crash is
 * recovered from the log and the intent bitmap, a wrong parity chunk is for ever. Messages are static strings on hot
 * paths, so that a passing assertion costs a comparison and nothing else.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the end of an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never, message = 'unreachable'): never {
  throw new AssertionError(`${message}: ${JSON.stringify(value)}`);
}
