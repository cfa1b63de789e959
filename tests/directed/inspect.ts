/** What lies on the media, decoded from their bytes: nobody of the engine is asked. */

import assert from 'node:assert/strict';
import { BLOCK_BYTES } from '../../src/base/units.ts';
import type { Label } from '../../src/core/format/label.ts';
import { decodeLabel, newestLabel } from '../../src/core/format/label-codec.ts';
import { decodeLegHeader } from '../../src/core/format/leg-header.ts';
import { HEADER_COPIES } from '../../src/core/format/leg-header-layout.ts';
import { likelyLabelOffsets } from '../../src/core/format/member-layout.ts';
import { decodeSegment, type Segment } from '../../src/core/format/segment.ts';
import {
  decodeSuperblock,
  SUPERBLOCK_OFFSET_BYTES,
  type Superblock,
} from '../../src/core/format/superblock.ts';
import { recordsArea } from '../../src/engine/log/log-areas.ts';
import type { MediumSnapshot } from '../../src/io/memory-drive.ts';
import type { World } from '../unit/engine/world.ts';

const block = (world: World, path: string, offset: number): Uint8Array =>
  world.at(path).bytes.slice(offset, offset + BLOCK_BYTES);

export const labelOffsetsOn = (world: World, path: string): readonly [number, number] =>
  likelyLabelOffsets(world.at(path).sizeBytes);

export function labelOn(world: World, path: string): Label {
  const [a, b] = labelOffsetsOn(world, path).map((at) => decodeLabel(block(world, path, at)));
  assert.ok(a && b);
  const label = newestLabel(a, b);
  assert.equal(label.kind, 'label', `${path} has no label`);
  return label.kind === 'label' ? label.value : assert.fail();
}

export function superblockOn(world: World, path: string): Superblock {
  const found = decodeSuperblock(block(world, path, SUPERBLOCK_OFFSET_BYTES));
  return found.kind === 'superblock' ? found.value : assert.fail(`${path} has no superblock`);
}

export interface LoggedSegment extends Segment {
  /** Where it lies on the leg. */
  readonly offset: number;
}

/** The segments of the current epoch on this leg, in order, up to the first that is not valid. */
export function segmentsOn(world: World, path: string): LoggedSegment[] {
  const { bytes } = world.at(path);
  let header: ReturnType<typeof decodeLegHeader> = null;
  for (let copy = 0; copy < HEADER_COPIES; copy++) {
    const one = decodeLegHeader(block(world, path, copy * BLOCK_BYTES));
    if (one && (header === null || one.sequence > header.sequence)) header = one;
  }
  assert.ok(header, `${path} is no leg`);
  const area = recordsArea(header);
  const segments: LoggedSegment[] = [];
  for (let position = 0; position < area.blocks; ) {
    const offset = area.offset + position * BLOCK_BYTES;
    const segment = decodeSegment(bytes, offset, area.identity, position, area.blocks);
    if (segment === null) break;
    segments.push({ ...segment, offset });
    position += segment.totalBlocks;
  }
  return segments;
}

export type Images = ReadonlyMap<string, MediumSnapshot>;

/** Every medium as it is now. */
export const imagesOf = (world: World): Images =>
  new Map([...world.media].map(([path, medium]) => [path, medium.snapshot()]));

export function putBack(world: World, images: Images): void {
  for (const [path, image] of images) world.at(path).restore(image);
}

export const flip = (world: World, path: string, offset: number): void =>
  world.at(path).overwrite(offset, Uint8Array.of((world.at(path).bytes[offset] as number) ^ 0x41));
