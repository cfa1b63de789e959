/**
 * A reporter for node's test runner that a program reads: one line of JSON for each test that passed or failed. Given to a
 * child by kill.ts.
 */

export interface Reported {
  readonly passed: boolean;
  readonly title: string;
  /** Why it failed, on one line. */
  readonly why: string;
}

interface RunnerEvent {
  readonly type: string;
  readonly data: {
    readonly name?: string;
    readonly nesting?: number;
    readonly skip?: string | boolean;
    readonly details?: { readonly type?: string; readonly error?: unknown };
  };
}

export default async function* reporter(
  source: AsyncIterable<RunnerEvent>,
): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.nesting !== 0) continue;
    if (data.skip !== undefined && data.skip !== false) continue;
    const passed = type === 'test:pass';
    const why = passed ? '' : reasonOf(data.details?.error);
    yield `${JSON.stringify({ passed, title: data.name ?? '', why } satisfies Reported)}\n`;
  }
}

/** The runner wraps what a test threw. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.split('\n', 1)[0]?.slice(0, 200) ?? '';
}
