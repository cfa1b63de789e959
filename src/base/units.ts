/**
 * The address spaces of Locum, as branded numbers: adding a volume offset to a drive offset does not compile.
 *
 *   VolumeOffset   byte in the volume, as the host sees it        0 … volume size
 *   MemberOffset   byte in a member's data region                 0 … member data size   (all members alike)
 *   DriveOffset    byte on the drive or file, metadata included   = data offset + MemberOffset for data
 *   LegOffset      byte on a log leg
 *   Address        byte in the buffer pool (the WebAssembly.Memory); 0 is never a valid buffer
 *   Slot           position of a member in the volume, 0 … members−1
 *   StripeIndex    row of chunks across all members
 *
 * Sizes are plain numbers of bytes with the unit last in their name (`lengthBytes`). All are integers below 2^53.
 * A brand is given where a value enters its space (`as VolumeOffset`) and kept from there on.
 */

declare const space: unique symbol;
type Branded<Name extends string> = number & { readonly [space]: Name };

export type VolumeOffset = Branded<'volume'>;
export type MemberOffset = Branded<'member'>;
export type DriveOffset = Branded<'drive'>;
export type LegOffset = Branded<'leg'>;
export type Address = Branded<'pool'>;
export type Slot = Branded<'slot'>;
export type StripeIndex = Branded<'stripe'>;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** The unit in which a drive is addressed by its formats and in which the overlay is exact. */
export const SECTOR_BYTES = 512;
/** The unit of metadata writes: one block is written and flushed as a whole. */
export const BLOCK_BYTES = 4096;

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
export const roundDown = (value: number, unit: number): number => Math.floor(value / unit) * unit;
export const isPowerOfTwo = (value: number): boolean => value > 0 && Math.log2(value) % 1 === 0;
