/** Answers of drives for tests, made after the standards. */

const put = (bytes: Buffer, at: number, width: number, text: string): void => {
  bytes.write(text.padEnd(width, ' '), at, width, 'latin1');
};

/** Identify controller: takes firmware, tests itself, activates without a reset. */
export function controllerBytes(change: {
  firmware?: string;
  adminCommands?: number;
  slots?: number;
}): Buffer {
  const bytes = Buffer.alloc(4096);
  put(bytes, 4, 20, 'NVS1');
  put(bytes, 24, 40, 'ACME NVMe 1T');
  put(bytes, 64, 8, change.firmware ?? '1.0');
  bytes.writeUInt16LE(change.adminCommands ?? 0x14, 256);
  bytes[260] = change.slots ?? 0x17;
  return bytes;
}

export function namespaceBytes(blocks: number, shift: number): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeBigUInt64LE(BigInt(blocks), 0);
  bytes[130] = shift;
  return bytes;
}

export function inquiryBytes(revision: string): Buffer {
  const bytes = Buffer.alloc(96);
  bytes[4] = 91;
  put(bytes, 8, 8, 'ACME');
  put(bytes, 16, 16, 'SAS 9000');
  put(bytes, 32, 4, revision);
  return bytes;
}

/** `hdparm --Istdout`: 4 TB, 512-byte blocks in physical ones of 4 KiB, with a checksum. */
export function identifyText({ firmware }: { firmware: string }): string {
  const words = Array.from({ length: 256 }, () => 0);
  const text = (from: number, count: number, value: string): void => {
    for (let i = 0; i < count; i += 1) {
      const pair = value.padEnd(count * 2, ' ').slice(i * 2, i * 2 + 2);
      words[from + i] = (pair.charCodeAt(0) << 8) | pair.charCodeAt(1);
    }
  };
  text(10, 10, 'WD-1234'.padStart(20));
  text(23, 4, firmware);
  text(27, 20, 'ACME Disk 4T');
  words[83] = 0x0400;
  [0xbeb0, 0xd1c0, 0x0001, 0].forEach((word, i) => (words[100 + i] = word));
  words[106] = 0x6003;
  words[255] = 0xa5;
  const sum = words.reduce((total, word) => total + (word >> 8) + (word & 0xff), 0);
  words[255] |= ((256 - (sum % 256)) % 256) << 8;
  const lines = Array.from({ length: 32 }, (_, line) =>
    words
      .slice(line * 8, line * 8 + 8)
      .map((word) => word.toString(16).padStart(4, '0'))
      .join(' '),
  );
  return `\n/dev/sdx:\n${lines.join('\n')}\n`;
}
