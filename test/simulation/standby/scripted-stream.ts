import type { CommittedBatch, CommittedBatches } from '../../../src/journal-writer/committed-batches.ts'
import type { StreamFeed } from '../../../src/journal-writer/stream-feed.ts'
import type { Scheduler } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import type { AppendedBatch, ReplicationLeader } from '../../../src/replication/replication-leader.ts'
import type { SeededRandom } from '../../../src/testing/seeded-random.ts'
import type { VirtualTime } from '../../../src/testing/virtual-time.ts'

export const lastOf = ({ firstLsn, entryCount }: CommittedBatch): Lsn => lsn(firstLsn + entryCount - 1)

/**
 * The stream as journal servers would keep it, without them: what a leader appends is committed a while later, in order; of what
 * is not when another one is elected, some is found and committed, and the rest never was.
 */
export class ScriptedStream {
  readonly log: CommittedBatch[] = []
  epoch = 0
  /** How long an append takes to be committed, at most. */
  commitMs = 2
  /** How long a leader does not hear that another one was elected, at most. 0: it does at once. */
  unawareMs = 0
  /** False is a mistake: who is asked whether he leads says so without asking anybody. */
  confirms = true
  readonly time: VirtualTime
  readonly #random: SeededRandom
  readonly #listeners = new Set<() => void>()
  #leader: StreamLeader | null = null

  constructor(time: VirtualTime, random: SeededRandom) {
    this.time = time
    this.#random = random
  }

  get tail(): Lsn {
    return this.log.length === 0 ? noLsn : lastOf(this.log.at(-1) as CommittedBatch)
  }

  /** Deposes whoever led. `scheduler` is of the process of the new leader. */
  elect(scheduler: Scheduler): StreamLeader {
    const former = this.#leader
    const aware = (hear: () => void): void => {
      if (this.unawareMs === 0) hear()
      else this.time.after(this.#random.fraction() * this.unawareMs, hear)
    }
    for (const batch of former?.endAfter(this.#random, aware) ?? []) this.#commit(batch)
    this.epoch++
    this.#leader = new StreamLeader(this.tail, scheduler, (leader, batch) => this.#appended(leader, batch))
    return this.#leader
  }

  /**
   * What a node hears from the one that it takes for the leader: what is committed, as far as that one knows, once it has asked
   * whether it still leads. Each way takes a while.
   */
  confirm(leader: StreamLeader): Promise<Lsn> {
    const wayMs = (): number => this.#random.fraction() * this.commitMs
    return new Promise((resolve, reject) => {
      this.time.after(wayMs(), () => {
        const { committed } = leader
        this.time.after(wayMs(), () => {
          if (!this.confirms || this.#leader === leader) resolve(committed)
          else reject(new CommanderError('not_ready', 'the node that was asked does not lead', { retryable: true }))
        })
      })
    })
  }

  /** Another one was elected, and this one has not heard of it. */
  isUnaware(leader: StreamLeader): boolean {
    return leader !== this.#leader && leader.failed === null
  }

  /** @param scheduler of the process that follows */
  feed(scheduler: Scheduler): StreamFeed {
    return { tail: () => Promise.resolve(this.tail), open: (after) => this.#open(after, scheduler) }
  }

  #open(after: Lsn, scheduler: Scheduler): CommittedBatches {
    let at = after === 0 ? 0 : this.log.findIndex((batch) => lastOf(batch) === after) + 1
    if (at === 0 && after !== 0) throw new CommanderError('log_gap', `no batch of the stream ends with LSN ${after}`)
    let more = (): void => {}
    const listener = (): void => scheduler.soon(() => more())
    this.#listeners.add(listener)
    return {
      next: (last) => {
        while (at > 0 && lastOf(this.log[at - 1] as CommittedBatch) > last) at--
        while (at < this.log.length && (this.log[at] as CommittedBatch).firstLsn <= last) at++
        return this.log[at] ?? null
      },
      onMore: (run) => {
        more = run
      },
      close: () => this.#listeners.delete(listener),
    }
  }

  /** One that was deposed and has not heard of it reaches nobody. */
  #appended(leader: StreamLeader, batch: AppendedBatch): void {
    this.time.after(this.#random.fraction() * this.commitMs, () => {
      if (this.#leader !== leader) return
      for (const committed of leader.committing(lastOf(batch))) this.#commit(committed)
    })
  }

  #commit(batch: CommittedBatch): void {
    this.log.push({ ...batch, payload: Buffer.from(batch.payload) })
    for (const tell of this.#listeners) tell()
  }
}

/** What nobody waits for is sent after that. */
const heldMs = 50

/** One node's lead. What it is told arrives at its process, if that still runs. */
export class StreamLeader implements ReplicationLeader {
  committed: Lsn
  failed: CommanderError | null = null
  readonly hasRoom = true
  readonly #scheduler: Scheduler
  readonly #appended: (leader: StreamLeader, batch: AppendedBatch) => void
  #pending: AppendedBatch[] = []
  #unsent: AppendedBatch[] = []
  #moved: () => void = () => {}

  constructor(committed: Lsn, scheduler: Scheduler, appended: (leader: StreamLeader, batch: AppendedBatch) => void) {
    this.committed = committed
    this.#scheduler = scheduler
    this.#appended = appended
  }

  append(batch: AppendedBatch): void {
    if (this.failed !== null) return
    this.#pending.push(batch)
    this.#unsent.push(batch)
    this.#scheduler.after(heldMs, () => this.flush())
  }

  flush(): void {
    for (const batch of this.#unsent.splice(0)) this.#appended(this, batch)
  }

  onMoved(moved: () => void): void {
    this.#moved = moved
  }

  /** Everything up to here is on enough servers. */
  committing(upTo: Lsn): readonly AppendedBatch[] {
    const committed = this.#pending.filter((batch) => lastOf(batch) <= upTo)
    this.#pending = this.#pending.slice(committed.length)
    this.#scheduler.soon(() => {
      if (this.failed !== null) return
      this.committed = lsn(Math.max(this.committed, upTo))
      this.#moved()
    })
    return committed
  }

  /** Another one is elected: it finds some of what is under way on the servers, from the beginning, and commits that. */
  endAfter(random: SeededRandom, aware: (hear: () => void) => void): readonly AppendedBatch[] {
    const found = this.#pending.slice(0, random.integer(0, this.#pending.length))
    this.#pending = []
    aware(() =>
      this.#scheduler.soon(() => {
        this.failed = new CommanderError('fenced', 'a journal server has promised a higher epoch')
        this.#moved()
      }),
    )
    return found
  }
}
