import { isWellFormed, lengthOf, padded, wallMsOf } from '../actions/entry-layout.ts'

/** The newest time at which one of these entries was drafted, in whole milliseconds: where nobody noted when they were written. */
export function newestWallMs(payload: Buffer): number {
  let newest = 0
  for (let o = 0; o < payload.length && isWellFormed(payload, o, payload.length); o += padded(lengthOf(payload, o)))
    newest = Math.max(newest, wallMsOf(payload, o))
  return Math.floor(newest)
}
