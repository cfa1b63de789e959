/** What one look at a self-test of a drive finds. */

export type Look =
  /** A share of null: the drive does not say. */
  | { readonly state: 'running'; readonly share: number | null }
  | { readonly state: 'passed' }
  | { readonly state: 'failed'; readonly note: string }
  | { readonly state: 'unknown'; readonly note: string };
