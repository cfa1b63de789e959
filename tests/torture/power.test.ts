/**
 * The everyday share of power cuts: four recorded lives of the real server, fifteen cuts of each. The seed is printed;
 * LOCUM_SEED repeats the lives and the choices, not the instants: a failure keeps its images.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Stream } from '../../sim/streams.ts';
import { noFuseBecause } from '../../torture/drives-mount.ts';
import { runPower } from '../../torture/power.ts';
import { Expectation } from '../../torture/power-expect.ts';
import { fillSector, type HostRequest, sectorBytes } from '../../torture/power-host.ts';
import { type Entry, Recording } from '../../torture/power-record.ts';
import { cutsOf, Replay } from '../../torture/power-replay.ts';

test('sixty power cuts of a recorded server: what was durable is there', async (t) => {
  const reason = noFuseBecause();
  if (reason !== null) return t.skip(reason);
  const seed = Number(process.env['LOCUM_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`LOCUM_SEED=${seed}`);
  const say = (line: string): void => t.diagnostic(line);
  const options = { seed, seconds: 900, directory: '', say };
  const result = await runPower(options, { livesMax: 4, cutsOfLife: 15 });
  for (const [name, count] of Object.entries(result.counts)) t.diagnostic(`${name}: ${count}`);
  assert.deepEqual(result.failures, []);
  assert.ok((result.counts['power-cut prefixes'] ?? 0) >= 40, 'cuts were made');
});

const sizeBytes = 4 * sectorBytes;

/** The volume with each sector written by the request of that number; 0 is zeroes. */
function holding(...hosts: readonly number[]): Buffer {
  const words = new Uint32Array(sizeBytes / 4);
  for (const [sector, host] of hosts.entries()) {
    if (host > 0) fillSector(words, (sector * sectorBytes) / 4, sector, host);
  }
  return Buffer.from(words.buffer);
}

test('the judge of power cuts: what a flush or FUA made durable must be there, the rest may', () => {
  const whole = { firstSector: 0, sectors: 4, isFua: false } as const;
  const requests: HostRequest[] = [
    { kind: 'zero', firstSector: 0, sectors: 0, isFua: false },
    { kind: 'write', ...whole },
    { kind: 'flush', firstSector: 0, sectors: 0, isFua: false },
    { kind: 'write', firstSector: 1, sectors: 2, isFua: false },
    { kind: 'zero', firstSector: 3, sectors: 1, isFua: true },
  ];
  const entries: Entry[] = [1, 2, 3, 4].flatMap((host) => [
    { kind: 'asked', host },
    { kind: 'answered', host },
  ]);
  const judge = new Expectation(requests, entries, sizeBytes);
  const wrong = (bytes: Buffer, place: number, loss: 'kill' | 'power'): number =>
    judge.wrongIn(bytes, place, loss).length;
  assert.equal(wrong(holding(0, 0, 0, 0), 2, 'power'), 0, 'not flushed, may be lost');
  assert.equal(wrong(holding(1, 0, 1, 0), 2, 'power'), 0, 'or be there by sectors');
  assert.equal(wrong(holding(0, 0, 0, 0), 2, 'kill'), 4, 'a kill loses nothing answered');
  assert.equal(wrong(holding(1, 0, 1, 1), 4, 'power'), 1, 'flushed');
  assert.equal(wrong(holding(1, 3, 1, 1), 6, 'power'), 0, 'a later one, not flushed');
  assert.equal(wrong(holding(1, 3, 1, 1), 4, 'power'), 1, 'not asked for yet');
  assert.equal(wrong(holding(3, 1, 1, 1), 6, 'power'), 1, 'not where it was written');
  assert.equal(wrong(holding(1, 3, 3, 1), 8, 'power'), 1, 'FUA');
  assert.equal(wrong(holding(1, 3, 3, 0), 8, 'kill'), 0);
  const mixed = holding(1, 3, 3, 0);
  mixed.writeUInt8(mixed.readUInt8(600) ^ 1, 600);
  assert.equal(wrong(mixed, 8, 'power'), 1, 'one bit');
});

test('a recording played back: what was flushed stays, what was not is chosen', () => {
  const recording = new Recording();
  const drive = recording.addDrive(4096);
  recording.start();
  const bytes = (value: number): Buffer => Buffer.alloc(512, value);
  drive.write(0, bytes(1));
  drive.flush();
  drive.write(0, bytes(2));
  drive.write(512, bytes(3));
  assert.deepEqual(cutsOf(recording.entries), [0, 1, 2, 3, 4]);
  const replay = new Replay(recording);
  const random = new Stream(1, 'test');
  const firstBytes = (choice: Parameters<Replay['images']>[0]): number[] => {
    const [image] = replay.images(choice, random);
    return [image?.[0] ?? -1, image?.[512] ?? -1];
  };
  replay.advance(1);
  assert.deepEqual(firstBytes('none'), [0, 0], 'nothing flushed yet');
  assert.deepEqual(firstBytes('all'), [1, 0]);
  replay.advance(4);
  assert.equal(replay.unflushed, 2);
  assert.deepEqual(firstBytes('none'), [1, 0]);
  assert.deepEqual(firstBytes('all'), [2, 3]);
  const one = firstBytes('only one');
  assert.ok([`2,0`, `1,3`].includes(String(one)), `only one: ${one}`);
});
