/** Outcomes: a value, or a refusal that carries its checks only when there are any. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { done, refuse } from '../../../src/core/problems.ts';
import type { Check } from '../../../src/core/status.ts';

test('a refusal has its code, its detail, and its checks only when it has any', () => {
  const checks: Check[] = [];
  assert.deepEqual(done(7), { ok: true, value: 7 });
  assert.deepEqual(refuse('internal'), { ok: false, problem: { code: 'internal', detail: {} } });
  assert.deepEqual(refuse('io-error', { path: '/d0' }), {
    ok: false,
    problem: { code: 'io-error', detail: { path: '/d0' } },
  });
  assert.deepEqual(refuse('io-error', {}, checks), {
    ok: false,
    problem: { code: 'io-error', detail: {}, checks },
  });
});
