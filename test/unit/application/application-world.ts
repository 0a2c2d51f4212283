import type { Action, CommandReceived, EndOfIncarnation, Entry } from '../../../src/actions/action.ts'
import { ApplicationRuntime } from '../../../src/application/application-runtime.ts'
import { CommandRejected, defineAggregate, defineApplication } from '../../../src/index.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import type { Application } from '../../../src/sdk/application.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { ArchivedStreams, type StreamVault } from '../../../src/tables/archived-streams.ts'
import { keyLookup } from '../../../src/tables/idempotency-keys.ts'
import { FilledStore } from '../filled-store.ts'
import { apply, mark, RoleWorld, received, refusal, registered, StubFollower, StubJournal } from '../role-world.ts'

/** How often the code below was called, and on what it shall throw. */
export const calls = { decided: 0, fails: new Set<string>() }

export const counter = defineAggregate({
  name: 'counter',
  initialState: () => ({ value: 0 }),
  decide: {
    add: (data: { amount: number }, _state, context) => {
      calls.decided++
      if (calls.fails.has(context.command.id)) throw new Error('not now')
      return { type: 'added', data }
    },
    addTwice: (data: { amount: number }) => [
      { type: 'added', data },
      { type: 'added', data },
    ],
    produce: (data: { bytes: number }) => ({ type: 'added', data: { amount: 1, text: 'x'.repeat(data.bytes) } }),
    assertValue: (data: { value: number }, state) => {
      if (state.value !== data.value) throw new CommandRejected('other_value', 'no', { value: state.value })
      return []
    },
  },
  evolve: { added: (state, data: { amount: number }) => ({ value: state.value + data.amount }) },
  retry: { maxAttempts: 3, initialDelayMs: 100, maxDelayMs: 150 },
  snapshotEvery: 4,
})

export const blocking = defineAggregate({
  name: 'blocking',
  initialState: () => ({ value: 0 }),
  decide: {
    add: (data: { amount: number }, _state, context) => {
      if (calls.fails.has(context.command.id)) throw new Error('never')
      return { type: 'added', data }
    },
  },
  evolve: { added: (state, data: { amount: number }) => ({ value: state.value + data.amount }) },
  retry: { maxAttempts: 1 },
  onExhausted: 'blockAggregate',
})

export const application = defineApplication({ name: 'test', aggregates: [counter, blocking] })

export const origin = 77

export interface WorldOptions {
  readonly application?: Application
  readonly liveBytesMax?: number
  readonly former?: EndOfIncarnation
  readonly vault?: StreamVault
}

/** An application process, a journal that takes its drafts when told to, and a store that is filled when told to. */
export class ApplicationWorld {
  readonly world = new RoleWorld()
  readonly journal = new StubJournal()
  readonly follower = new StubFollower()
  readonly filled = new FilledStore(this.world.environment, this.world.scheduler)
  readonly runtime: ApplicationRuntime

  readonly archived: ArchivedStreams

  constructor(options: WorldOptions = {}) {
    this.archived = new ArchivedStreams(options.vault ?? null)
    calls.decided = 0
    calls.fails.clear()
    const store = this.filled.store.reader()
    this.runtime = new ApplicationRuntime({
      environment: this.world.environment,
      application: options.application ?? application,
      instance: 'test-1',
      origin,
      state: emptyRoot({ lookup: keyLookup(store), keepsPayloads: true }),
      store,
      archived: this.archived,
      former: options.former ?? 'unknown',
      liveBytesMax: options.liveBytesMax ?? 1 << 20,
      draftBytesMax: 1 << 20,
      effectKeyPrefix: 'database',
      reset: () => {},
    })
    this.runtime.start(this.follower.asFollower)
  }

  /** Connected, registered, and the store has everything so far. */
  static registered(options: WorldOptions = {}): ApplicationWorld {
    const world = new ApplicationWorld(options)
    world.runtime.connected()
    world.acceptDrafts()
    world.store()
    return world
  }

  append(...actions: Action[]): Lsn {
    const first = lsn(this.journal.written + 1)
    apply(this.runtime, this.journal.append(actions, 9), this.journal.written)
    this.world.scheduler.settle()
    return first
  }

  /** Commands received and then started on this instance; their LSNs. */
  start(...commands: CommandReceived[]): Lsn[] {
    const first = this.append(...commands)
    const started = commands.map((_, i) => lsn(first + i))
    this.startAgain(...started)
    return started
  }

  startAgain(...commands: Lsn[]): void {
    this.append({ type: 'command/started', instance: 'test-1', commands })
  }

  add(id: string, amount = 1): Lsn {
    return this.start(received(id, 'add', { amount }))[0] as Lsn
  }

  /** The drafts sent so far become entries. */
  acceptDrafts(drafts: readonly Entry[] = this.follower.takeDrafts()): readonly Action[] {
    if (drafts.length > 0) apply(this.runtime, this.journal.accept(drafts, origin), this.journal.written)
    this.world.scheduler.settle()
    return drafts.map(({ action }) => action)
  }

  /** The writer refuses a draft, and drops those after it. */
  refuse(sequence: number): void {
    this.runtime.refused(refusal(sequence))
  }

  /** The store applies what is written, or less, and everybody hears of it. */
  store(upTo: Lsn = this.journal.written): void {
    this.filled.fill(this.journal, upTo)
    this.runtime.watermark(mark(this.journal.written, this.journal.written, upTo))
    this.world.scheduler.settle()
  }

  otherInstanceComes(incarnation = 5): void {
    this.append(registered('test-2', incarnation))
  }

  get liveAggregates(): number {
    return this.runtime.liveAggregates
  }
}

/** Of each action that ends an attempt: its command, base revision and what came of it. */
export const summary = (actions: readonly Action[]): string[] =>
  actions.map((action) => {
    switch (action.type) {
      case 'command/completed':
        return `${action.command} completed at ${action.baseRevision}: ${action.events.map(({ data }) => (data as { amount: number }).amount).join(' ')}`
      case 'command/rejected':
        return `${action.command} rejected: ${action.code}`
      case 'command/failed':
        return `${action.command} failed: again in ${action.retryDelayMs}`
      case 'command/parked':
        return `${action.command} parked after ${action.attempts}${action.blocksAggregate ? ', blocks' : ''}`
      default:
        return action.type
    }
  })
