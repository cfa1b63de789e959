/**
 * What handshake and transmission agree on: everything the session must know about its connection.
 * Plain data, so that it can be posted to the worker thread that serves the volume.
 */

export interface Negotiated {
  /** The export's own name, also when the client asked for the default export. */
  readonly exportName: string;
  /** READ is answered in chunks, and errors carry text. */
  readonly structured: boolean;
  /** Id of base:allocation when it was selected for this export, else 0. */
  readonly allocationContextId: number;
  /** The client asked for the block sizes and so must keep to them. */
  readonly aligned: boolean;
}
