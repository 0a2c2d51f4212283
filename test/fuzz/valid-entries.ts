import fc from 'fast-check'
import type { ActionType } from '../../src/actions/action-codes.ts'
import { encodeAction } from '../../src/actions/encode.ts'
import { EntryBatch } from '../../src/actions/entry-batch.ts'
import { anyActionByType } from '../unit/actions/any-action.ts'

/** An entry of each action type, the same for a seed, as drafts of this origin that come in this order. */
export function validEntries(origin = 1, seed = 1): Buffer[] {
  return (Object.keys(anyActionByType) as ActionType[]).flatMap((type, sequence) =>
    fc.sample(anyActionByType[type], { seed, numRuns: 1 }).map((action) => {
      const batch = new EntryBatch(origin, 1024)
      encodeAction(batch, action, sequence)
      return Buffer.from(batch.take())
    }),
  )
}
