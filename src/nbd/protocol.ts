/**
 * The numbers of the NBD protocol, and nothing else. Everything on the wire is big-endian.
 * docs/protocol/nbd.md says what this server makes of them and which choices it takes where the
 * protocol leaves one.
 *
 * A 64-bit magic is written as two 32-bit halves, because bigint has no place on a path that every
 * request takes.
 */

/** "NBDMAGIC" and "IHAVEOPT". */
export const NBD_MAGIC = [0x4e42444d, 0x41474943] as const;
export const OPTION_MAGIC = [0x49484156, 0x454f5054] as const;
export const OPTION_REPLY_MAGIC = [0x0003e889, 0x045565a9] as const;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

export const GREETING_BYTES = 18;
export const CLIENT_FLAGS_BYTES = 4;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;

export const HANDSHAKE_FIXED_NEWSTYLE = 1;
export const HANDSHAKE_NO_ZEROES = 2;

export const OPTION_EXPORT_NAME = 1;
export const OPTION_ABORT = 2;
export const OPTION_LIST = 3;
export const OPTION_STARTTLS = 5;
export const OPTION_INFO = 6;
export const OPTION_GO = 7;
export const OPTION_STRUCTURED_REPLY = 8;
export const OPTION_LIST_META_CONTEXT = 9;
export const OPTION_SET_META_CONTEXT = 10;
export const OPTION_EXTENDED_HEADERS = 11;

export const REPLY_ACK = 1;
export const REPLY_SERVER = 2;
export const REPLY_INFO = 3;
export const REPLY_META_CONTEXT = 4;
export const REPLY_ERR_UNSUPPORTED = 0x80000001;
export const REPLY_ERR_INVALID = 0x80000003;
export const REPLY_ERR_UNKNOWN = 0x80000006;
export const REPLY_ERR_SHUTDOWN = 0x80000007;
export const REPLY_ERR_TOO_BIG = 0x80000009;

export const INFO_EXPORT = 0;
export const INFO_NAME = 1;
export const INFO_DESCRIPTION = 2;
export const INFO_BLOCK_SIZE = 3;

export const FLAG_HAS_FLAGS = 1 << 0;
export const FLAG_READ_ONLY = 1 << 1;
export const FLAG_SEND_FLUSH = 1 << 2;
export const FLAG_SEND_FUA = 1 << 3;
export const FLAG_SEND_TRIM = 1 << 5;
export const FLAG_SEND_WRITE_ZEROES = 1 << 6;
export const FLAG_SEND_DF = 1 << 7;
export const FLAG_CAN_MULTI_CONN = 1 << 8;
export const FLAG_SEND_CACHE = 1 << 10;
export const FLAG_SEND_FAST_ZERO = 1 << 11;

export const COMMAND_READ = 0;
export const COMMAND_WRITE = 1;
export const COMMAND_DISCONNECT = 2;
export const COMMAND_FLUSH = 3;
export const COMMAND_TRIM = 4;
export const COMMAND_CACHE = 5;
export const COMMAND_WRITE_ZEROES = 6;
export const COMMAND_BLOCK_STATUS = 7;

export const COMMAND_FLAG_FUA = 1 << 0;
export const COMMAND_FLAG_NO_HOLE = 1 << 1;
export const COMMAND_FLAG_DF = 1 << 2;
export const COMMAND_FLAG_REQ_ONE = 1 << 3;
export const COMMAND_FLAG_FAST_ZERO = 1 << 4;

export const CHUNK_FLAG_DONE = 1;
export const CHUNK_OFFSET_DATA = 1;
export const CHUNK_BLOCK_STATUS = 5;
export const CHUNK_ERROR = 0x8001;
export const CHUNK_ERROR_OFFSET = 0x8002;

/** The only context this server knows, and the id it always gives it. */
export const META_CONTEXT_ALLOCATION = 'base:allocation';
export const META_CONTEXT_ALLOCATION_ID = 1;
export const ALLOCATION_HOLE = 1;
export const ALLOCATION_ZERO = 2;
