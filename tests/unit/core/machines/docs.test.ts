/**
 * The pages in docs/states show the machines as they are: the part between the markers is exactly
 * what is rendered.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { driveMachine } from '../../../../src/core/machines/drive.ts';
import { renderMachine } from '../../../../src/core/machines/render.ts';
import { rolloutDriveMachine, rolloutMachine } from '../../../../src/core/machines/rollout.ts';
import { runMachine, runPhases } from '../../../../src/core/machines/run.ts';
import { renderVolumeRules } from '../../../../src/core/machines/volume.ts';
import { alarmCodes } from '../../../../src/core/machines/volume-alarms.ts';
import { windowMachine } from '../../../../src/core/machines/window.ts';
import { rolloutDriveStates, rolloutStates } from '../../../../src/core/rollout-report.ts';
import { driveStates, volumeStates, windowStates } from '../../../../src/core/status.ts';

// From dist/tests/unit/core/machines/ up to the repository.
const root = new URL('../../../../../', import.meta.url);
const page = (name: string): string =>
  readFileSync(new URL(`docs/states/${name}.md`, root), 'utf8');

function shown(text: string): string {
  const match = /<!-- machine -->\n([\s\S]*?)<!-- end of machine -->/.exec(text);
  assert.ok(match, 'the page has no machine');
  return (match[1] as string).trim();
}

for (const [name, rendered] of [
  ['drive', renderMachine(driveMachine)],
  ['window', renderMachine(windowMachine)],
  ['volume', renderVolumeRules()],
  ['rollout', `${renderMachine(rolloutMachine)}\n${renderMachine(rolloutDriveMachine)}`],
  ['run', renderMachine(runMachine)],
] as const) {
  test(`docs/states/${name}.md shows the machine as it is`, () => {
    assert.equal(shown(page(name)), rendered.trim());
  });
}

test('every state has its paragraph', () => {
  for (const [name, states] of [
    ['drive', driveStates],
    ['window', windowStates],
    ['volume', volumeStates],
    ['rollout', [...rolloutStates, ...rolloutDriveStates]],
    ['run', runPhases],
  ] as const) {
    for (const state of states) assert.ok(page(name).includes(`\`${state}\``), `${name}: ${state}`);
  }
});

test('every alarm has its line, and no line is of an alarm that does not exist', () => {
  const table = page('volume').split('## Alarms')[1] ?? '';
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const shownCodes = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)]);
  assert.deepEqual(new Set(shownCodes.map(([, code]) => code)), new Set(alarmCodes));
  assert.equal(shownCodes.length, alarmCodes.length);
});
