import type { Action } from '../actions/action.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

export type CheckpointDone = (upTo: Lsn, error: CommanderError | null) => void

export interface CheckpointsOptions {
  readonly environment: Environment
  /** Longest time between two, in milliseconds. */
  readonly timeoutMs: number
  /** The one that the store holds; 0 for none. */
  readonly last: Lsn
  readonly draft: (action: Action) => void
  /** One is due now. */
  readonly due: () => void
}

/** One that is being taken: everything up to `upTo` is in the same transaction of the store as the root that says so. */
export interface CheckpointUnderWay {
  readonly upTo: Lsn
  readonly asked: readonly CheckpointDone[]
  stateHash: string
}

/** The entries of a checkpoint itself: an idle database takes no further one. */
const ownEntries = 2

/** When a checkpoint is taken: by time, by the size of the journal as its writer says, by hand. And what the journal says of it. */
export class Checkpoints {
  readonly #o: CheckpointsOptions
  #last: Lsn
  #asked: CheckpointDone[] = []
  #wanted: Lsn = lsn(0)
  #isTimeUp = false
  #timer: Timer | null = null

  constructor(options: CheckpointsOptions) {
    this.#o = options
    this.#last = options.last
  }

  /** The store is flushed up to here, with the state of this entry. */
  get last(): Lsn {
    return this.#last
  }

  start(): void {
    this.#timer = this.#o.environment.scheduler.after(this.#o.timeoutMs, () => {
      this.#isTimeUp = true
      this.start()
      this.#o.due()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** By hand. */
  ask(done: CheckpointDone): void {
    this.#asked.push(done)
  }

  /** By size. What the writer asked for before its last wish was fulfilled is that wish still. */
  want(upTo: Lsn): void {
    if (this.#wanted <= this.#last) this.#wanted = upTo
  }

  isDue(committed: Lsn): boolean {
    if (this.#asked.length > 0) return true
    if (this.#isTimeUp && committed > this.#last + ownEntries) return true
    return this.#wanted > this.#last && committed >= this.#wanted
  }

  begin(upTo: Lsn): CheckpointUnderWay {
    const asked = this.#asked
    this.#asked = []
    this.#isTimeUp = false
    this.#o.draft({ type: 'checkpoint/started', upTo })
    return { upTo, asked, stateHash: '' }
  }

  /** Returns whether it was by hand. */
  end({ upTo, asked, stateHash }: CheckpointUnderWay, error: CommanderError | null): boolean {
    if (error === null) {
      this.#last = upTo
      this.#o.draft({ type: 'checkpoint/completed', upTo, stateHash })
    }
    for (const done of asked) done(upTo, error)
    return asked.length > 0
  }
}
