/** Registers an enumeration as a test: a share of its cases, or all, or the named ones (enumeration.ts). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Enumeration } from './enumeration.ts';

const every = Number(process.env['LOCUM_EVERY'] ?? 0);
const words = process.env['LOCUM_CASE'] ?? '';
const SHOWN = 8;

/** At most `sampled` of them, evenly spread; the middle of each share, so that the first and last are no special case. */
export function sample<T>(all: readonly T[], sampled: number): T[] {
  const step = every > 0 ? every : Math.max(1, all.length / sampled);
  const taken: T[] = [];
  for (let at = step > 1 ? step / 2 : 0; at < all.length; at += step)
    taken.push(all[Math.floor(at)] as T);
  return taken;
}

export function testEnumeration(enumeration: Enumeration, sampled: number): void {
  test(enumeration.title, async (t) => {
    const all = await enumeration.cases();
    const chosen =
      words === '' ? sample(all, sampled) : all.filter(({ name }) => name.includes(words));
    assert.ok(words !== '' || chosen.length > 0, 'there is nothing to enumerate');
    t.diagnostic(`${chosen.length} of ${all.length} cases`);
    const failures: string[] = [];
    for (const { name, run } of chosen) {
      await run().catch((error: Error) => failures.push(`${name}: ${error.message}`));
    }
    const shown = failures.slice(0, SHOWN).join('\n');
    assert.equal(failures.length, 0, `${failures.length} of ${chosen.length} cases:\n${shown}`);
  });
}
