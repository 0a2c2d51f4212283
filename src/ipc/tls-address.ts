import { CommanderError } from '../kernel/errors.ts'

export const tlsScheme = 'tls://'

/** `tls://host:port`, or `tls://name@host:port` where the peer's certificate is to be that of `name`. */
export interface TlsAddress {
  readonly host: string
  readonly port: number
  /** null: the certificate is to be that of the host. */
  readonly name: string | null
}

export const isTlsAddress = (address: string): boolean => address.startsWith(tlsScheme)

/** @throws CommanderError invalid_config */
export function parseTlsAddress(address: string): TlsAddress {
  const match = /^tls:\/\/(?:([^@/]+)@)?(\[[0-9A-Fa-f:.]+\]|[^:@/[\]]+):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535)
    throw new CommanderError(
      'invalid_config',
      `${address} is no address: it must be ${tlsScheme}host:port or ${tlsScheme}name@host:port, with a port from 1 to 65535`,
    )
  const host = (match[2] ?? '').replace(/^\[(.*)\]$/, '$1')
  return { host, port, name: match[1] === undefined ? null : decoded(match[1]) }
}

export const tlsAddressOf = (name: string, address: string): string =>
  address.replace(tlsScheme, `${tlsScheme}${encodeURIComponent(name)}@`)

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch (cause) {
    throw badName(name, cause)
  }
}

const badName = (name: string, cause: unknown): CommanderError =>
  new CommanderError('invalid_config', `${name} is no name: percent signs must be encoded`, { cause })
