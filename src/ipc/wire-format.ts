import { CommanderError, errorCodes, fromWireError, toWireError, type WireError } from '../kernel/errors.ts'

/**
 * A frame, little-endian: u32 length of what follows | u16 kind | u16 flags (0) | body.
 * Kinds 1 to 65279 belong to the roles, 0 and those from 65280 on to the channel itself:
 *
 * | kind          | body                                                 | when                                     |
 * |---------------|------------------------------------------------------|------------------------------------------|
 * | 65535 HELLO   | u32 magic, u16 version, u16 0, u32 window in bytes   | first frame of each side, and only then  |
 * | 0 CREDIT      | u32 bytes that the receiver has released             | at a quarter of the window or more       |
 * | 65534 GOODBYE | empty, or JSON { code, message, retryable }          | last frame of a side that closes         |
 */
export const headerBytes = 8
/** What `length` counts before the body: kind and flags. */
export const lengthBytesMin = 4
export const kindCredit = 0
export const kindGoodbye = 65534
export const kindHello = 65535
export const kindUserMin = 1
export const kindUserMax = 65279
export const protocolVersion = 1
/** Before its HELLO is known, nobody may make us wait for a longer frame than this. */
export const helloFrameBytesMax = 256

const magic = 0x42444d43
const helloBytes = 12
const creditBytes = 4
export const creditFrameBytes: number = headerBytes + creditBytes
const goodbyeMessageCharsMax = 2000

export function writeHeader(target: Buffer, offset: number, kind: number, bodyBytes: number): number {
  target.writeUInt32LE(bodyBytes + lengthBytesMin, offset)
  target.writeUInt32LE(kind, offset + 4)
  return offset + headerBytes
}

export function encodeHello(windowBytes: number, version: number = protocolVersion): Buffer {
  const frame = Buffer.alloc(headerBytes + helloBytes)
  writeHeader(frame, 0, kindHello, helloBytes)
  frame.writeUInt32LE(magic, 8)
  frame.writeUInt16LE(version, 12)
  frame.writeUInt32LE(windowBytes, 16)
  return frame
}

/** The peer's window in bytes, or why this is no peer. */
export function decodeHello(body: Buffer): number | CommanderError {
  if (body.length < 6 || body.readUInt32LE(0) !== magic)
    return violation(`the peer does not speak the CommanderDB protocol: its greeting is ${preview(body)}`)
  const version = body.readUInt16LE(4)
  if (version !== protocolVersion)
    return new CommanderError(
      'unsupported_version',
      `the peer speaks version ${version} of the protocol and this process version ${protocolVersion}; run the same release of CommanderDB on both sides`,
    )
  if (body.length !== helloBytes) return violation(`the greeting has ${body.length} bytes instead of ${helloBytes}`)
  const windowBytes = body.readUInt32LE(8)
  return windowBytes > 0 ? windowBytes : violation('the peer greets with a window of 0 bytes')
}

export function writeCredit(target: Buffer, offset: number, bytes: number): number {
  target.writeUInt32LE(bytes, writeHeader(target, offset, kindCredit, creditBytes))
  return offset + creditFrameBytes
}

export function decodeCredit(body: Buffer): number | CommanderError {
  return body.length === creditBytes
    ? body.readUInt32LE(0)
    : violation(`a credit frame has ${body.length} bytes instead of ${creditBytes}`)
}

export function encodeGoodbye(error: CommanderError | null): Buffer {
  const body = Buffer.from(error === null ? '' : JSON.stringify(goodbyeOf(error)))
  const frame = Buffer.allocUnsafe(headerBytes + body.length)
  frame.set(body, writeHeader(frame, 0, kindGoodbye, body.length))
  return frame
}

function goodbyeOf(error: CommanderError): WireError {
  const { code, message, retryable } = toWireError(error)
  return { code, message: message.slice(0, goodbyeMessageCharsMax), retryable }
}

/** Why the peer closes (null: it is simply done), or a violation. */
export function decodeGoodbye(body: Buffer): { readonly reason: CommanderError | null } | CommanderError {
  if (body.length === 0) return { reason: null }
  try {
    const { code, message, retryable } = JSON.parse(body.toString()) as WireError
    if (Object.hasOwn(errorCodes, code) && typeof message === 'string' && typeof retryable === 'boolean')
      return { reason: fromWireError({ code, message, retryable }) }
  } catch {
    // Not JSON: answered below like any other malformed farewell.
  }
  return violation(`the peer closes with a malformed reason: ${preview(body)}`)
}

export function violation(message: string): CommanderError {
  return new CommanderError('protocol_violation', message)
}

function preview(bytes: Buffer): string {
  const shown = bytes.subarray(0, 16).toString('hex')
  return `${bytes.length} bytes 0x${shown}${bytes.length > 16 ? '…' : ''}`
}
