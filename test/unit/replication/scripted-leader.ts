import type { Scheduler } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import type { AppendedBatch, ReplicationLeader } from '../../../src/replication/replication-leader.ts'

/** A lead whose servers do what the test says: commit in the next turn, only when told to, or never again. */
export class ScriptedLeader implements ReplicationLeader {
  readonly batches: AppendedBatch[] = []
  committed: Lsn
  failed: CommanderError | null = null
  hasRoom = true
  /** Commit by itself. Default true. */
  isPrompt = true
  /** The next commit depose it. */
  isDeposed = false
  readonly #scheduler: Scheduler
  #moved: () => void = () => {}

  constructor(committed: Lsn, scheduler: Scheduler) {
    this.committed = committed
    this.#scheduler = scheduler
  }

  append(batch: AppendedBatch): void {
    if (this.failed !== null) return
    this.batches.push(batch)
    if (this.isPrompt) this.#scheduler.soon(() => this.commit(batch.firstLsn + batch.entryCount - 1))
  }

  onMoved(moved: () => void): void {
    this.#moved = moved
  }

  commit(upTo: number): void {
    if (this.failed !== null) return
    if (this.isDeposed) this.failed = new CommanderError('fenced', 'a journal server has promised a higher epoch')
    else this.committed = lsn(Math.max(this.committed, upTo))
    this.#moved()
  }

  depose(): void {
    this.isDeposed = true
    this.commit(0)
  }
}
