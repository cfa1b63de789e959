/**
 * The one place where Locum leaves JavaScript: the C library's system calls, through koffi.
 *
 * koffi is loaded when first asked for and may be missing (an unknown processor, a stripped
 * installation): then `native()` is null with the reason in `nativeReason()`, and everything runs
 * on node:fs and node:net instead. Calls return what the kernel does: a value from 0 up, or a
 * negative errno. None of them throws, none of them blocks for longer than a system call on local
 * state takes; I/O goes through the ring, never through here.
 */

import { createRequire } from 'node:module';
import type { Errno } from '../base/errno.ts';

type Koffi = typeof import('koffi');
type KoffiFunction = ReturnType<ReturnType<Koffi['load']>['func']>;

/**
 * Keep a reference for as long as it is wanted: an unreferenced handle is collected and the wake-
 * ups stop.
 */
export interface PollHandle {
  stop(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

export interface Mapping {
  readonly buffer: ArrayBuffer;
  /** The bytes must not be touched afterwards, not even read. */
  unmap(): void;
}

const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_IO_URING_REGISTER = 427;
const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;

export class Native {
  readonly #koffi: Koffi;
  readonly #library: ReturnType<Koffi['load']>;
  readonly #setup: KoffiFunction;
  readonly #enter: KoffiFunction;
  readonly #register: KoffiFunction;
  readonly #mmap: KoffiFunction;
  readonly #munmap: KoffiFunction;
  readonly #close: KoffiFunction;
  readonly #flock: KoffiFunction;
  readonly #ioctl: KoffiFunction;
  readonly #fallocate: KoffiFunction;
  readonly #exit: KoffiFunction;

  constructor(koffi: Koffi) {
    this.#koffi = koffi;
    // The process itself: its C library is loaded already, whatever the file is called (glibc,
    // musl).
    const library = koffi.load(null);
    this.#library = library;
    this.#setup = library.func('int syscall(long number, uint32_t entries, void *parameters)');
    this.#enter = library.func(
      'int syscall(long number, int fd, uint32_t submit, uint32_t wait, uint32_t flags, ' +
        'void *sigset, size_t size)',
    );
    this.#register = library.func(
      'int syscall(long number, int fd, uint32_t operation, void *argument, uint32_t count)',
    );
    this.#mmap = library.func(
      'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
    );
    this.#munmap = library.func('int munmap(void *address, size_t length)');
    this.#close = library.func('int close(int fd)');
    this.#flock = library.func('int flock(int fd, int operation)');
    this.#ioctl = library.func('int ioctl(int fd, unsigned long request, void *argument)');
    this.#fallocate = library.func(
      'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
    );
    this.#exit = library.func('void _exit(int status)');
  }

  /**
   * Any other function of the C library, by its C prototype. The caller asks `errno()` when it
   * returned -1.
   */
  function(prototype: string): (...args: unknown[]) => unknown {
    return this.#library.func(prototype);
  }

  /**
   * Ends the process at once, as it stands. `process.exit` ends the worker threads first, and one that is just being called
   * back by its ring then takes the process down with an abort.
   */
  exit(status: number): never {
    this.#exit(status);
    throw new Error('_exit does not return');
  }

  errno(): Errno {
    return this.#koffi.errno();
  }

  ringSetup(entries: number, parameters: Uint8Array): number {
    return this.#result(this.#setup(SYS_IO_URING_SETUP, entries, parameters));
  }

  ringEnter(fd: number, submit: number, wait: number, flags: number): number {
    const result: number = this.#enter(SYS_IO_URING_ENTER, fd, submit, wait, flags, null, 0);
    return result < 0 ? -this.#koffi.errno() : result;
  }

  ringRegister(fd: number, operation: number, argument: Uint32Array, count: number): number {
    return this.#result(this.#register(SYS_IO_URING_REGISTER, fd, operation, argument, count));
  }

  /** Shared, populated, read-write; null when the kernel refuses. */
  map(fd: number, offset: number, lengthBytes: number): Mapping | null {
    const pointer = this.#mmap(null, lengthBytes, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset);
    if (BigInt.asUintN(64, this.#koffi.address(pointer)) === 0xffff_ffff_ffff_ffffn) return null;
    const buffer = this.#koffi.view(pointer, lengthBytes);
    return { buffer, unmap: () => void this.#munmap(pointer, lengthBytes) };
  }

  /**
   * Where the bytes lie. Only for memory that V8 does not move: a WebAssembly.Memory, a mapping.
   */
  addressOf(bytes: Uint8Array): number {
    return Number(this.#koffi.address(bytes));
  }

  /**
   * Calls `ready` from the event loop while `fd` is readable (level triggered). koffi drops what
   * `ready` throws, so it only takes a note and leaves the work to a callback of node's own.
   */
  pollReadable(fd: number, ready: () => void): PollHandle {
    return this.#koffi.node.poll(fd, { readable: true }, ready);
  }

  /**
   * For descriptors that node:fs did not open; node warns when it closes one that it does not know.
   */
  close(fd: number): number {
    return this.#result(this.#close(fd));
  }

  flock(fd: number, operation: number): number {
    return this.#result(this.#flock(fd, operation));
  }

  ioctl(fd: number, request: number, argument: Uint8Array): number {
    return this.#result(this.#ioctl(fd, request, argument));
  }

  fallocate(fd: number, mode: number, offset: number, lengthBytes: number): number {
    return this.#result(this.#fallocate(fd, mode, offset, lengthBytes));
  }

  #result(value: number): number {
    return value < 0 ? -this.#koffi.errno() : value;
  }
}

let loaded: Native | null = null;
let reason: string | null = null;

/** Null when koffi cannot be loaded here; `nativeReason` says why. */
export function native(): Native | null {
  if (loaded || reason !== null) return loaded;
  if (process.platform !== 'linux') {
    reason = `io_uring is a Linux interface, this is ${process.platform}`;
    return null;
  }
  try {
    loaded = new Native(createRequire(import.meta.url)('koffi') as Koffi);
  } catch (error) {
    reason = `koffi cannot be loaded (${error instanceof Error ? error.message : String(error)})`;
  }
  return loaded;
}

export const nativeReason = (): string => reason ?? '';
