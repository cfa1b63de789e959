/**
 * Rounds in files: what once failed, kept as a regression test. JSON with the bytes in hex, one line for 32 of them, so
 * that a difference can be read. Lines that are alike stand once, with their number before them: "98304 x 0000…".
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionPlan, RoundPlan } from './fuzz-plan.ts';

/** What went wrong, in a sentence, and the round that showed it. */
export interface CorpusEntry {
  readonly title: string;
  readonly plan: RoundPlan;
}

const LINE_BYTES = 32;

export function writeEntry(path: string, { title, plan }: CorpusEntry): void {
  const connections = plan.connections.map((each) => ({ ...each, wire: hexLines(each.wire) }));
  writeFileSync(path, `${JSON.stringify({ title, ...plan, connections }, null, 2)}\n`);
}

export function readEntry(path: string): CorpusEntry {
  const { title, ...plan } = JSON.parse(readFileSync(path, 'utf8')) as RoundPlan & {
    title: string;
    connections: readonly (Omit<ConnectionPlan, 'wire'> & { wire: readonly string[] })[];
  };
  const connections = plan.connections.map((each) => {
    const lines = each.wire as unknown as readonly string[];
    return { ...each, wire: bytesOf(lines) };
  });
  return { title, plan: { ...plan, connections } };
}

/** By name, so that they always run in the same order. */
export function readCorpus(folder: string): (CorpusEntry & { readonly file: string })[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ file, ...readEntry(join(folder, file)) }));
}

function hexLines(bytes: Uint8Array): string[] {
  const runs: { line: string; count: number }[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = Buffer.from(bytes.subarray(at, at + LINE_BYTES)).toString('hex');
    const last = runs.at(-1);
    if (last?.line === line) last.count++;
    else runs.push({ line, count: 1 });
  }
  return runs.map(({ line, count }) => (count === 1 ? line : `${count} x ${line}`));
}

function bytesOf(lines: readonly string[]): Uint8Array {
  const hex = lines.map((line) => {
    const [count, repeated] = line.split(' x ');
    return repeated === undefined ? line : repeated.repeat(Number(count));
  });
  return new Uint8Array(Buffer.from(hex.join(''), 'hex'));
}
