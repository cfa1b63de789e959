/**
 * What a part of the torture run is asked for and what it hands back: the one contract between the parts and the runner
 * (main.ts), which divides the hours, adds the figures up and writes RELIABILITY.md.
 *
 * A part may be run again and again with other seeds; its figures are added. A part that cannot run on this machine says
 * why in `notCovered` and counts nothing.
 */

export interface PartOptions {
  /** The part ends by itself soon after this long; never in the middle of something that would then go unchecked. */
  readonly seconds: number;
  /** Everything random comes from here. */
  readonly seed: number;
  /** Scratch space of this part alone; emptied by the runner. */
  readonly directory: string;
  /** One line of progress for a person. */
  readonly say: (line: string) => void;
}

/** Hits by fault class ("F-1 EIO on write, once") and state of the volume ("frozen"). */
export type Coverage = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface PartResult {
  readonly part: string;
  /** Name → how many. Names are shown to people: "kill cycles", "power-cut prefixes", "host operations". */
  readonly counts: Readonly<Record<string, number>>;
  readonly coverage: Coverage;
  /** Each with what reproduces it: a seed, a plan file, a command. Empty: passed. */
  readonly failures: readonly string[];
  /** What this part could not reach here, as a sentence. */
  readonly notCovered: readonly string[];
  /** Mutants that were tried, and the test that noticed each; `killer` is null for one that none noticed. */
  readonly mutants?: readonly MutantVerdict[];
}

export interface MutantVerdict {
  readonly name: string;
  /** What it gets wrong, in a few words. */
  readonly change: string;
  readonly killer: string | null;
}

export interface Part {
  readonly name: string;
  /** Share of the hours, relative to the other parts. */
  readonly weight: number;
  /** A slice shorter than this is not worth beginning. */
  readonly leastSeconds?: number;
  readonly run: (options: PartOptions) => Promise<PartResult>;
}
