import { CommanderError, messageOf } from '../kernel/errors.ts'
import { violation } from './wire-format.ts'

/** Why a channel ends or refuses a frame, where the bytes themselves are well formed. */

export function windowOverrun(peer: string, windowBytes: number): CommanderError {
  return violation(`${peer} sent more than the window of ${windowBytes} bytes without waiting for credit`)
}

export function overloaded(peer: string, outstandingBytes: number, windowBytes: number): CommanderError {
  const message = `${outstandingBytes} bytes wait for ${peer}, whose window is ${windowBytes} bytes`
  return new CommanderError('overloaded', `${message}; look at writable before sending`)
}

export function frameTooLarge(kind: number, bodyBytes: number, frameBytesMax: number): CommanderError {
  const message = `a frame of kind ${kind} with ${bodyBytes} bytes is over the limit of ${frameBytesMax}`
  return new CommanderError('payload_too_large', `${message}; send less at a time`)
}

export function handlerFailed(peer: string, cause: unknown): CommanderError {
  const message = `a handler of the channel to ${peer} failed: ${messageOf(cause)}`
  return new CommanderError('internal', message, { cause })
}

export function notGreeted(peer: string, timeoutMs: number): CommanderError {
  return new CommanderError('connection_lost', `${peer} did not greet within ${timeoutMs} ms`)
}

export function leftWithoutFarewell(peer: string): CommanderError {
  return new CommanderError('connection_lost', `${peer} left without a farewell`)
}
