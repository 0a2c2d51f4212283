import { actionCodes } from '../actions/action-codes.ts'
import { aggregateTypeOf, parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { codeOf, entryFlags, eventCountOf, flagsOf, isRemoved, keyOf, lsnOf, nameOf } from '../actions/entry-layout.ts'
import { waitModes } from '../ipc/client-protocol.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Application } from '../sdk/application.ts'
import type { RootState } from '../state/root.ts'
import { pendingStartOf } from '../state/waiting-for.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { type ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { EventLogReader } from '../tables/event-log.ts'
import { type HostedAggregate, hosted, hostedAggregates } from '../tables/hosted-aggregates.ts'
import { readLife } from '../tables/lives.ts'
import type { StoredOutcome } from '../tables/outcomes.ts'
import { AggregateRestorer } from '../tables/restore-aggregate.ts'
import { StreamReader } from '../tables/stream-reader.ts'
import { readHead } from '../tables/streams.ts'
import { readWorkflowRecord } from '../tables/workflow-index.ts'
import { endError, unknownWorkflow } from '../workflows/workflow-end.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { isWorkflowKey, workflowNameOf } from '../workflows/workflow-names.ts'
import type { WorkflowState } from '../workflows/workflow-state.ts'
import type { Answers } from './answers.ts'
import type { Call, Replier } from './call.ts'
import { WorkflowWaits } from './workflow-waits.ts'

interface Look {
  readonly call: Call
  readonly neededLsn: Lsn
  /** The workflow waited to be started when it was asked for. */
  readonly isPending: boolean
}

export interface WorkflowEndsOptions {
  readonly state: RootState
  readonly store: KeyValueStore
  readonly archived: ArchivedStreams
  readonly applications: readonly Application[]
  readonly answers: Answers
}

/**
 * Who waits for workflows to end is answered from the entry that says so, once it is flushed, and not when the store has
 * it.
 *
 * I1. Nobody misses an end: a call waits here first, and then the store is looked at as of the entry that was reduced
 *     last. What came before is in the store then, and what comes after passes here.
 */
export class WorkflowEnds {
  readonly #o: WorkflowEndsOptions
  readonly #log: EventLogReader
  readonly #streams: StreamReader
  readonly #restorer: AggregateRestorer
  readonly #hosted: ReadonlyMap<string, HostedAggregate>
  readonly #waits = new WorkflowWaits()
  #looks: Look[] = []

  constructor(options: WorkflowEndsOptions) {
    const { store, archived, applications } = options
    this.#o = options
    this.#log = new EventLogReader(store, archived)
    this.#streams = new StreamReader(store, this.#log, archived)
    this.#restorer = new AggregateRestorer(store, archived, this.#log)
    this.#hosted = new Map(applications.flatMap((application) => [...hostedAggregates(application)]))
  }

  get waiting(): number {
    return this.#waits.size
  }

  /** @throws CommanderError `overloaded`; `invalid_input` for a draft that does not start a workflow */
  admit(source: Buffer, offset: number): void {
    if (!isWorkflowKey(keyOf(source, offset)) || nameOf(source, offset) !== 'start')
      throw new CommanderError('invalid_input', 'only the start of a workflow can be waited for until it has ended')
    this.assertRoom()
  }

  /** @throws CommanderError `overloaded` */
  assertRoom(): void {
    if (this.#waits.size < limits.workflowWaitsMax) return
    const message = `${this.#waits.size} callers wait for workflows to end already; ask for the result later`
    throw new CommanderError('overloaded', message, { details: { retryAfterMs: 1000 } })
  }

  /** The call's command is ended by the entry at `o`, which has just been reduced. @returns whether the call waits on */
  started(call: Call, entry: Buffer, o: number): boolean {
    if (!waitsOn(call, codeOf(entry, o))) return false
    const key = keyOf(entry, o)
    // Without an event it was started before, and may have ended by now.
    if (eventCountOf(entry, o) === 0) this.await(call, key, lsnOf(entry, o))
    else if (isListening(call)) this.#waits.add(call, key)
    return true
  }

  /** The call's command has ended as the store has it. @param at the entry that was reduced last */
  goesOn(call: Call, { entry, offset, code }: StoredOutcome, at: Lsn): boolean {
    if (!waitsOn(call, code)) return false
    this.await(call, keyOf(entry, offset), at)
    return true
  }

  /** @param at the entry that was reduced last */
  await(call: Call, key: string, at: Lsn): void {
    if (!isListening(call)) return
    this.#waits.add(call, key) // I1
    const look = this.#lookOf(call, key, at)
    if (at > this.#o.answers.applied) this.#looks.push(look)
    else this.#look(look)
  }

  /** An answer to it was put off, so the store has it, unless the workflow was retried since. @param at as for `await` */
  again(call: Call, at: Lsn): void {
    if (!isListening(call)) return
    this.#waits.add(call, call.workflow) // I1
    const look = this.#lookOf(call, call.workflow, at)
    this.#look(look)
    if (this.#waits.holds(call) && at > this.#o.answers.applied) this.#looks.push(look)
  }

  #lookOf(call: Call, key: string, neededLsn: Lsn): Look {
    return { call, neededLsn, isPending: pendingStartOf(this.#o.state, key) !== undefined }
  }

  /** Nobody listens any more: to one request, or to any. */
  forget(replier: Replier, request?: number): void {
    this.#waits.forget(replier, request)
  }

  /** The entry at `o` has just been reduced: does it end a workflow that somebody waits for? */
  reduced(b: Buffer, o: number, firstPosition: number): void {
    const flags = flagsOf(b, o)
    if (this.#waits.size === 0 || (flags & (entryFlags.ends | entryFlags.indexed)) === 0) return
    const key = keyOf(b, o)
    if (!this.#waits.has(key)) return
    if ((flags & entryFlags.ends) !== 0) {
      for (const call of this.#waits.take(key)) this.#ended(call, b, o, firstPosition)
      return
    }
    const parked = (eventsOf(b, o) as WorkflowEvent[]).findLast(({ type }) => type === 'workflow/parked')
    if (parked?.type !== 'workflow/parked') return
    const error = parkedError(key, parked.data.error)
    for (const call of this.#waits.take(key)) this.#o.answers.refuse(call, error, lsnOf(b, o))
  }

  appliedUpTo(mark: Lsn): void {
    this.#log.forget()
    if (this.#looks.length === 0) return
    const due = this.#looks.filter(({ neededLsn }) => neededLsn <= mark)
    this.#looks = this.#looks.filter(({ neededLsn }) => neededLsn > mark)
    for (const look of due) this.#look(look)
  }

  #ended(call: Call, entry: Buffer, offset: number, firstPosition: number): void {
    const { commandLsn, isDuplicate } = call
    const [endLsn, code] = [lsnOf(entry, offset), codeOf(entry, offset)]
    this.#o.answers.ended(call, { commandLsn, endLsn, code, durability: 0, isDuplicate, firstPosition, entry, offset })
  }

  /** What the store has of it: enough, where it ended before somebody waited. */
  #look(look: Look): void {
    const { call } = look
    if (!this.#waits.holds(call)) return
    try {
      this.#lookNow(look)
    } catch (error) {
      if (isArchivedElsewhere(error)) {
        this.#o.archived.load(error).then(
          () => this.#later(() => this.#look(look)),
          (failure: unknown) => this.#later(() => this.#fail(call, failure)),
        )
      } else this.#fail(call, error)
    }
  }

  #lookNow({ call, isPending }: Look): void {
    const { store } = this.#o
    const key = call.workflow
    const { type, id } = parseAggregateKey(key)
    if (readLife(store, key).deletedLsn !== 0)
      throw new CommanderError('stream_deleted', `${key} was deleted, and its id is not used again`)
    const record = readWorkflowRecord(store, key)
    if (record === null && isPending) return
    if (record === null) throw unknownWorkflow(workflowNameOf(type), id, null)
    if (record.status === 'running') return
    if (record.status === 'parked') throw parkedError(key, this.#stateOf(key).error)
    for (const { buffer, offset, position } of this.#streams.entries(key, readHead(store, key)?.revision ?? 1)) {
      if (isRemoved(buffer, offset)) break
      this.#waits.remove(call)
      this.#ended(call, buffer, offset, position)
      return
    }
    throw new CommanderError('store_failed', `the store has no end of ${key}, which is ${record.status}`)
  }

  #stateOf(key: string): WorkflowState {
    return this.#restorer.restore(hosted(this.#hosted, aggregateTypeOf(key)), key).state as WorkflowState
  }

  #fail(call: Call, error: unknown): void {
    if (!this.#waits.holds(call)) return
    this.#waits.remove(call)
    this.#o.answers.refuse(call, asCommanderError(error), lsn(0))
  }

  #later(answer: () => void): void {
    answer()
    this.#o.answers.flush()
  }
}

const waitsOn = ({ wait }: Call, code: number): boolean =>
  wait === waitModes.ended && code === actionCodes['command/completed']

const isListening = ({ replier, request }: Call): boolean => replier.isListening?.(request) !== false

function parkedError(key: string, error: WorkflowState['error']): CommanderError {
  const { type, id } = parseAggregateKey(key)
  return endError({ name: workflowNameOf(type), id, status: 'parked', result: null, error })
}

/** Whether the entry is one that may end a workflow. */
export const mayEndWorkflow = (code: number): boolean =>
  code === actionCodes['workflow/advanced'] || code === actionCodes['command/completed']
