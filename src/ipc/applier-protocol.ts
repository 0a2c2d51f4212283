import { pack, unpack } from '../actions/message-pack.ts'
import type { WireError } from '../kernel/errors.ts'

/** What operators ask of the projection applier, which is rare: one question a frame. */
export const applierFrames = { ask: 1, answer: 2 } as const

export type ApplierQuestion =
  | { readonly ask: 'rebuild'; readonly request: number; readonly name: string }
  | { readonly ask: 'checkpoint'; readonly request: number }
  /** Everything that is flushed now, into the archive. */
  | { readonly ask: 'archive'; readonly request: number }
  /** The journal keeps what is behind the checkpoint of the first such question while the connection lasts and asks again. */
  | { readonly ask: 'hold'; readonly request: number }

/** A connection that holds the journal and asks nothing for so long, in milliseconds, holds it no longer. */
export const journalHoldMs = 60_000

export interface ApplierAnswer {
  readonly request: number
  readonly upTo?: number
  /** Of the archive. */
  readonly location?: string
  /** Everything up to here is flushed to the journal. */
  readonly flushed?: number
  readonly error?: WireError
}

export const encodeApplierFrame = (message: ApplierQuestion | ApplierAnswer): Buffer => Buffer.from(pack(message))
export const decodeQuestion = (body: Buffer): ApplierQuestion => unpack(body, 0, body.length) as ApplierQuestion
export const decodeAnswer = (body: Buffer): ApplierAnswer => unpack(body, 0, body.length) as ApplierAnswer
