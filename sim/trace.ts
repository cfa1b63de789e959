/**
 * The fingerprint of a run: every operation of every drive, every answer to a host, every event of the volume goes in, in
 * order. Two runs of one seed at one commit have equal fingerprints, or something outside the simulator has crept in.
 * `keep` remembers the last lines too, for the story of a failure.
 */

export class Trace {
  #a = 0x811c9dc5;
  #b = 0x9e3779b9;
  readonly lines: string[] = [];
  keep = 0;

  number(value: number): void {
    this.#a = Math.imul(this.#a ^ (value | 0), 0x01000193);
    this.#b = Math.imul((this.#b << 5) | (this.#b >>> 27), 0x85ebca6b) ^ this.#a;
  }

  text(value: string): void {
    for (let i = 0; i < value.length; i++) this.number(value.charCodeAt(i));
  }

  line(value: string): void {
    this.text(value);
    if (this.keep === 0) return;
    this.lines.push(value);
    if (this.lines.length > this.keep) this.lines.splice(0, this.lines.length - this.keep);
  }

  digest(): string {
    const part = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return part(this.#a) + part(this.#b);
  }
}
