/**
 * What a start by force goes on in spite of: refusals about which a person can know better, and no others. One `force` is
 * for all of them, so each that it has overridden is noted, and told: whoever was refused has seen the first one only.
 */

import type { ProblemCode } from './problems.ts';

export const overridableByForce = [
  'superblock-corrupt',
  'label-corrupt',
  'md-unsupported',
  'drive-smaller',
  'drive-stale',
  'members-missing',
  'dirty-and-degraded',
  'log-damaged',
] as const satisfies readonly ProblemCode[];
export type OverridableByForce = (typeof overridableByForce)[number];

export const isOverridable = (code: ProblemCode): code is OverridableByForce =>
  (overridableByForce as readonly ProblemCode[]).includes(code);
