import { isWellFormed, lengthOf, padded } from '../actions/entry-layout.ts'

/** Drafts in pieces of at most `bytesMax`, which fit into one frame of the journal; `null` when a single one does not. */
export function piecesOf(drafts: Buffer, bytesMax: number): Buffer[] | null {
  if (drafts.length <= bytesMax) return [drafts]
  const pieces: Buffer[] = []
  let start = 0
  while (drafts.length - start > bytesMax) {
    let end = start
    while (isWellFormed(drafts, end, drafts.length)) {
      const next = end + padded(lengthOf(drafts, end))
      if (next - start > bytesMax) break
      end = next
    }
    if (end === start) return null
    pieces.push(drafts.subarray(start, end))
    start = end
  }
  pieces.push(drafts.subarray(start))
  return pieces
}
