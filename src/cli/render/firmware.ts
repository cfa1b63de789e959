/** Firmware updates for people: the plan, how far it is, and which drive has which version. */

import { formatBytes, formatDuration } from '../../api/units.ts';
import { versionsPerModel, wantedVersion } from '../../core/machines/rollout-decisions.ts';
import type {
  InventoryDrive,
  PlannedDrive,
  RolloutDrive,
  RolloutDriveState,
  RolloutPlan,
  RolloutReport,
} from '../../core/rollout-report.ts';
import type { View } from './status.ts';
import { count, heading, labelled, type Style, table } from './text.ts';
import { renderChecks } from './window.ts';

const stateStyle: Readonly<Record<RolloutDriveState, Style>> = {
  pending: 'dim',
  running: 'notice',
  soaking: 'notice',
  done: 'good',
  skipped: 'dim',
  'not-applied': 'bad',
  failed: 'bad',
};

const rolloutStyle = {
  running: 'notice',
  paused: 'notice',
  halted: 'bad',
  stopped: 'notice',
  done: 'good',
} as const;

const dash = (text: string): string => (text === '' ? '-' : text);
const slotOf = ({ slot }: { readonly slot: number | null }): string =>
  slot === null ? 'spare' : String(slot);
const versions = (before: string, after: string): string =>
  before === after || after === '' ? dash(before) : `${dash(before)} → ${after}`;

// --- how far it is ---------------------------------------------------------------------------------------------------

export function renderRollout(rollout: RolloutReport, view: View): string {
  const { paint, columns } = view;
  const state = paint(rolloutStyle[rollout.state], rollout.state);
  const sentence = (label: string, text: string): string =>
    text === '' ? '' : labelled(paint('bold', label), text, columns);
  return [
    `firmware update ${rollout.id}  ${state}  ${progressOf(rollout)}\n`,
    `  ${rollout.image.path}, ${formatBytes(rollout.image.sizeBytes)}, sha256 ${rollout.image.sha256.slice(0, 16)}…` +
      `${rollout.version === null ? '' : `, to version ${rollout.version}`}\n`,
    table(
      [
        heading(paint, 'VOLUME', 'SLOT', 'DRIVE', 'MODEL', 'SERIAL', 'VERSION', 'STATE', 'NOTE'),
        ...rollout.drives.map((drive) => [
          drive.volumes.join('+'),
          slotOf(drive),
          dash(drive.path),
          dash(drive.model),
          dash(drive.serial),
          versions(drive.firmwareBefore, drive.firmwareAfter),
          paint(stateStyle[drive.state], drive.state),
          noteOf(drive, view.nowMs),
        ]),
      ],
      '  ',
    ),
    sentence('WHY  ', rollout.reason),
    sentence('NEXT ', rollout.next),
  ].join('');
}

export function progressOf({ drives, leftMs, endedAt }: RolloutReport): string {
  const of = (state: RolloutDriveState): number =>
    drives.filter((drive) => drive.state === state).length;
  const others = (['skipped', 'not-applied', 'failed'] as const)
    .filter((state) => of(state) > 0)
    .map((state) => `, ${of(state)} ${state}`)
    .join('');
  const left = endedAt !== null || leftMs === null ? '' : `, about ${formatDuration(leftMs)} left`;
  return `${of('done')} of ${count(drives.length, 'drive')} done${others}${left}`;
}

function noteOf(drive: RolloutDrive, nowMs: number): string {
  if (drive.state === 'soaking' && drive.soakUntil !== null && drive.note === '') {
    const leftMs = Date.parse(drive.soakUntil) - nowMs;
    return leftMs > 0 ? `watched for ${formatDuration(leftMs)} more` : 'being checked';
  }
  return drive.note === '' ? drive.step : drive.note;
}

/** Where it is, in one line. */
export function rolloutLine(rollout: RolloutReport, nowMs: number): string {
  const atWork = rollout.drives
    .filter(({ state }) => state === 'running' || state === 'soaking')
    .map((drive) => `${drive.path} ${drive.state} ${noteOf(drive, nowMs)}`.trim());
  const waits = rollout.state === 'running' && atWork.length === 0 ? rollout.reason : '';
  return ['firmware', rollout.id, progressOf(rollout), ...atWork, waits]
    .filter((part) => part !== '')
    .join('  ');
}

/** What became of one drive, once that is known. */
export function driveLine(drive: RolloutDrive): string | null {
  const name = `${drive.path} (${drive.slot === null ? 'spare' : `slot ${drive.slot}`} of ${drive.volumes[0]})`;
  switch (drive.state) {
    case 'pending':
      return drive.note === '' ? null : `${name}: put off: ${drive.note}`;
    case 'running':
      return `${name}: at work`;
    case 'soaking':
      return `${name}: ${versions(drive.firmwareBefore, drive.firmwareAfter)}, back and being watched`;
    case 'done':
      return `${name}: ${versions(drive.firmwareBefore, drive.firmwareAfter)}, done`;
    case 'skipped':
      return `${name}: left out: ${drive.note}`;
    case 'not-applied':
    case 'failed':
      return `${name}: ${drive.state}: ${drive.note}`;
  }
}

// --- the plan --------------------------------------------------------------------------------------------------------

export function renderPlan(plan: RolloutPlan, canary: number, { paint, columns }: View): string {
  const { image, drives, version } = plan;
  const toFlash = drives.filter(({ action }) => action === 'flash');
  let number = 0;
  const rows = drives.map((drive) => {
    if (drive.action === 'flash') number += 1;
    return [
      drive.action === 'flash' ? `${number}.` : '-',
      drive.volumes.join('+'),
      slotOf(drive),
      dash(drive.path),
      dash(drive.model),
      dash(drive.serial),
      drive.action === 'flash'
        ? `${dash(drive.firmware)} → ${wantedVersion(drive, { version, model: null, known: [] }) ?? '(new)'}`
        : dash(drive.firmware),
      drive.action === 'flash' ? '' : paint('dim', `left out: ${drive.note}`),
    ];
  });
  return [
    `${image.path}, ${formatBytes(image.sizeBytes)}, sha256 ${image.sha256}\n`,
    table(
      [heading(paint, '#', 'VOLUME', 'SLOT', 'DRIVE', 'MODEL', 'SERIAL', 'VERSION', ''), ...rows],
      '  ',
    ),
    findings(toFlash, plan, { paint, columns }),
    toFlash.length === 0 ? '' : order(toFlash.length, canary),
    toFlash.length === 0 ? '' : time(plan),
    verdict(plan, toFlash.length, paint),
  ].join('');
}

const time = ({ soakTotalMs, estimateMs }: RolloutPlan): string =>
  estimateMs === null
    ? `Time: ${formatDuration(soakTotalMs)} of soak; what a drive takes is known after the first one.\n`
    : `Time: about ${formatDuration(estimateMs)}, by earlier updates; ${formatDuration(soakTotalMs)} of it is soak.\n`;

function order(drives: number, canary: number): string {
  const first = Math.min(canary, drives);
  const alone = first === 0 ? '' : `the first ${first === 1 ? 'one' : first} alone, then `;
  return `Order: ${alone}one drive at a time per volume.\n`;
}

function verdict({ allowed }: RolloutPlan, toFlash: number, paint: View['paint']): string {
  const words = !allowed
    ? paint('bad', 'It would be refused.')
    : toFlash === 0
      ? paint('good', 'There is nothing to do.')
      : paint('good', `${count(toFlash, 'drive')} would be flashed.`);
  return `${words} Nothing was changed.\n`;
}

/** Checks that warn or block, each once, with the drives that it is about. */
function findings(
  drives: readonly PlannedDrive[],
  { drives: all }: RolloutPlan,
  { paint, columns }: Pick<View, 'paint' | 'columns'>,
): string {
  const found = new Map<string, { check: PlannedDrive['checks'][number]; paths: string[] }>();
  for (const { path, checks } of drives) {
    for (const check of checks) {
      if (check.result === 'pass') continue;
      const key = `${check.id} ${check.reason}`;
      const entry = found.get(key) ?? { check, paths: [] };
      found.set(key, entry);
      entry.paths.push(path);
    }
  }
  const checks = [...found.values()].map(({ check, paths }) => {
    const where = paths.length === all.length ? '' : ` (${paths.join(', ')})`;
    return { ...check, title: `${check.title}${where}` };
  });
  return renderChecks(checks, paint, columns);
}

// --- the inventory ---------------------------------------------------------------------------------------------------

const healthStyle = { ok: 'good', failing: 'bad', unknown: 'dim' } as const;

export function renderInventory(drives: readonly InventoryDrive[], { paint }: View): string {
  if (drives.length === 0) return 'No drives.\n';
  const asked = drives.flatMap(({ facts }) => (facts === null ? [] : [facts]));
  return [
    table([
      heading(
        paint,
        'VOLUME',
        'SLOT',
        'DRIVE',
        'MODEL',
        'SERIAL',
        'FIRMWARE',
        'TRANSPORT',
        'HEALTH',
        'STATE',
        'NOTE',
      ),
      ...drives.map(({ volume, path, facts, state, note, ...drive }) => [
        volume,
        slotOf(drive),
        dash(path),
        dash(facts?.model ?? ''),
        dash(facts?.serial ?? ''),
        dash(facts?.firmware ?? ''),
        facts?.transport ?? '-',
        facts === null ? '-' : paint(healthStyle[facts.health], facts.health),
        state,
        note,
      ]),
    ]),
    '\n',
    table([
      heading(paint, 'MODEL', 'VERSIONS'),
      ...versionsPerModel(asked).map(({ model, versions: list }) => [
        dash(model),
        list.map(({ firmware, drives: many }) => `${dash(firmware)} × ${many}`).join(', '),
      ]),
    ]),
  ].join('');
}
