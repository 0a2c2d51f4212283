import { actionCodes } from '../actions/action-codes.ts'
import { codeOf, lsnOf } from '../actions/entry-layout.ts'
import { waitModes } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { Queue } from '../kernel/queue.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { type ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { EventLogReader } from '../tables/event-log.ts'
import { readOutcome, type StoredOutcome } from '../tables/outcomes.ts'
import type { Call, CallOutcome, Replier } from './call.ts'
import { OwedAnswers } from './owed-answers.ts'
import { keptAlone } from './refusals.ts'

interface Ended {
  readonly call: Call
  readonly outcome: CallOutcome
}

interface LookUp {
  readonly call: Call
  readonly neededLsn: Lsn
}

interface Refusal {
  readonly call: Call
  readonly error: CommanderError
  readonly at: Lsn
}

const written = 0
const flushed = 1
const applied = 2
const replicated = 3

/** Ends that may be large, and can be looked for again. */
const owable: ReadonlySet<number> = new Set([
  actionCodes['command/completed'],
  actionCodes['command/rejected'],
  actionCodes['command/parked'],
  actionCodes['command/skipped'],
  actionCodes['workflow/advanced'],
])

const isOwable = ({ wait }: Call, { code, entry }: CallOutcome): boolean =>
  entry !== null && wait !== waitModes.received && owable.has(code)

/** What becomes of calls that are not simply answered from the store. */
export interface CallsThatWait {
  /** The call waits for more than its command, which has ended as stored. @returns whether it does */
  goesOn(call: Call, stored: StoredOutcome): boolean
  /** Its answer was put off, and may be another one by now. @returns whether it is looked for or waited for anew */
  again(call: Call): boolean
}

const nothingWaits: CallsThatWait = { goesOn: () => false, again: () => false }

/**
 * Outcomes on their way to their callers: held back until they are flushed, or applied, as each caller asked; and calls
 * whose outcome is looked up in the store once the store has it.
 */
export class Answers {
  readonly #store: KeyValueStore
  readonly #archived: ArchivedStreams
  readonly #waiting: CallsThatWait
  readonly #log: EventLogReader
  readonly #unflushed = new Queue<Ended>()
  readonly #unapplied = new Queue<Ended>()
  readonly #refusals = new Queue<Refusal>()
  #lookUps: LookUp[] = []
  readonly #owed = new OwedAnswers()
  readonly #repliers = new Set<Replier>()
  /** Why nothing can be promised to be replicated; null: what is flushed is. */
  replicationRefusal: CommanderError | null = keptAlone()
  #flushed: Lsn = lsn(0)
  #applied: Lsn = lsn(0)
  #answered: Lsn = lsn(0)

  constructor(store: KeyValueStore, archived: ArchivedStreams, waiting: CallsThatWait = nothingWaits) {
    this.#store = store
    this.#archived = archived
    this.#waiting = waiting
    this.#log = new EventLogReader(store, archived)
  }

  get flushed(): Lsn {
    return this.#flushed
  }

  /** Of what is flushed and not applied. */
  get #level(): number {
    return this.replicationRefusal === null ? replicated : flushed
  }

  get applied(): Lsn {
    return this.#applied
  }

  /** The newest flushed entry that a caller was told of. */
  get answered(): Lsn {
    return this.#answered
  }

  get pending(): number {
    const waiting = this.#unflushed.length + this.#unapplied.length + this.#refusals.length
    return waiting + this.#lookUps.length + this.#owed.length
  }

  /** The entry at `outcome.endLsn` says how the call came out. */
  ended(call: Call, outcome: CallOutcome): void {
    if (call.wait === waitModes.applied) this.#unflushed.push({ call, outcome })
    else if (call.writtenIsEnough) this.#answer(call, outcome, written)
    else if (outcome.endLsn <= this.#flushed) this.#answer(call, outcome, this.#level)
    else this.#unflushed.push({ call, outcome })
  }

  /** The call's command is received: that is all its caller waits for. */
  received(call: Call, at: Lsn): void {
    this.#began(call, at, actionCodes['command/received'], null, 0)
  }

  /** What an operator decided on a parked command is written: the entry at `offset` says it. */
  operated(call: Call, entry: Buffer, offset: number): void {
    this.#began(call, lsnOf(entry, offset), codeOf(entry, offset), entry, offset)
  }

  /** The call repeats a command that has ended; the store has its outcome once it has applied `neededLsn`. */
  lookUp(call: Call, neededLsn: Lsn): void {
    if (neededLsn > this.#applied) this.#lookUps.push({ call, neededLsn })
    else this.#answerFromStore(call)
  }

  /** What the entries up to `at` say forbids the call; its caller is told once they are flushed (G9). */
  refuse(call: Call, error: CommanderError, at: Lsn): void {
    if (at <= this.#flushed) this.#refuse({ call, error, at })
    else this.#refusals.push({ call, error, at })
  }

  fail(replier: Replier, request: number, error: CommanderError): void {
    replier.failed(request, error)
    this.#repliers.add(replier)
  }

  flushedUpTo(mark: Lsn): void {
    this.#flushed = mark
    this.release()
  }

  /** Answers what is flushed by now. */
  release(): void {
    const queue = this.#unflushed
    for (let ended = queue.peek(); ended !== undefined && ended.outcome.endLsn <= this.#flushed; ended = queue.peek()) {
      queue.shift()
      if (ended.call.wait === waitModes.applied) this.#afterApply(ended)
      else this.#answer(ended.call, ended.outcome, this.#level)
    }
    const refusals = this.#refusals
    for (let next = refusals.peek(); next !== undefined && next.at <= this.#flushed; next = refusals.peek()) {
      refusals.shift()
      this.#refuse(next)
    }
  }

  appliedUpTo(mark: Lsn): void {
    this.#applied = mark
    this.#log.forget()
    const queue = this.#unapplied
    for (let ended = queue.peek(); ended !== undefined && ended.outcome.endLsn <= mark; ended = queue.peek()) {
      queue.shift()
      this.#answer(ended.call, ended.outcome, applied)
    }
    for (const replier of this.#owed.repliers) this.#answerOwed(replier)
    if (this.#lookUps.length === 0) return
    const due = this.#lookUps.filter(({ neededLsn }) => neededLsn <= mark)
    this.#lookUps = this.#lookUps.filter(({ neededLsn }) => neededLsn > mark)
    for (const { call } of due) this.#answerFromStore(call)
  }

  /** The connection takes more. */
  takesMore(replier: Replier): void {
    this.#answerOwed(replier)
    this.flush()
  }

  /** The connection is gone. */
  forget(replier: Replier): void {
    this.#owed.forget(replier)
  }

  /** The answers of this turn are complete. */
  flush(): void {
    if (this.#repliers.size === 0) return
    for (const replier of this.#repliers) replier.flush()
    this.#repliers.clear()
  }

  #began(call: Call, endLsn: Lsn, code: number, entry: Buffer | null, offset: number): void {
    const { commandLsn, isDuplicate } = call
    this.ended(call, { commandLsn, endLsn, code, durability: flushed, isDuplicate, firstPosition: 0, entry, offset })
  }

  /** Whoever reads next sees why. */
  #refuse({ call, error, at }: Refusal): void {
    if (at > this.#answered) this.#answered = at
    if (call.workflow !== '' && call.replier.isFull === true) this.#owed.add(call, at)
    else this.fail(call.replier, call.request, error)
  }

  #afterApply(ended: Ended): void {
    if (ended.outcome.endLsn <= this.#applied) this.#answer(ended.call, ended.outcome, applied)
    else this.#unapplied.push(ended)
  }

  #answerOwed(replier: Replier): void {
    for (const call of this.#owed.due(replier, this.#applied))
      if (!this.#waiting.again(call)) this.#answerFromStore(call)
  }

  #answerFromStore(call: Call): void {
    if (call.replier.isFull === true) {
      this.#owed.add(call, this.#applied)
      return
    }
    try {
      this.#answerStored(call, call.commandLsn > 0 ? readOutcome(this.#store, this.#log, call.commandLsn) : null)
    } catch (error) {
      if (!isArchivedElsewhere(error)) throw error
      this.#archived.load(error).then(
        () => this.#later(() => this.#answerFromStore(call)),
        (failure: CommanderError) => this.#later(() => this.fail(call.replier, call.request, failure)),
      )
    }
  }

  #later(answer: () => void): void {
    answer()
    this.flush()
  }

  #answerStored(call: Call, stored: StoredOutcome | null): void {
    const { commandLsn } = call
    if (stored === null) {
      const message = `the call was answered before, and its outcome is no longer known (command ${commandLsn})`
      this.fail(call.replier, call.request, new CommanderError('not_found', message))
      return
    }
    if (this.#waiting.goesOn(call, stored)) return
    this.#answer(call, { ...stored, commandLsn, durability: applied, isDuplicate: call.isDuplicate }, applied)
  }

  #answer(call: Call, outcome: CallOutcome, durability: number): void {
    if (durability !== written && outcome.endLsn > this.#answered) this.#answered = outcome.endLsn
    if (call.replier.isFull === true && isOwable(call, outcome)) {
      call.commandLsn = outcome.commandLsn
      this.#owed.add(call, outcome.endLsn)
      return
    }
    outcome.durability = durability
    call.replier.completed(call.request, outcome)
    this.#repliers.add(call.replier)
  }
}
