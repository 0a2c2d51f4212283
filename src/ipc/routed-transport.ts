import type { Transport } from './channel.ts'
import { isTlsAddress } from './tls-address.ts'

/** One transport for both kinds of addresses: `tls://host:port`, and paths of sockets. */
export function createRoutedTransport(sockets: Transport, tls: Transport): Transport {
  const transportOf = (address: string): Transport => (isTlsAddress(address) ? tls : sockets)
  return {
    listen: (address, accept) => transportOf(address).listen(address, accept),
    connect: (address, open) => transportOf(address).connect(address, open),
  }
}
