/** Entry point of `locum`: bin/locum runs it. */

import { exitCodes } from '../api/errors.ts';
import { run } from './program.ts';
import { processTerminal } from './terminal.ts';

try {
  process.exitCode = await run(process.argv.slice(2), processTerminal());
} catch (error) {
  // Not a user's mistake and not a refusal: a fault of ours, so the stack is worth having.
  process.stderr.write(
    `locum: internal fault: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exitCode = exitCodes.failed;
}
