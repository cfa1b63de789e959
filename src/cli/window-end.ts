/** Waiting for the end of a window: replay on a progress line, then the report that the server keeps of it. */

import type { VolumeStatus, WindowReport } from '../core/status.ts';
import { follow } from './follow.ts';
import type { Session } from './session.ts';

/** A window that is closed and still in the status is one whose volume is not direct yet. */
const over = ({ window }: VolumeStatus, id: string): boolean => window?.id !== id;

export async function awaitEndOfWindow(
  session: Session,
  volume: string,
  window: WindowReport,
  timeoutMs: number | null,
): Promise<WindowReport> {
  await follow(session, {
    volume,
    what: 'the replay',
    kinds: ['replay'],
    timeoutMs,
    finished: (status) => over(status, window.id),
  });
  const { windows } = await session.client.call('windowHistory', { query: { volume } });
  return windows.findLast((each) => each.id === window.id) ?? window;
}
