import { pack, unpack } from '../actions/message-pack.ts'
import type { WireError } from '../kernel/errors.ts'

/** What operators ask of the projection applier, which is rare: one question a frame. */
export const applierFrames = { ask: 1, answer: 2 } as const

export type ApplierQuestion =
  | { readonly ask: 'rebuild'; readonly request: number; readonly name: string }
  | { readonly ask: 'checkpoint'; readonly request: number }
  /** Everything that is flushed now, into the archive. */
  | { readonly ask: 'archive'; readonly request: number }

export interface ApplierAnswer {
  readonly request: number
  readonly upTo?: number
  /** Of the archive. */
  readonly location?: string
  readonly error?: WireError
}

export const encodeApplierFrame = (message: ApplierQuestion | ApplierAnswer): Buffer => Buffer.from(pack(message))
export const decodeQuestion = (body: Buffer): ApplierQuestion => unpack(body, 0, body.length) as ApplierQuestion
export const decodeAnswer = (body: Buffer): ApplierAnswer => unpack(body, 0, body.length) as ApplierAnswer
