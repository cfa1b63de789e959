/**
 * The one catalogue of everything that can be refused or fail: code → sentence, next step, HTTP status, exit code,
 * errno. The HTTP edge, the command line, the log and docs/errors.md read it; a test keeps it in step with
 * core/problems.ts (the compiler does: the record is exhaustive) and with the page. The entries are in catalogue/.
 */

import type { Problem, ProblemCode } from '../core/problems.ts';
import { drivesPart } from './catalogue/drives.ts';
import { type CatalogueEntry, type ExitCode, exitCodes } from './catalogue/entry.ts';
import { namesPart } from './catalogue/names.ts';
import { serverPart } from './catalogue/server.ts';
import { startPart } from './catalogue/start.ts';
import { windowsPart } from './catalogue/windows.ts';
import { formatBytes } from './units.ts';

export { type CatalogueEntry, type ExitCode, exitCodes };

export const catalogue: Readonly<Record<ProblemCode, CatalogueEntry>> = {
  ...namesPart,
  ...drivesPart,
  ...startPart,
  ...windowsPart,
  ...serverPart,
};

/** What a placeholder says when the problem does not fill it. */
const defaultWords: Readonly<Record<string, string>> = {
  path: 'the drive',
  rollout: 'of that name',
  volumes: 'the volumes',
  volume: 'the volume',
  drive: 'the drive',
  leg: 'the leg',
  run: 'of that name',
  name: 'this',
  tool: 'for it',
  package: 'PACKAGE',
  image: 'that was given',
  task: 'This',
  other: 'another drive',
  level: 'this level',
  state: 'in its present state',
  kind: 'job',
  sizeBytes: 'too few',
  chunkBytes: 'that many',
  needed: 'more',
  least: 'more',
  given: 'fewer',
  socket: 'the control socket',
  address: 'that address',
  method: 'this',
  waitedMs: 'some',
};

function fill(template: string, detail: Problem['detail'], used: Set<string>): string {
  const known = (text: string): boolean =>
    [...text.matchAll(/\{(\w+)\}/g)].every(([, key]) => (detail[key!] ?? '') !== '');
  const value = (key: string): string => {
    used.add(key);
    const found = detail[key];
    if (found === undefined || found === '') return defaultWords[key] ?? 'unknown';
    return key.endsWith('Bytes') && typeof found === 'number' ? formatBytes(found) : String(found);
  };
  return template
    .replace(/\[([^\]]*)\]/g, (_, part: string) => (known(part) ? part : ''))
    .replace(/\{(\w+)\}/g, (_, key: string) => value(key));
}

export interface Explained {
  readonly message: string;
  readonly fix: string;
}

/** The sentence and the next step of a problem, with everything its detail knows. */
export function explain(problem: Problem): Explained {
  const { message, fix } = catalogue[problem.code];
  const blocking = (problem.checks ?? [])
    .filter(({ result }) => result === 'block')
    .map(({ id }) => id);
  const detail =
    blocking.length > 0 ? { ...problem.detail, blocking: blocking.join(', ') } : problem.detail;
  const used = new Set<string>();
  let sentence = fill(message, detail, used);
  const next = fill(fix, detail, used);
  const rest = Object.entries(detail).filter(
    ([key, value]) => key !== 'volume' && value !== '' && !used.has(key),
  );
  if (rest.length > 0) {
    const extra = rest
      .map(([key, value]) => (key === 'reason' ? String(value) : `${key}: ${value}`))
      .join(', ');
    sentence = `${sentence.replace(/\.$/, '')} (${extra}).`;
  }
  return { message: sentence, fix: next };
}
