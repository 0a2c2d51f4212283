import type { Action, CommandReceived, Entry, EventDraft, StreamArchived } from '../../src/actions/action.ts'
import type { Movement } from './bank.ts'

export type Ending = 'completed' | 'rejected' | 'parked' | 'skipped'

export interface ModelCommand {
  readonly lsn: number
  readonly received: CommandReceived
  readonly key: string
  status: 'pending' | Ending
  token: number
  instance: string
  attempts: number
  crashes: number
  /** Put back by an operator: its place in the order is no longer that of its LSN. */
  wasRetried: boolean
  /** The entries that ended it; more than one only if it was parked in between. */
  readonly endings: Entry[]
}

export interface ModelEvent {
  readonly type: string
  readonly data: Movement
  readonly revision: number
  readonly globalPosition: number
  readonly lsn: number
  readonly command: number
}

export interface ModelAggregate {
  revision: number
  balance: number
  movements: number
  readonly events: ModelEvent[]
  blockedBy: number
  /** The first `stream/closed`, and the first `stream/deleted` that took effect; 0 while there is none. */
  closedLsn: number
  deletedLsn: number
  /** The last revision that lies in the archive. */
  archivedUpTo: number
}

interface ModelKey {
  readonly lsn: number
  readonly digest: string
  readonly expiresAtMs: number
}

const maxAttempts = 4
const crashesMax = 2
const dispatcher = 'dispatcher'

type StreamAction = Extract<Action, { type: 'stream/closed' | 'stream/deleted' | 'stream/archived' }>
type EndOfAttempt = Extract<Action, { release: unknown }>

const releases: ReadonlySet<string> = new Set(['command/failed', 'application/registered', 'application/deregistered'])

/**
 * What the journal means, folded a second time without anything of the database but the decoded entries, and as naively
 * as can be: nothing is ever forgotten, and every decision of the application is decided again.
 */
export class Model {
  readonly commands = new Map<number, ModelCommand>()
  /** LSN of a `command/received` that is a repetition, and the command that it repeats; -1: one answered long ago. */
  readonly duplicates = new Map<number, number>()
  readonly aggregates = new Map<string, ModelAggregate>()
  readonly events: ModelEvent[] = []
  readonly violations: string[] = []
  /** `upTo` and hash of each checkpoint. */
  readonly checkpoints: { readonly upTo: number; readonly stateHash: string }[] = []
  /** By key, everything that was ever received under it. */
  readonly uses = new Map<string, number[]>()
  /** Assignments, and those of them that were void as a whole. */
  starts = 0
  voidStarts = 0
  /** Deletions that came while a command from before the close was pending. */
  voidDeletions = 0
  /**
   * As many as could be: each failure or change of instances voids what is under way of the commands behind it, once; those
   * that come before all of them have ended are behind it too.
   */
  voidable = 0
  readonly #queues = new Map<string, ModelCommand[]>()
  readonly #keys = new Map<string, ModelKey>()
  readonly #sessions = new Map<number, { answeredBelow: number; readonly calls: Map<number, number> }>()
  readonly #instances = new Map<string, number>()
  #expiredUntilMs = Number.NEGATIVE_INFINITY
  /** Something was released, and commands of then are pending yet. */
  #isBehind = false
  #lsn = 0

  fold(entry: Entry): void {
    if (entry.lsn !== this.#lsn + 1) this.#violate(entry, `follows entry ${this.#lsn}`)
    this.#lsn = entry.lsn
    const { action } = entry
    const pending = this.#pending
    if (releases.has(action.type)) {
      this.voidable += pending
      this.#isBehind = true
    }
    if (pending === 0) this.#isBehind = false
    else if (this.#isBehind && action.type === 'command/received') this.voidable++
    switch (action.type) {
      case 'command/received':
        return this.#received(entry.lsn, action)
      case 'command/started':
        return this.#started(entry, action.instance, action.commands)
      case 'command/completed':
      case 'command/rejected':
      case 'command/failed':
      case 'command/parked':
        return this.#ended(entry, action)
      case 'command/retried':
      case 'command/skipped':
        return this.#operated(entry, action)
      case 'application/registered':
        this.#release(action.instance, action.former === 'crashed')
        this.#instances.set(action.instance, entry.lsn)
        return
      case 'application/deregistered':
        this.#release(action.instance, action.reason === 'crashed')
        this.#instances.delete(action.instance)
        return
      case 'idempotency-key/expired':
        this.#expiredUntilMs = Math.max(this.#expiredUntilMs, action.untilMs)
        return
      case 'checkpoint/completed':
        this.checkpoints.push(action)
        return
      case 'stream/closed':
      case 'stream/deleted':
      case 'stream/archived':
        return this.#ofStream(entry, action)
      default:
        return
    }
  }

  get #pending(): number {
    let count = 0
    for (const { status } of this.commands.values()) if (status === 'pending') count++
    return count
  }

  aggregate(key: string): ModelAggregate {
    let aggregate = this.aggregates.get(key)
    if (aggregate === undefined) {
      aggregate = {
        revision: 0,
        balance: 0,
        movements: 0,
        events: [],
        blockedBy: 0,
        closedLsn: 0,
        deletedLsn: 0,
        archivedUpTo: 0,
      }
      this.aggregates.set(key, aggregate)
    }
    return aggregate
  }

  #violate(entry: Entry, what: string): void {
    this.violations.push(`entry ${entry.lsn} ${entry.action.type} ${what}`)
  }

  #received(lsn: number, received: CommandReceived): void {
    const repeats = this.#repeats(lsn, received)
    if (repeats !== 0) {
      this.duplicates.set(lsn, repeats)
      return
    }
    const key = `${received.aggregate.type}/${received.aggregate.id}`
    const command: ModelCommand = {
      lsn,
      received,
      key,
      status: 'pending',
      token: 0,
      instance: '',
      attempts: 0,
      crashes: 0,
      wasRetried: false,
      endings: [],
    }
    this.commands.set(lsn, command)
    this.#queue(key).push(command)
  }

  /** G6: by key, then by the client's own number of the call. */
  #repeats(lsn: number, { idempotencyKey, call, receivedAtMs }: CommandReceived): number {
    let repeats = 0
    let conflicts = false
    const digest = idempotencyKey === null ? '' : Buffer.from(idempotencyKey.digest).toString('hex')
    if (idempotencyKey !== null) {
      const known = this.#keys.get(idempotencyKey.key)
      if (known !== undefined && known.expiresAtMs > this.#expiredUntilMs) {
        repeats = known.lsn
        conflicts = known.digest !== digest
      }
    }
    if (call !== null) {
      const session = this.#sessions.get(call.session) ?? { answeredBelow: call.answeredBelow, calls: new Map() }
      this.#sessions.set(call.session, session)
      const known = session.calls.get(call.sequence)
      if (known === undefined && !conflicts) session.calls.set(call.sequence, repeats === 0 ? lsn : repeats)
      const isOld = call.sequence < session.answeredBelow
      if (known !== undefined && (repeats === 0 || !isOld)) repeats = known
      if (repeats === 0 && isOld) repeats = -1
      session.answeredBelow = Math.max(session.answeredBelow, call.answeredBelow)
    }
    if (idempotencyKey !== null) this.uses.set(idempotencyKey.key, [...(this.uses.get(idempotencyKey.key) ?? []), lsn])
    if (repeats === 0 && idempotencyKey !== null) {
      const expiresAtMs = Math.max(receivedAtMs, this.#expiredUntilMs) + idempotencyKey.ttlMs
      this.#keys.set(idempotencyKey.key, { lsn, digest, expiresAtMs })
    }
    return repeats
  }

  #queue(key: string): ModelCommand[] {
    let queue = this.#queues.get(key)
    if (queue === undefined) {
      queue = []
      this.#queues.set(key, queue)
    }
    return queue
  }

  #started(entry: Entry, instance: string, lsns: readonly number[]): void {
    this.starts++
    const isThere = instance === dispatcher || this.#instances.has(instance)
    let started = 0
    for (const lsn of isThere ? lsns : []) {
      const command = this.commands.get(lsn)
      if (command === undefined) {
        this.#violate(entry, `starts ${lsn}, which is no command`)
        continue
      }
      if (command.status !== 'pending' || !this.#mayStart(command, instance)) continue
      command.token = entry.lsn
      command.instance = instance
      command.attempts++
      started++
    }
    if (started === 0) this.voidStarts++
  }

  /** An assignment that would let a command overtake an earlier one is void. */
  #mayStart(command: ModelCommand, instance: string): boolean {
    if (instance === dispatcher) return true
    const queue = this.#queue(command.key)
    const before = queue.slice(0, queue.indexOf(command)).findLast((one) => one.instance !== dispatcher)
    if (instance === dispatcher) return true
    return before === undefined || before.instance === instance
  }

  #ended(entry: Entry, action: EndOfAttempt): void {
    const command = this.commands.get(action.command)
    if (command === undefined) return this.#violate(entry, `ends ${action.command}, which is no command`)
    if (command.status !== 'pending') return this.#violate(entry, `ends ${command.lsn}, which is ${command.status}`) // G3
    if (command.token !== action.release)
      this.#violate(entry, `ends ${command.lsn} under ${action.release}, not ${command.token}`) // G5
    if (`${action.aggregate.type}/${action.aggregate.id}` !== command.key)
      this.#violate(entry, `is about another aggregate`)
    const queue = this.#queue(command.key)
    const isParkedByDispatcher = action.type === 'command/parked' && command.instance === dispatcher
    // What the dispatcher has taken to park it takes no effect on the aggregate.
    const first = queue.find(({ wasRetried, instance }) => !wasRetried && instance !== dispatcher)
    if (first !== command && !command.wasRetried && !isParkedByDispatcher)
      this.#violate(entry, `ends ${command.lsn} before ${first?.lsn} of ${command.key}`) // G2
    this.#decided(entry, action, command)
    if (action.type === 'command/failed') {
      command.token = 0
      command.instance = ''
      return
    }
    command.endings.push(entry)
    command.status = action.type.slice('command/'.length) as Ending
    queue.splice(queue.indexOf(command), 1)
  }

  /** Decides the command again, on this model's own state, and folds what came of it. */
  #decided(entry: Entry, action: EndOfAttempt, command: ModelCommand): void {
    const aggregate = this.aggregate(command.key)
    const expected = this.#decide(command, aggregate)
    const isRefused = typeof expected === 'string' && expected.startsWith('stream_')
    const { command: name } = command.received
    switch (action.type) {
      case 'command/completed':
        if (action.baseRevision !== aggregate.revision)
          this.#violate(entry, `has base revision ${action.baseRevision}, not ${aggregate.revision}`) // G2
        if (typeof expected === 'string') this.#violate(entry, `completes ${command.lsn}, which is to be ${expected}`)
        else if (JSON.stringify(expected) !== JSON.stringify(action.events))
          this.#violate(entry, `decides ${JSON.stringify(action.events)}, not ${JSON.stringify(expected)}`)
        this.#fold(entry, action.events, aggregate, command)
        return
      case 'command/rejected':
        // Decided before the deletion was seen, of which an entry that was already written does not know.
        if (expected === 'stream_deleted' && action.code === 'stream_closed' && command.lsn > aggregate.closedLsn)
          return
        if (action.code !== expected)
          this.#violate(entry, `rejects ${command.lsn} with ${action.code}, not ${JSON.stringify(expected)}`)
        return
      case 'command/failed':
        if (name !== 'flaky' || command.attempts >= maxAttempts || isRefused)
          this.#violate(entry, `fails ${command.lsn} in attempt ${command.attempts}`)
        return
      default: {
        const isDue =
          command.instance === dispatcher
            ? command.crashes >= crashesMax
            : name === 'flaky' && command.attempts >= maxAttempts && !isRefused
        if (!isDue)
          this.#violate(entry, `parks ${command.lsn} after ${command.attempts} attempts, ${command.crashes} crashes`)
        if (action.blocksAggregate) aggregate.blockedBy = command.lsn
      }
    }
  }

  #decide(
    { lsn, received: { command, data, expectedRevision } }: ModelCommand,
    { balance, revision, closedLsn, deletedLsn }: ModelAggregate,
  ): EventDraft[] | string {
    if (deletedLsn !== 0) return 'stream_deleted'
    if (closedLsn !== 0 && lsn > closedLsn) return 'stream_closed'
    const movement = data as Movement
    if (expectedRevision !== null && expectedRevision !== revision) return 'revision_mismatch'
    switch (command) {
      case 'deposit':
      case 'flaky':
        return [{ type: 'deposited', data }]
      case 'withdraw':
        return balance < movement.amount ? 'insufficient_funds' : [{ type: 'withdrawn', data }]
      case 'adjust':
        return [
          { type: 'deposited', data },
          { type: 'noted', data: { nonce: movement.nonce } },
        ]
      case 'look':
        return []
      default:
        return 'parked'
    }
  }

  #fold(entry: Entry, events: readonly EventDraft[], aggregate: ModelAggregate, command: ModelCommand): void {
    for (const { type, data } of events) {
      const movement = data as Movement
      aggregate.revision++
      if (type === 'deposited') aggregate.balance += movement.amount
      if (type === 'withdrawn') aggregate.balance -= movement.amount
      if (type !== 'noted') aggregate.movements++
      const event: ModelEvent = {
        type,
        data: movement,
        revision: aggregate.revision,
        globalPosition: this.events.length + 1,
        lsn: entry.lsn,
        command: command.lsn,
      }
      aggregate.events.push(event)
      this.events.push(event)
    }
  }

  #operated(entry: Entry, action: Extract<Action, { type: 'command/retried' | 'command/skipped' }>): void {
    const command = this.commands.get(action.command)
    if (command === undefined) return this.#violate(entry, `is about ${action.command}, which is no command`)
    if (command.status !== 'parked') return this.#violate(entry, `is about ${command.lsn}, which is ${command.status}`)
    const aggregate = this.aggregate(command.key)
    if (aggregate.blockedBy === command.lsn) aggregate.blockedBy = 0
    if (action.type === 'command/skipped') {
      command.status = 'skipped'
      command.endings.push(entry)
      return
    }
    Object.assign(command, { status: 'pending', token: 0, instance: '', attempts: 0, crashes: 0, wasRetried: true })
    const queue = this.#queue(command.key)
    queue.push(command)
    queue.sort((a, b) => a.lsn - b.lsn)
  }

  #ofStream(entry: Entry, action: StreamAction): void {
    const key = `${action.aggregate.type}/${action.aggregate.id}`
    const aggregate = this.aggregate(key)
    switch (action.type) {
      case 'stream/closed':
        aggregate.closedLsn ||= entry.lsn
        return
      case 'stream/deleted':
        if (action.closedLsn !== aggregate.closedLsn)
          this.#violate(entry, `says that ${key} was closed by ${action.closedLsn}, not ${aggregate.closedLsn}`)
        if (this.#queue(key).some(({ lsn }) => lsn < action.closedLsn)) this.voidDeletions++
        else aggregate.deletedLsn ||= entry.lsn
        return
      default:
        this.#archived(entry, action, aggregate)
    }
  }

  #archived(entry: Entry, action: StreamArchived, aggregate: ModelAggregate): void {
    const { from, upTo, lastLsn, snapshot } = action
    if (aggregate.deletedLsn !== 0 || from !== aggregate.archivedUpTo + 1 || upTo > aggregate.revision) return
    aggregate.archivedUpTo = upTo
    const last = aggregate.events[upTo - 1]
    if (last?.lsn !== lastLsn) this.#violate(entry, `ends with entry ${lastLsn}, not ${last?.lsn}`)
    if (snapshot === null) return
    const { balance } = snapshot.state as { balance: number }
    const expected = balanceAt(aggregate, snapshot.revision)
    if (balance !== expected)
      this.#violate(entry, `has the balance ${balance} at ${snapshot.revision}, not ${expected}`)
  }

  #release(instance: string, crashed: boolean): void {
    for (const command of this.commands.values()) {
      if (command.instance !== instance || command.status !== 'pending') continue
      command.instance = ''
      command.token = 0
      if (crashed) command.crashes++
    }
  }
}

/** What the events up to a revision come to. */
export function balanceAt({ events }: ModelAggregate, revision: number): number {
  let balance = 0
  for (const { type, data } of events.slice(0, revision))
    balance += type === 'deposited' ? data.amount : type === 'withdrawn' ? -data.amount : 0
  return balance
}
