import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { type SealedSegment, sealedSegments } from '../../../src/archive/sealed-segments.ts'
import { SegmentVault } from '../../../src/archive/segment-vault.ts'
import type { Journal } from '../../../src/journal/journal.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld, journalId } from '../journal/journal-world.ts'

/** A journal on a virtual disk and an archive in memory. */
export class ArchiveWorld {
  readonly journal: JournalWorld = new JournalWorld()
  readonly target: MemoryTarget = new MemoryTarget()
  readonly vault: SegmentVault

  constructor() {
    this.vault = new SegmentVault({
      target: this.target,
      storage: this.journal.storage,
      journalId,
      clock: this.journal.environment.clock,
    })
  }

  /** Opens the journal and fills that many segments; the next one has an entry too, and all are flushed. */
  async filled(segments: number): Promise<Journal> {
    const { journal } = await this.journal.open()
    for (let i = 0; i < segments; i++) this.fill(journal)
    return journal
  }

  fill(journal: Journal): void {
    for (const before = this.sealed().length; this.sealed().length === before; ) append(journal, 2, 100_000)
    flush(this.journal, journal)
  }

  sealed(flushedLsn = Number.MAX_SAFE_INTEGER): SealedSegment[] {
    return sealedSegments(this.journal.storage, lsn(0), lsn(flushedLsn))
  }
}
