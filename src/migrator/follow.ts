import type { Action } from '../actions/action.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { entryFlags, lengthOf, lsnOf, originOf, padded, sequenceOf } from '../actions/entry-layout.ts'
import type { Refused, Watermark } from '../ipc/journal-protocol.ts'
import { type Leadership, notLeader } from '../ipc/leadership.ts'
import type { Environment } from '../kernel/environment.ts'
import { type CommanderError, fromWireError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { type RootState, reduce } from '../state/root.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'

export interface FollowOptions {
  readonly environment: Environment
  readonly store: KeyValueStore
  /** As of the store's root; keeps payloads. */
  readonly state: RootState
  readonly origin: number
}

const refusedDelayMs = 200

interface Waiter {
  readonly look: () => boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Follows the journal for somebody who waits for what it says: for work that takes long and is done in steps. */
export class Follow implements FollowerRole {
  readonly #o: FollowOptions
  #follower: Follower | null = null
  #waiters: Waiter[] = []
  #failure: CommanderError | null = null
  /** Counts connections: what was drafted under an earlier one and has not come back by now never will. */
  #connection = 0
  #flushed: Lsn = lsn(0)
  #stored: Lsn = lsn(0)
  /** Of the draft that is under way: its number, and the entry that it became. */
  #drafted: { readonly sequence: number; at: Lsn; refusal: CommanderError | null } | null = null

  constructor(options: FollowOptions) {
    this.#o = options
  }

  get state(): RootState {
    return this.#o.state
  }

  get stored(): Lsn {
    return this.#stored
  }

  start(follower: Follower): void {
    this.#follower = follower
    follower.start()
  }

  stop(): void {
    this.#follower?.stop()
  }

  apply(b: Buffer, offset: number): void {
    for (let o = offset; o < b.length; o += padded(lengthOf(b, o))) {
      reduce(this.#o.state, b, o)
      if (originOf(b, o) !== this.#o.origin || this.#drafted?.sequence !== sequenceOf(b, o)) continue
      this.#drafted.at = lsnOf(b, o)
    }
  }

  applied(): void {
    this.#look()
  }

  watermark(mark: Watermark): void {
    this.#flushed = mark.flushed
    if (mark.applied > this.#stored) {
      this.#stored = mark.applied
      this.#o.store.refresh()
      forgetSavedKeys(this.#o.state.idempotency, mark.applied)
    }
    this.#look()
  }

  connected(): void {
    this.#connection++
    this.#look()
  }

  refused({ sequence, error }: Refused): void {
    if (this.#drafted?.sequence === sequence) this.#drafted.refusal = fromWireError(error)
    this.#look()
  }

  reset(reason: CommanderError): void {
    this.fail(reason)
  }

  following(leadership: Leadership): void {
    this.fail(notLeader(leadership))
  }

  /** Nothing more will come. */
  fail(error: CommanderError): void {
    this.#failure = error
    this.#look()
  }

  /** Resolves once `look` is true, which is asked whenever something has changed. */
  until(look: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ look, resolve, reject })
      this.#look()
    })
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#o.environment.scheduler.after(delayMs, resolve))
  }

  /** Connected, and readers of the store see everything that is in the journal by now. */
  async ready(): Promise<void> {
    await this.until(() => this.#follower?.isConnected === true)
    const { lsn: now } = this.#o.state
    await this.until(() => this.#stored >= now)
  }

  /** Readers of the store see the entry, and it is flushed. */
  seen(at: Lsn): Promise<void> {
    return this.until(() => this.#stored >= at && this.#flushed >= at)
  }

  /**
   * Says something in the journal.
   * @returns the entry; or null when it may have been lost, and has to be thought over on the state as it is now
   * @throws CommanderError why it was refused for good
   */
  async say(action: Action): Promise<Lsn | null> {
    await this.until(() => this.#follower?.isWritable === true)
    const follower = this.#follower as Follower
    const drafted = { sequence: follower.takeSequence(), at: lsn(0), refusal: null as CommanderError | null }
    this.#drafted = drafted
    const connection = this.#connection
    const batch = new EntryBatch(this.#o.origin, 4096)
    encodeAction(batch, action, drafted.sequence, entryFlags.flush)
    follower.sendDrafts(batch.take())
    await this.until(() => drafted.at !== 0 || drafted.refusal !== null || this.#connection !== connection)
    if (drafted.at !== 0) return drafted.at
    if (drafted.refusal !== null && !drafted.refusal.retryable) throw drafted.refusal
    await this.pause(refusedDelayMs)
    return null
  }

  #look(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      if (this.#failure !== null) waiter.reject(this.#failure)
      else if (waiter.look()) waiter.resolve()
      else this.#waiters.push(waiter)
    }
  }
}
