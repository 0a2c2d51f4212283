import type { ArchiveMemory } from '../archive/archiver.ts'
import { newestTimeline } from '../archive/sealed-segments.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { readArchived, readPosition } from '../tables/meta.ts'

/**
 * R4: what the store vouches for as flushed. What it has applied was; and so was what it remembers as archived, if that was
 * on the timeline that the journal is on: an older one may have gone further than where a newer one begins.
 */
export function flushedFloor(store: KeyValueStore, storage: JournalStorage): Lsn {
  return lsn(Math.max(readPosition(store).applied, rememberedAsArchived(store, storage)))
}

export function rememberedAsArchived(store: KeyValueStore, storage: JournalStorage): Lsn {
  const memory = readArchived(store) as ArchiveMemory | null
  return lsn(memory === null || memory.timeline < newestTimeline(storage) ? 0 : memory.lastLsn)
}
