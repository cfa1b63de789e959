/**
 * A leg of the log hangs, and a window is opened: the control plane asks where the drive lies, what else is on it, and
 * whether the leg is, too. What it asked for at once hung it, and with it every answer to anybody (torture run, drives, seed
 * 840764522, case 16).
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { runFault } from '../../torture/drives-case.ts';
import { driveFaults } from '../../torture/drives-faults.ts';
import { noFuseBecause } from '../../torture/drives-mount.ts';
import { Tally } from '../../torture/tally.ts';
import { shortFolder } from '../support/locum.ts';

const mebi = 2 ** 20;

for (const on of ['a leg', 'a member'] as const)
  test(`${on} hangs as a window is opened: the server answers, and says so`, async (t) => {
    const reason = noFuseBecause();
    if (reason !== null) return t.skip(reason);
    const fault = driveFaults.find((one) => one.on === on && one.name.includes('hung'))!;
    const folder = await shortFolder();
    const shape = { level: 1, members: 4, chunkBytes: null, io: 'node' } as const;
    const sizes = { memberBytes: 6 * mebi, logBytes: 32 * mebi };
    const it = { stage: 'freezing', seed: 16, shape: { ...shape, ...sizes } } as const;
    const end = await runFault(fault, it, join(folder.path, 'c'), new Tally());
    assert.equal(end.drives.length, 4);
    await folder.remove();
  });
