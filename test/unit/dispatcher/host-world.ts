import type { Action, CommandReceived, Entry, RegisteredSchedules } from '../../../src/actions/action.ts'
import { parseAggregateKey } from '../../../src/actions/aggregate-key.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.ts'
import type { DispatcherOptions } from '../../../src/dispatcher/options.ts'
import type { Environment } from '../../../src/kernel/environment.ts'
import { type Lsn, lsn, revision } from '../../../src/kernel/identifiers.ts'
import type { PendingCommand } from '../../../src/state/commands.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../../src/state/snapshot.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'
import { RecordingLog } from '../ipc/recording-log.ts'
import { apply, StubFollower, StubJournal } from '../role-world.ts'

const options = { lookup: () => undefined, keepsPayloads: true }
const noEnd = { idempotencyKey: 'none', snapshot: null } as const

/** Notes when a command was last drafted to be started. */
class TimedFollower extends StubFollower {
  readonly #note: (command: Lsn) => void

  constructor(note: (command: Lsn) => void) {
    super()
    this.#note = note
  }

  override sendDrafts(drafts: Buffer): void {
    const before = this.drafts.length
    super.sendDrafts(drafts)
    for (const { action } of this.drafts.slice(before))
      if (action.type === 'command/started') for (const command of action.commands) this.#note(command)
  }
}

/** A dispatcher that may crash, a journal that takes drafts when the test says so, and a wall clock that may jump. */
export class HostWorld {
  readonly scheduler = new ManualScheduler()
  readonly log = new RecordingLog()
  readonly journal = new StubJournal()
  readonly environment: Environment
  /** Wall minus monotonic time. */
  offsetMs: number
  /** What everybody folds from the journal. */
  readonly state: RootState = emptyRoot(options)
  follower: StubFollower = new StubFollower()
  /** By the monotonic clock, when the dispatcher decided that each command is started. */
  readonly decidedMs = new Map<Lsn, number>()
  dispatcher: Dispatcher
  /** Commands that were received to some effect. */
  readonly received: { readonly at: Lsn; readonly action: CommandReceived }[] = []
  /** Called behind every entry. */
  onEntry: (state: RootState) => void = () => {}
  readonly #dispatcherOptions: Partial<DispatcherOptions>

  constructor(start = '2026-03-01T00:00:00.000Z', dispatcherOptions: Partial<DispatcherOptions> = {}) {
    this.#dispatcherOptions = { silenceMs: Number.POSITIVE_INFINITY, ...dispatcherOptions }
    this.offsetMs = Date.parse(start)
    this.environment = {
      clock: { wallMs: () => this.wallMs, monotonicMs: () => this.scheduler.nowMs },
      scheduler: this.scheduler,
      random: { uint32: () => 1, uuid: () => '' },
      log: this.log,
    }
    this.dispatcher = this.#start(emptyRoot(options))
  }

  get wallMs(): number {
    return this.scheduler.nowMs + this.offsetMs
  }

  append(...actions: Action[]): Lsn {
    const first = lsn(this.journal.written + 1)
    this.#apply(this.journal.append(actions, 9))
    return first
  }

  register(
    instance: string,
    types: readonly string[],
    more: Partial<Extract<Action, { type: 'application/registered' }>> = {},
  ): void {
    const [application] = instance.split('-') as [string]
    const rest = { aggregateTypes: types, former: 'stopped' as const, incarnation: 1 }
    this.append({ type: 'application/registered', instance, application, ...rest, ...more })
  }

  /** What the dispatcher drafted becomes entries, and what it drafts then too, until it rests. */
  settle(): Entry[] {
    const all: Entry[] = []
    for (let drafts = this.follower.takeDrafts(); drafts.length > 0; drafts = this.follower.takeDrafts()) {
      all.push(...drafts)
      this.#apply(this.journal.accept(drafts))
    }
    return all
  }

  /** Time passes, and the journal takes every draft at once. */
  pass(ms: number, stepMs = 1_000): void {
    this.settle()
    for (let left = ms; left > 0; left -= stepMs) {
      this.scheduler.advance(Math.min(left, stepMs))
      this.settle()
    }
  }

  /** The dispatcher dies; of its drafts the first `kept` still become entries: before its successor reads on, or behind. */
  crash(kept = 0, isLate = false): void {
    const drafts = this.follower.takeDrafts().slice(0, kept)
    this.dispatcher.stop()
    if (!isLate && drafts.length > 0) this.#apply(this.journal.accept(drafts))
    if (stateHash(this.dispatcher.state) !== stateHash(this.state)) throw new Error('the states differ')
    const restored = decodeRoot(encodeRoot(this.state), options)
    if (stateHash(restored) !== stateHash(this.state)) throw new Error('the state is not what it was')
    this.dispatcher = this.#start(restored)
    if (isLate && drafts.length > 0) this.#apply(this.journal.accept(drafts))
  }

  complete(command: PendingCommand, more: Partial<Extract<Action, { type: 'command/completed' }>> = {}): void {
    this.append({
      type: 'command/completed',
      ...this.#end(command),
      baseRevision: revision(0),
      eventsVersion: 1,
      events: [],
      latestEvent: null,
      ...noEnd,
      ...more,
    })
  }

  reject(command: PendingCommand): void {
    this.append({ type: 'command/rejected', ...this.#end(command), ...noEnd, code: 'no', message: 'no', details: null })
  }

  fail(command: PendingCommand, retryDelayMs: number): void {
    this.append({ type: 'command/failed', ...this.#end(command), message: 'no', retryDelayMs })
  }

  park(command: PendingCommand): void {
    const rest = { ...noEnd, message: 'no', attempts: 1, blocksAggregate: false }
    this.append({ type: 'command/parked', ...this.#end(command), ...rest })
  }

  /** The workflow that the command starts is under way. */
  run(command: PendingCommand): void {
    const events = [{ type: 'workflow/started', data: { timeoutAtMs: null } }]
    const latestEvent = { revision: revision(1), type: 'workflow/started' }
    this.complete(command, { events, latestEvent, workflow: { activates: true } })
  }

  /** The workflow with this key has ended. */
  finish(key: string): void {
    const active = this.state.activations.byKey.get(key)
    this.append({
      type: 'workflow/advanced',
      aggregate: parseAggregateKey(key),
      activation: active?.lsn ?? lsn(0),
      token: active?.token ?? (0 as never),
      atMs: this.wallMs,
      baseRevision: revision(1),
      events: [],
      messages: [],
      snapshot: null,
      workflow: { releases: true, ends: true },
    })
  }

  /** Commands that are started and have not ended. */
  get started(): PendingCommand[] {
    return [...this.state.commands.byLsn.values()].filter(({ token }) => token !== 0)
  }

  pendingOn(key: string): PendingCommand {
    const [command] = this.state.commands.byAggregate.get(key)?.commands ?? []
    if (command === undefined) throw new Error(`nothing is pending on ${key}`)
    return command
  }

  #end({ lsn: command, queue, token: release }: PendingCommand) {
    return { command, aggregate: parseAggregateKey(queue.key), release, atMs: this.wallMs }
  }

  #start(state: RootState): Dispatcher {
    this.follower = new TimedFollower((command) => this.decidedMs.set(command, this.scheduler.nowMs))
    const dispatcher = new Dispatcher(this.environment, state, 1, () => {}, this.#dispatcherOptions)
    dispatcher.start(this.follower.asFollower)
    dispatcher.connected()
    return dispatcher
  }

  #apply(payload: Buffer): void {
    for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) this.#fold(payload, o)
    apply(this.dispatcher, payload, this.journal.written)
  }

  #fold(payload: Buffer, o: number): void {
    const [{ action } = { action: null }] = this.#decoded(payload, o)
    const repeats = reduce(this.state, payload, o)
    if (action?.type === 'command/received' && repeats === 0) this.received.push({ at: this.state.lsn, action })
    this.onEntry(this.state)
  }

  #decoded(payload: Buffer, o: number): Entry[] {
    const follower = new StubFollower()
    follower.sendDrafts(payload.subarray(o, o + padded(lengthOf(payload, o))))
    return follower.takeDrafts()
  }
}

/** How many bytes an action takes: to be compared where nothing is to be added. */
export function bytesOf(action: Action): number {
  const batch = new EntryBatch(1)
  encodeAction(batch, action, 1)
  return batch.take().length
}

export const schedulesOf = (atMs: number, ...definitions: RegisteredSchedules['definitions']): RegisteredSchedules => ({
  atMs,
  definitions,
})
