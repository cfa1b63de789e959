/** What a run does by itself, in sentences: for the status of its volumes, and for whoever calls it off. */

import type { RunRecord } from './run-record.ts';

/** Otherwise the volume would advise to close the window by hand, which is refused. */
export function goesOn(volume: string, record: RunRecord): string {
  const { purpose, step } = record.report;
  const what = record.request.rehearsal ? `rehearsal of ${purpose}` : purpose;
  return `Its run (${what}, ${step}) ${whatItDoes(record)}; \`locum window show ${volume}\` tells how far it is.`;
}

/** In this phase, to whoever has asked for the drive: what is done about it, or why nothing is. */
export function saidOfCallOff(record: RunRecord): string {
  const { phase, report } = record;
  const { path } = report.drive;
  switch (phase) {
    case 'opening':
    case 'frozen':
    case 'exchanging':
      return `Called off: nothing is done to ${path}, and it is taken back.${putBack(record)}`;
    case 'working':
    case 'recalled': {
      const end = report.purpose === 'diagnostics' ? 'stopped' : 'let finish';
      return `Called off: the tool at work on ${path} (${report.step}) is ${end}, what has not begun is left out, and then the drive is taken back.`;
    }
    case 'returning':
      if (!report.begun) return `Called off: ${path} is being taken back.${putBack(record)}`;
      return nothingLeft(record);
    case 'identifying':
    case 'replaying':
    case 'late':
    case 'ended':
      return nothingLeft(record);
  }
}

const nothingLeft = (record: RunRecord): string =>
  `There is nothing left to call off: the tool has ended, and the run ${whatItDoes(record)}.`;

const putBack = ({ report }: RunRecord): string =>
  report.purpose === 'replacement' ? ' Put it back in if it was taken out.' : '';

/** By itself, in this phase and after it. */
function whatItDoes({ phase, request }: RunRecord): string {
  const { rehearsal, task } = request;
  switch (phase) {
    case 'opening':
      return 'takes the drive out, and brings it back by itself';
    case 'frozen':
    case 'exchanging':
    case 'working':
    case 'recalled':
      if (rehearsal) return 'leaves the drive as it is, and brings it back by itself';
      if (task.purpose === 'replacement') return 'takes in the new drive by itself';
      return 'brings the drive back by itself, as soon as its tool has ended';
    case 'identifying':
      return 'brings the drive back by itself, as soon as that has said who it is';
    case 'returning':
      return 'brings the drive back by itself';
    case 'replaying':
      return 'has brought the drive back, and ends by itself when that has caught up';
    case 'late':
      return 'offers the drive to the volume, which went on without it, by itself';
    case 'ended':
      return 'has ended';
  }
}
