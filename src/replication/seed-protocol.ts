import { CommanderError } from '../kernel/errors.ts'

/**
 * How a node takes the store of another one, in frames of the channel between nodes beside the messages about the stream. It asks once; then
 * come `waits` while the copy is made, `begins`, the bytes, and `ends`, or `refused` at any time.
 */
export const seedFrames = {
  request: 1001,
  waits: 1002,
  begins: 1003,
  bytes: 1004,
  ends: 1005,
  refused: 1006,
} as const

export const isSeedFrame = (kind: number): boolean => kind >= seedFrames.request && kind <= seedFrames.refused

export interface SeedRequest {
  readonly stream: string
  /** Of the cluster, in hexadecimal: a store of another one is of no use. */
  readonly journalId: string
}

export interface SeedBegins {
  readonly bytes: number
}

export interface SeedEnds {
  readonly bytes: number
  /** In hexadecimal. */
  readonly sha256: string
}

export interface SeedRefused {
  readonly message: string
}

/** A copy of a store as of one transaction, on its way out. */
export interface SeedSource {
  readonly bytes: number
  readonly chunks: AsyncIterable<Buffer>
  remove(): Promise<void>
}

/** Where a store comes to, beside the one that is there. */
export interface SeedSink {
  write(chunk: Buffer): Promise<void>
}

export const encodeSeed = (body: SeedRequest | SeedBegins | SeedEnds | SeedRefused): Buffer =>
  Buffer.from(JSON.stringify(body))

const bodyBytesMax = 4096

/** @throws CommanderError `protocol_violation` */
export function decodeSeed<Body>(body: Buffer, fields: Readonly<Record<keyof Body, 'string' | 'number'>>): Body {
  try {
    const found = JSON.parse(body.toString('utf8', 0, bodyBytesMax)) as Record<string, unknown>
    for (const [name, type] of Object.entries(fields)) if (typeof found[name] !== type) throw malformed(name)
    return found as Body
  } catch (error) {
    throw error instanceof CommanderError ? error : malformed('the body', error)
  }
}

const malformed = (what: string, cause?: unknown): CommanderError =>
  new CommanderError('protocol_violation', `in what a node says about its store ${what} is wrong`, { cause })
