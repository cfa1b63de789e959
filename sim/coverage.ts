/** What a run has seen: fault classes by the state they struck in, and how often anything else worth counting happened. */

export class Coverage {
  readonly hits = new Map<string, Map<string, number>>();
  readonly counts = new Map<string, number>();

  hit(title: string, state: string): void {
    const row = this.hits.get(title) ?? new Map<string, number>();
    row.set(state, (row.get(state) ?? 0) + 1);
    this.hits.set(title, row);
  }

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  get(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  add(other: Coverage): void {
    for (const [name, by] of other.counts) this.count(name, by);
    for (const [title, row] of other.hits) {
      const mine = this.hits.get(title) ?? new Map<string, number>();
      for (const [state, by] of row) mine.set(state, (mine.get(state) ?? 0) + by);
      this.hits.set(title, mine);
    }
  }

  asJson(): { hits: Record<string, Record<string, number>>; counts: Record<string, number> } {
    const byTitle = [...this.hits].sort(([a], [b]) => (a < b ? -1 : 1));
    const hits = byTitle.map(([title, row]) => [title, Object.fromEntries(row)]);
    return { hits: Object.fromEntries(hits), counts: Object.fromEntries(this.counts) };
  }
}
