/** The operations on windows. What they answer goes into the history too. */

import type { Handlers, Reply } from '../../api/operations.ts';
import type { WindowBody } from '../../api/schema.ts';
import { DOUBLE_ABSENCE_WAIT_MS } from '../../api/units.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { RunReport } from '../../core/run-report.ts';
import type { WindowReport } from '../../core/status.ts';
import type { WindowRequest } from '../../engine/contract.ts';
import { type Asking, QUICK_MS } from '../asking.ts';
import { reply } from '../replies.ts';
import type { Runs } from '../runs/runs.ts';
import type { WindowGroups } from '../runs/window-groups.ts';
import type { VolumeTable } from '../volume-table.ts';

type WindowOperation =
  | 'windowPlan'
  | 'windowOpen'
  | 'windowShow'
  | 'windowClose'
  | 'windowAbort'
  | 'windowExtend'
  | 'windowList'
  | 'windowHistory';

export const WINDOW_MAX_MS = 30 * 60_000;

const windowRequest = (body: WindowBody): WindowRequest => ({
  drive: body.drive,
  purpose: body.purpose,
  maxMs: body.maxMs ?? WINDOW_MAX_MS,
  onDoubleAbsence: body.onDoubleAbsence ?? 'wait',
  waitMs: body.waitMs ?? DOUBLE_ABSENCE_WAIT_MS,
  allowDegraded: body.allowDegraded === true,
  allowSingleLog: body.allowSingleLog === true,
});

export function windowHandlers(
  table: VolumeTable,
  asking: Asking,
  groups: WindowGroups,
  runs: Runs,
): Pick<Handlers, WindowOperation> {
  return {
    windowPlan: async ({ params: { volume }, body }) => {
      const planned = await groups.plan(volume, windowRequest(body));
      return planned.ok ? reply({ plan: planned.value.plan }) : planned;
    },
    windowOpen: async ({ params: { volume }, body }) => {
      const opened = await groups.open(volume, windowRequest(body));
      if (!opened.ok) return opened;
      return asking.report(volume, opened.value[0] as WindowReport);
    },
    windowShow: ({ params: { volume }, query }) => show(table, asking, runs, volume, query.id),
    windowClose: async ({ params: { volume }, body }) => {
      const { drivePath } = body;
      const drives = drivePath === undefined ? [] : [drivePath];
      const owner = runs.ofVolume(volume)?.id ?? null;
      const free = await table.claims.check(volume, drives, owner);
      if (!free.ok) return free;
      const run = runs.isAtWork(volume);
      if (run !== null) {
        return refuse('run-at-work', { volume, path: run.drive.path, step: run.step });
      }
      const left = untouched(runs, groups.frozenWith(volume));
      if (!left.ok) return left;
      const request = {
        drivePath: drivePath ?? null,
        verify: body.verify ?? 'recent',
        rebuild: body.rebuild === true,
        force: body.force === true,
      };
      const closed = await groups.close(volume, request, owner);
      return closed.ok ? asking.report(volume, closed.value) : closed;
    },
    windowAbort: async ({ params: { volume } }) => {
      const calledOff = await runs.callOff(volume);
      if (calledOff !== null) {
        if (!calledOff.ok) return calledOff;
        const note = calledOff.value;
        return asking.ask(
          volume,
          'windowReport',
          [],
          (window) => reply({ window, note }),
          QUICK_MS,
        );
      }
      const left = untouched(runs, groups.frozenWith(volume));
      if (!left.ok) return left;
      const aborted = await groups.abort(volume);
      return aborted.ok ? asking.report(volume, aborted.value) : aborted;
    },
    // Of a drive that several volumes share, all windows last as long.
    windowExtend: async ({ params: { volume }, body }) => {
      const [own, ...others] = groups.frozenWith(volume);
      const extended = await asking.ask(
        own as string,
        'extendWindow',
        [body.byMs],
        done<WindowReport>,
      );
      if (!extended.ok) return extended;
      for (const other of others) {
        const too = await asking.ask(other, 'extendWindow', [body.byMs], done<WindowReport>);
        if (!too.ok && too.problem.code !== 'window-none') return too;
      }
      return asking.report(volume, extended.value);
    },
    windowList: async () => {
      const handles = [...table.entries.values()].flatMap(({ handle }) => (handle ? [handle] : []));
      await Promise.all(handles.map((handle) => handle.refresh()));
      const reports = handles.flatMap((handle) =>
        handle.last?.report ? [handle.last.report] : [],
      );
      return reply({ windows: reports.filter((report) => report.closedAt === null) });
    },
    windowHistory: async ({ query }) => {
      const handles = [...table.entries.values()].flatMap(({ handle }) => (handle ? [handle] : []));
      await Promise.all(handles.map((handle) => handle.refresh()));
      return reply({ windows: table.options.history.ended(query.volume ?? null) });
    },
  };
}

/** No tool is at work on a drive that may be that of one of these volumes. */
function untouched(runs: Runs, volumes: readonly string[]): Outcome<void> {
  for (const volume of volumes) {
    const orphan = runs.orphanAt(volume);
    if (orphan === null) continue;
    const { id: run, step, pid } = orphan;
    return refuse('tool-at-work', { volume, run, step, pid });
  }
  return done(undefined);
}

/** The open window, else the last one, or the one that is asked for by its id or its run's; with its run. */
async function show(
  table: VolumeTable,
  asking: Asking,
  runs: Runs,
  volume: string,
  id: string | undefined,
): Promise<Outcome<Reply<'windowShow'>>> {
  const last = await asking.ask(volume, 'windowReport', [], done<WindowReport>, QUICK_MS);
  // What is on record is shown of a volume that was stopped, or does not answer, as well.
  if (!last.ok && last.problem.code === 'volume-unknown') return last;
  const { history } = table.options;
  const isSilent = !last.ok && last.problem.code !== 'window-none';
  const seen = last.ok ? [last.value] : isSilent ? history.open(volume) : [];
  const all = [...history.ended(volume), ...seen];
  const run = runToShow(runs, volume, id, all.at(-1));
  const wanted = run === null ? (id ?? all.at(-1)?.id) : windowOf(run, volume);
  const window = all.findLast((report) => report.id === wanted) ?? null;
  if (window === null && run === null)
    return last.ok || id !== undefined ? refuse('window-none', { volume }) : last;
  const stale = isSilent && window?.closedAt === null ? { stale: true } : {};
  return reply({ window, run: run && (await runs.whole(run.id)), ...stale });
}

/** By its own id or its window's; without an id the last one, unless a window without a run is newer. */
function runToShow(
  runs: Runs,
  volume: string,
  id: string | undefined,
  last: WindowReport | undefined,
): RunReport | null {
  if (id !== undefined) {
    const isMeant = (run: RunReport): boolean => run.id === id || run.windowIds.includes(id);
    return runs.find((run) => run.volumes.includes(volume) && isMeant(run));
  }
  const newest = runs.find(({ volumes }) => volumes.includes(volume));
  if (newest === null || last === undefined || newest.windowIds.includes(last.id)) return newest;
  return newest.startedAt > last.openedAt ? newest : null;
}

const windowOf = (run: RunReport, volume: string): string | undefined =>
  run.windowIds[run.volumes.indexOf(volume)];
