/** The bugs of other systems that map onto Locum, each with the test that holds it: the other half of docs/accidents.md. */

export interface Accident {
  readonly id: string;
  /** Where it was seen. */
  readonly anchor: string;
  readonly what: string;
  /** What the tests do, and where. */
  readonly test: string;
  readonly files: readonly string[];
}

export const accidents: readonly Accident[] = [
  {
    id: 'L1',
    anchor: 'md, linux-raid msg05742',
    what: 'events moved backwards on a degraded array; a removed drive came back without a resync',
    test: 'X out or away, a hundred stops, kills and power cuts, returned under every pattern; then X stands in for another',
    files: ['l01-stale-drive.test.ts'],
  },
  {
    id: 'L2',
    anchor: 'mdadm#22',
    what: 'all drives removed within 0.1 s; the oldest came back first and overwrote newer ones',
    test: 'all drives leave and come back in every order, with and without a window; a start is refused or complete',
    files: ['l02-all-removed.test.ts'],
  },
  {
    id: 'L3',
    anchor: 'OpenZFS 8166',
    what: 'a scrub during the absence cleared the map of what was missed',
    test: 'scrub, resync, rebuild of another, read repair while X is out; then another one fails',
    files: ['l03-stale-map.test.ts'],
  },
  {
    id: 'L4',
    anchor: 'md r5cache',
    what: 'the write-back journal in a degraded array was given up',
    test: 'a crash at every drive operation of a degraded life, three deaths, once and twice',
    files: ['l04-log-and-degraded.ts'],
  },
  {
    id: 'L5',
    anchor: 'md PPL',
    what: 'the chunk being written is not protected when its own drive is lost',
    test: 'a crash in every write of a stripe, each drive out or lost with it',
    files: ['l05-write-hole.ts'],
  },
  {
    id: 'L6',
    anchor: 'mdadm tests "sudden degraded", "fail-readd"',
    what: 'broken for years: nobody had a model',
    test: 'random commands on a model and a volume side by side, shrunk when they disagree',
    files: ['l06-model.ts', 'l06-machine.ts', 'l06-fail-readd.ts'],
  },
  {
    id: 'L7',
    anchor: 'RethinkDB, Kafka, LogCabin',
    what: 'a damaged record was taken for the end of the log',
    test: 'each record damaged in turn, header and payload, on one leg, on both, on the legs in turn',
    files: ['l07-damaged-record.ts'],
  },
  {
    id: 'L8',
    anchor: 'TigerBeetle, Jepsen',
    what: 'a superblock restored from a snapshot: a panic at each start',
    test: 'any label copy, any two, any whole drive rolled back, in four states',
    files: ['l08-rollback.ts'],
  },
  {
    id: 'L9',
    anchor: 'E-Series',
    what: 'a second drive failed during a firmware update',
    test: 'each drive fails in four ways at every drive operation of a window',
    files: ['l09-second-failure.ts'],
  },
  {
    id: 'L10',
    anchor: 'PostgreSQL fsyncgate',
    what: 'a flush failed once, the next one succeeded, and what the first had lost was believed',
    test: 'each flush of each member and leg fails once, and what it had is gone; then the power is cut',
    files: ['l10-flush-error.ts', 'l10-host-flush.test.ts'],
  },
];
