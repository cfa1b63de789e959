/** Time as the shell sees it; the simulator has its own. */
export interface Clock {
  /** Monotonic milliseconds: the only time that decides anything. */
  nowMs(): number;
  /** Wall clock in milliseconds since 1970: for labels and people only. */
  wallMs(): number;
  /** Calls `run` once after `delayMs`. The returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}
