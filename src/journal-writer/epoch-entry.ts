import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { entryFlags, stampLsn } from '../actions/entry-layout.ts'
import type { Environment } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** The first entry of a leader: it says so. */
export function epochEntry(environment: Environment, epoch: number, leader: string, at: Lsn): Buffer {
  const { clock, random } = environment
  const batch = new EntryBatch(random.uint32() || 1, 256)
  const action = { type: 'journal/epoch-started', epoch, leader, atMs: clock.wallMs() } as const
  encodeAction(batch, action, 0, entryFlags.flush)
  const entry = batch.take()
  stampLsn(entry, 0, at)
  return entry
}
