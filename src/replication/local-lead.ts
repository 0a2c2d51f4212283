import type { Environment } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { NumberedLead } from './append-queue.ts'
import { type Digest, lastLsnOf, makeBatch } from './batch.ts'
import type { LocalLog } from './local-log.ts'
import type { AppendedBatch } from './replication-leader.ts'

export interface LocalLeadOptions {
  readonly local: LocalLog
  readonly environment: Environment
  readonly stream: string
  /** Of the segment that it opened. */
  readonly epoch: Epoch
  /** Where the stream ends. */
  readonly tail: Lsn
  readonly digest: Digest
  readonly ended: (error: CommanderError) => void
}

/**
 * The lead of a stream on one host. A node that has promised a later epoch to somebody takes nothing more from this one, at once: so
 * what is flushed under its epoch is in the log that the next one finds (I5).
 */
export class LocalLead implements NumberedLead {
  readonly #o: LocalLeadOptions
  epoch: Epoch
  committed: Lsn
  failed: CommanderError | null = null
  #tail: Lsn
  #digest: Digest
  #isFlushing = false
  #isRolling = false
  #moved: () => void = () => {}
  #idle: (() => void)[] = []

  constructor(options: LocalLeadOptions) {
    this.#o = options
    this.epoch = options.epoch
    this.#tail = options.tail
    this.#digest = options.digest
    this.committed = options.tail
  }

  get nextLsn(): Lsn {
    return lsn(this.#tail + 1)
  }

  get end(): { readonly tail: Lsn; readonly tailDigest: string } {
    return { tail: this.#tail, tailDigest: this.#digest.toString('hex') }
  }

  get hasRoom(): boolean {
    return this.failed === null && !this.#isRolling
  }

  onMoved(moved: () => void): void {
    this.#moved = moved
  }

  /** @throws CommanderError `journal_full`: nothing was appended; `server_poisoned` */
  append({ firstLsn, entryCount, payload }: AppendedBatch): void {
    const { local, stream } = this.#o
    this.#mustLead()
    const batch = makeBatch(this.#digest, firstLsn, entryCount, payload)
    local.log.append(stream, this.epoch, [batch], this.committed)
    this.#tail = lastLsnOf(batch)
    this.#digest = batch.digest
  }

  flush(): void {
    if (!this.#isFlushing) void this.#flushAll()
  }

  /**
   * Begins the next segment, under the next epoch, once all that was appended is flushed.
   * @param record says so in the record: false where somebody else has changed it
   */
  async roll(record: () => Promise<boolean>): Promise<void> {
    this.#mustLead()
    this.#isRolling = true
    try {
      await this.idle()
      this.#mustLead()
      if (!(await record())) this.fail(this.#fenced())
      this.#mustLead()
      this.#next()
    } finally {
      this.#isRolling = false
      this.#tellMoved()
    }
  }

  /** Once everything that was appended is flushed, or the lead is over. */
  idle(): Promise<void> {
    if (this.failed !== null || this.committed === this.#tail) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  fail(error: CommanderError): void {
    if (this.failed !== null) return
    this.failed = error
    this.#tellIdle()
    this.#tellMoved()
    this.#o.ended(error)
  }

  #next(): void {
    const { local, stream } = this.#o
    const next = epoch(this.epoch + 1)
    local.log.promise(stream, next)
    local.log.finish(stream, this.epoch, this.#tail)
    local.log.createSegment(stream, { epoch: next, base: this.nextLsn, baseDigest: this.#digest })
    this.epoch = next
  }

  async #flushAll(): Promise<void> {
    const { local, stream } = this.#o
    this.#isFlushing = true
    try {
      while (this.failed === null && this.committed < this.#tail) {
        const flushed = await local.flush(stream, this.epoch)
        this.#mustLead()
        this.committed = flushed
        this.#tellMoved()
      }
      this.#tellIdle()
    } catch (error) {
      this.fail(asCommanderError(error))
    } finally {
      this.#isFlushing = false
    }
  }

  #mustLead(): void {
    const { local, stream } = this.#o
    if (this.failed === null && local.log.promised(stream) !== this.epoch) this.fail(this.#fenced())
    if (this.failed !== null) throw this.failed
  }

  #fenced(): CommanderError {
    const { local, stream } = this.#o
    const promised = local.log.promised(stream)
    return new CommanderError('fenced', `another node has taken epoch ${promised} of ${stream}`, {
      details: { promised },
    })
  }

  #tellIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #tellMoved(): void {
    this.#o.environment.scheduler.soon(() => this.#moved())
  }
}
