/** A server that starts one command and is killed: `command-host.js OUTPUT SCRIPT`. See command.test.ts. */

import { runCommand } from '../../../src/tasks/command.ts';

const [outputPath = '', script = ''] = process.argv.slice(2);
await runCommand(
  { program: '/bin/sh', args: ['-c', script], mayStop: false },
  {
    outputPath,
    limitMs: 3_600_000,
    signal: new AbortController().signal,
    onProgress: () => {},
    onStarted: () => {},
  },
  { environment: {}, isRoot: false, sysRoot: '/sys' },
);
