import type { Action, CommandReceived } from '../../../src/actions/action.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import type { KeyRecord } from '../../../src/state/idempotency.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { StubJournal } from '../role-world.ts'
import { AnyWorkflowActions, workflowOf } from './any-workflow-actions.ts'

export interface HistoryOptions {
  /** Keys expire and are used again. Default true. */
  readonly expiry?: boolean
}

/**
 * A journal as the processes would have written it, at random but the same for a seed: commands with keys and session
 * calls, some of them again; instances that come, crash and go; attempts of every outcome; operators.
 */
export class History {
  readonly journal = new StubJournal()
  /** Entry by entry, in order. */
  readonly entries: Buffer[] = []
  /** The keys that the store would hold after each entry, by LSN. */
  readonly keysAt: ReadonlyMap<string, KeyRecord>[] = [new Map()]
  readonly #state: RootState = emptyRoot({ lookup: () => undefined, keepsPayloads: true })
  readonly #parked = new Map<Lsn, CommandReceived>()
  readonly #received = new Map<Lsn, CommandReceived>()
  readonly #calls: CommandReceived[] = []
  readonly #random: () => number
  readonly #workflow: AnyWorkflowActions
  readonly #options: HistoryOptions
  #wallMs = 1_700_000_000_000
  #session = 1
  #epoch = 0

  constructor(random: () => number, steps: number, options: HistoryOptions = {}) {
    this.#random = random
    this.#workflow = new AnyWorkflowActions(random, this.#state)
    this.#options = options
    for (let step = 0; step < steps; step++) this.#step()
  }

  #step(): void {
    this.#wallMs += this.#below(20_000)
    const action = this.#pick()
    if (action === null) return
    const payload = this.journal.append([action])
    const entry = payload.subarray(0, padded(lengthOf(payload, 0)))
    const repeats = reduce(this.#state, entry, 0)
    this.entries.push(entry)
    if (action.type === 'command/received') this.#workflow.received(action)
    if (action.type === 'command/received' && repeats === 0) this.#received.set(this.#state.lsn, action)
    this.keysAt.push(new Map(this.#state.idempotency.recentKeys))
  }

  #pick(): Action | null {
    const roll = this.#random()
    if (roll < 0.3) return this.#receive()
    if (roll < 0.33) return this.#repeat()
    if (roll < 0.4) return this.#workflow.any(this.#wallMs)
    if (roll < 0.6) return this.#start()
    if (roll < 0.85) return this.#end()
    if (roll < 0.91) return this.#membership()
    if (roll < 0.92) return this.#lead()
    if (roll < 0.96) return this.#operate()
    return this.#housekeep()
  }

  #receive(): CommandReceived {
    const hasKey = this.#random() < 0.4
    const hasCall = this.#random() < 0.5
    if (this.#random() < 0.05) this.#session = 1 + this.#below(5)
    const sequence = 1 + this.#below(30)
    const received: CommandReceived = {
      type: 'command/received',
      aggregate: { type: this.#one(['counter', 'counter', 'other', workflowOf]) ?? '', id: `${this.#below(6)}` },
      command: 'add',
      data: { amount: this.#below(1000) },
      receivedAtMs: this.#wallMs,
      call: hasCall
        ? { session: this.#session, sequence, answeredBelow: Math.max(1, sequence - this.#below(10)) }
        : null,
      idempotencyKey: hasKey
        ? { key: `k${this.#below(40)}`, digest: Buffer.alloc(16, this.#below(2)), ttlMs: this.#below(300_000) }
        : null,
      expectedRevision: null,
      metadata: null,
    }
    this.#calls.push(received)
    return received
  }

  #repeat(): Action | null {
    const earlier = this.#one(this.#calls)
    return earlier === undefined ? null : { ...earlier, receivedAtMs: this.#wallMs }
  }

  #start(): Action | null {
    const waiting = [...this.#state.commands.byLsn.values()].filter(
      ({ token: assignment, queue }) => assignment === 0 && queue.blockedBy === 0,
    )
    const commands = waiting.slice(0, 1 + this.#below(5)).map((command) => command.lsn)
    const instance = this.#random() < 0.05 ? 'gone-1' : this.#one([...this.#state.applications.byInstance.keys()])
    if (commands.length === 0 || instance === undefined) return null
    return { type: 'command/started', instance: this.#random() < 0.03 ? 'dispatcher' : instance, commands }
  }

  #end(): Action | null {
    const command = this.#one([...this.#state.commands.byLsn.values()].filter((one) => one.token !== 0))
    if (command === undefined) return null
    const [type, id] = command.queue.key.split('/') as [string, string]
    const end = { command: command.lsn, aggregate: { type, id }, release: token(command.token), atMs: this.#wallMs }
    const roll = this.#random()
    if (roll < 0.6) return this.#completed(end)
    if (roll < 0.7)
      return { type: 'command/rejected', ...end, idempotencyKey: 'none', code: 'no', message: 'no', details: null }
    if (roll < 0.85) return { type: 'command/failed', ...end, message: 'no', retryDelayMs: this.#below(1000) }
    this.#parked.set(command.lsn, this.#received.get(command.lsn) as CommandReceived)
    const blocksAggregate = this.#random() < 0.5
    return {
      type: 'command/parked',
      ...end,
      idempotencyKey: 'none',
      message: 'no',
      attempts: command.attempts,
      blocksAggregate,
    }
  }

  #completed(
    end: Pick<Extract<Action, { type: 'command/completed' }>, 'command' | 'aggregate' | 'release' | 'atMs'>,
  ): Action {
    const events = Array.from({ length: this.#below(4) }, () => ({ type: 'added', data: { amount: 1 } }))
    const latestEvent = events.length === 0 ? null : { revision: revision(events.length), type: 'added' }
    const rest = { eventsVersion: 1, idempotencyKey: 'none', snapshot: null } as const
    const workflow = this.#workflow.effectsOf(end)
    return { type: 'command/completed', ...end, baseRevision: revision(0), events, latestEvent, ...rest, ...workflow }
  }

  #membership(): Action {
    const instance = `test-${1 + this.#below(3)}`
    const isKnown = this.#state.applications.byInstance.has(instance)
    if (isKnown && this.#random() < 0.4) {
      return {
        type: 'application/deregistered',
        instance,
        reason: this.#one(['silent', 'stopped', 'crashed'] as const) ?? 'silent',
      }
    }
    return {
      type: 'application/registered',
      instance,
      application: 'test',
      incarnation: 1 + this.#below(1000),
      aggregateTypes: this.#random() < 0.5 ? ['counter', 'other', workflowOf] : ['counter', workflowOf],
      former: this.#one(['unknown', 'stopped', 'crashed', 'killed'] as const) ?? 'unknown',
    }
  }

  #operate(): Action | null {
    const [command, received] = this.#one([...this.#parked]) ?? []
    if (command === undefined || received === undefined) return null
    this.#parked.delete(command)
    if (this.#random() < 0.5) return { type: 'command/retried', command, received }
    return { type: 'command/skipped', command, aggregate: received.aggregate, reason: 'no' }
  }

  #housekeep(): Action {
    const roll = this.#random()
    if (roll < 0.3) return { type: 'checkpoint/started', upTo: this.#state.lsn }
    if (roll < 0.5) return { type: 'application/seen', instance: 'test-1', atMs: this.#wallMs }
    if (roll < 0.6 || this.#options.expiry === false)
      return { type: 'checkpoint/completed', upTo: lsn(1), stateHash: '' }
    return { type: 'idempotency-key/expired', untilMs: this.#wallMs - this.#below(60_000) }
  }

  #lead(): Action {
    return { type: 'journal/epoch-started', epoch: ++this.#epoch, leader: `node-${this.#below(3)}`, atMs: this.#wallMs }
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n)
  }

  #one<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#below(items.length)]
  }
}
