/** The operations on windows. What they answer goes into the history too. */

import type { Handlers } from '../../api/operations.ts';
import type { WindowBody } from '../../api/schema.ts';
import { DOUBLE_ABSENCE_WAIT_MS } from '../../api/units.ts';
import { refuse } from '../../core/problems.ts';
import type { WindowRequest } from '../../engine/contract.ts';
import { type Asking, QUICK_MS } from '../asking.ts';
import { reply } from '../replies.ts';
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

const WINDOW_MAX_MS = 30 * 60_000;

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
): Pick<Handlers, WindowOperation> {
  return {
    windowPlan: (input) =>
      asking.ask(input.params.volume, 'planWindow', [windowRequest(input.body)], (plan) =>
        reply({ plan }),
      ),
    windowOpen: (input) =>
      asking.ask(input.params.volume, 'openWindow', [windowRequest(input.body)], (report) =>
        asking.report(input.params.volume, report),
      ),
    windowShow: ({ params: { volume } }) =>
      asking.ask(
        volume,
        'windowReport',
        [],
        (report) =>
          report.closedAt === null ? reply({ window: report }) : refuse('window-none', { volume }),
        QUICK_MS,
      ),
    windowClose: async ({ params: { volume }, body }) => {
      const { drivePath } = body;
      const drives = drivePath === undefined ? [] : [drivePath];
      const free = await table.claims.check(volume, drives);
      if (!free.ok) return free;
      const request = {
        drivePath: drivePath ?? null,
        verify: body.verify ?? 'recent',
        rebuild: body.rebuild === true,
      } as const;
      return table.expecting(volume, { drives, logs: [] }, () =>
        asking.ask(volume, 'closeWindow', [request], (report) => asking.report(volume, report)),
      );
    },
    windowAbort: ({ params: { volume } }) =>
      asking.ask(volume, 'abortWindow', [], (report) => asking.report(volume, report)),
    windowExtend: ({ params: { volume }, body }) =>
      asking.ask(volume, 'extendWindow', [body.byMs], (report) => asking.report(volume, report)),
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
