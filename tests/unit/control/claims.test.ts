/** Who is given a drive that is worked on, and who is not kept from starting by it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Claims } from '../../../src/control/claims.ts';
import type { LostTool } from '../../../src/control/lost-tools.ts';

const SDB = '/dev/locum-sdb';
const paths = { drives: [SDB], logs: [] };

const code = async (asked: ReturnType<Claims['check']>): Promise<string> => {
  const outcome = await asked;
  return outcome.ok ? 'free' : outcome.problem.code;
};

test('what is held is for its owner only; a volume that starts again has what it had', async () => {
  const claims = new Claims();
  claims.hold('run 1', { volumes: ['tank'], paths: [SDB], work: 'replacement' });
  assert.equal(await code(claims.check('tank', [SDB])), 'drive-at-work');
  assert.equal(await code(claims.check('other', [SDB], 'run 2')), 'drive-at-work');
  assert.equal(await code(claims.check('tank', [SDB], 'run 1')), 'free');
  assert.equal(await code(claims.take('other', paths, true)), 'drive-at-work');
  assert.equal(await code(claims.take('tank', paths, false)), 'drive-at-work');
  // Its new drive has the name of the one that left.
  assert.equal(await code(claims.take('tank', paths, true)), 'free');
});

test('what was held before a start is given to nobody, and keeps no known volume from starting', async () => {
  const claims = new Claims();
  claims.hold('run 1', { volumes: ['tank'], paths: [SDB], work: 'firmware', isRemembered: true });
  assert.equal(await code(claims.check('other', [SDB])), 'drive-at-work');
  assert.equal(await code(claims.take('other', paths, false)), 'drive-at-work');
  // After a restart of the machine another drive may have that name.
  assert.equal(await code(claims.take('other', paths, true)), 'free');
});

test('a tool at work on nobody knows which drive: none is given away, but to who knows his own', async () => {
  const claims = new Claims();
  const tool = { id: '1', work: 'run 1', step: 'stage', pid: 7, outputPath: '', file: '/f' };
  let unseen: LostTool | null = tool;
  claims.heedOrphan(() => null);
  claims.heedOrphan(() => unseen);
  assert.equal(await code(claims.check('tank', [SDB])), 'drive-perhaps-at-work');
  assert.equal(await code(claims.take('tank', paths)), 'drive-perhaps-at-work');
  assert.equal(await code(claims.check('tank', [SDB], 'run 1')), 'free');
  assert.equal(await code(claims.take('tank', paths, true)), 'free', 'a known volume starts');
  assert.equal(await code(claims.take('tank', paths)), 'free', 'by hand as well');
  const more = { drives: [SDB, '/dev/locum-sdc'], logs: [] };
  assert.equal(await code(claims.take('tank', more)), 'drive-perhaps-at-work', 'not with another');
  claims.release('tank');
  assert.equal(await code(claims.check('tank', [])), 'free', 'nothing is asked for');
  unseen = null;
  assert.equal(await code(claims.check('other', [SDB])), 'free');
});
