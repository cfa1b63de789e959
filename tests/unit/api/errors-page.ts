/** Renders docs/errors.md from the catalogue. */

import { catalogue } from '../../../src/api/errors.ts';
import { problemCodes } from '../../../src/core/problems.ts';

const introduction = `# Errors

Every way in which a request can be refused or fail. The code is stable: scripts may depend on it. It is in the \`code\`
field of the API's problem+json replies, and in \`problem.code\` of what \`locum … -o json\` prints.

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a safety check, 5 no server, 6 wait timed out.

In the sentences, \`{word}\` is filled in, and a part in brackets is left out when it is not known.
`;

const cell = (text: string): string => text.replaceAll('|', '\\|');

export function errorsPage(): string {
  const entries = problemCodes.map((code) => {
    const { message, fix, httpStatus, exitCode } = catalogue[code];
    return `### ${code}\n\n${cell(message)}\n\n*Next:* ${cell(fix)}\n\nExit code ${exitCode}, HTTP status ${httpStatus}.\n`;
  });
  return `${introduction}\n## Codes\n\n${entries.join('\n')}`;
}
