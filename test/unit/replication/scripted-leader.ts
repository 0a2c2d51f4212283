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
  /** So far somebody waits for it. */
  wanted: Lsn
  /** Commit by itself what somebody waits for. Default true. */
  isPrompt = true
  /** The next commit depose it. */
  isDeposed = false
  readonly #scheduler: Scheduler
  #moved: () => void = () => {}

  constructor(committed: Lsn, scheduler: Scheduler) {
    this.committed = committed
    this.wanted = committed
    this.#scheduler = scheduler
  }

  append(batch: AppendedBatch): void {
    if (this.failed !== null) return
    this.batches.push(batch)
  }

  flush(): void {
    const last = this.batches.at(-1)
    if (last === undefined || this.failed !== null) return
    const wanted = lsn(last.firstLsn + last.entryCount - 1)
    this.wanted = wanted
    if (this.isPrompt) this.#scheduler.soon(() => this.commit(wanted))
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
