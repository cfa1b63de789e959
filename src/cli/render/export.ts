/**
 * How to attach a volume, ready to paste. QEMU gets a reconnect delay: without one it fails requests at once when the
 * server restarts, with it they wait and are sent again (its default is 0).
 */

import type { ExportReply } from '../../api/schema.ts';

export const consumers = ['qemu', 'nbd-client', 'nbdcopy'] as const;
export type Consumer = (typeof consumers)[number];

const QEMU_RECONNECT_SECONDS = 60;
const CONNECTIONS = 4;

type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: string };

export function parseListen(text: string): Address | null {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const match = /^tcp:(.+):(\d+)$/.exec(text);
  return match ? { kind: 'tcp', host: match[1]!, port: match[2]! } : null;
}

export function uri(name: string, address: Address): string {
  return address.kind === 'unix'
    ? `nbd+unix:///${name}?socket=${encodeURI(address.path).replaceAll('&', '%26')}`
    : `nbd://${address.host}:${address.port}/${name}`;
}

export function renderExport(reply: ExportReply, consumer: Consumer | null): string {
  const addresses = reply.listen.map(parseListen).filter((address) => address !== null);
  return addresses.map((address) => `${attach(reply.name, address, consumer)}\n`).join('');
}

function attach(name: string, address: Address, consumer: Consumer | null): string {
  switch (consumer) {
    case null:
      return uri(name, address);
    case 'qemu': {
      const server =
        address.kind === 'unix'
          ? `server.type=unix,server.path=${address.path.replaceAll(',', ',,')}`
          : `server.type=inet,server.host=${bare(address.host)},server.port=${address.port}`;
      return [
        `-blockdev driver=nbd,node-name=${name},${server},export=${name},reconnect-delay=${QEMU_RECONNECT_SECONDS} \\`,
        `-device virtio-blk-pci,drive=${name}`,
      ].join('\n');
    }
    case 'nbd-client': {
      const where =
        address.kind === 'unix'
          ? `-unix ${quote(address.path)}`
          : `${bare(address.host)} ${address.port}`;
      return `nbd-client ${where} /dev/nbd0 -name ${name} -connections ${CONNECTIONS} -persist`;
    }
    case 'nbdcopy':
      return `nbdcopy --connections=${CONNECTIONS} ${quote(uri(name, address))} copy-of-${name}.img`;
  }
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');
const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
