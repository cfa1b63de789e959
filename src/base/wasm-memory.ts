/**
 * What Locum uses of WebAssembly, as types: the library of the compiler (es2023, no DOM) does not
 * describe it. The memory's buffer is never shared and, with `initial` equal to `maximum`, never
 * detached: its address is fixed.
 */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WasmGlobal {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => WasmInstance;
}

export const WASM_PAGE_BYTES = 65_536;

export const webAssembly = (globalThis as unknown as { WebAssembly: WasmGlobal }).WebAssembly;
