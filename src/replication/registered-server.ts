import { CommanderError, messageOf } from '../kernel/errors.ts'
import type { Member } from './messages.ts'

/** A journal server as the cluster knows it. */
export interface RegisteredServer extends Member {
  /** Servers with the same host and device are lost together. */
  readonly host: string
  readonly device: string
  readonly state: 'active' | 'leaving'
}

const format = 1
const names = ['id', 'identity', 'address', 'host', 'device', 'state'] as const

export function encodeServer(server: RegisteredServer): string {
  const { id, identity, address, host, device, state } = server
  return JSON.stringify({ format, id, identity, address, host, device, state })
}

/** @throws CommanderError `protocol_violation` for anything that `encodeServer` does not write; `unsupported_version` */
export function decodeServer(text: string): RegisteredServer {
  const record = parsed(text)
  if (typeof record['format'] === 'number' && record['format'] > format) {
    const message = `the record of a journal server has format ${record['format']}, this program knows ${format}: upgrade CommanderDB`
    throw new CommanderError('unsupported_version', message)
  }
  const isWhole = record['format'] === format && names.every((name) => typeof record[name] === 'string')
  const { state } = record
  if (!isWhole || (state !== 'active' && state !== 'leaving')) throw wrong(text)
  return Object.fromEntries(names.map((name) => [name, record[name]])) as unknown as RegisteredServer
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw wrong(`${text} (${messageOf(error)})`)
  }
}

const wrong = (text: string): CommanderError =>
  new CommanderError('protocol_violation', `this is no record of a journal server: ${text.slice(0, 300)}`)
