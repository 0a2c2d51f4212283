import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { isRemoved, revisionOf } from '../actions/entry-layout.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { isArchivedElsewhere } from '../tables/archived-streams.ts'
import {
  listAllWorkflows,
  listWorkflows,
  readWorkflowRecord,
  type WorkflowListing,
  type WorkflowPlace,
  type WorkflowRecord,
} from '../tables/workflow-index.ts'
import { isoTime, isoTimeOrNull } from '../workflows/iso-time.ts'
import { unknownWorkflow } from '../workflows/workflow-end.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { workflowNameOf, workflowType } from '../workflows/workflow-names.ts'
import type { WorkflowSummary, WorkflowView, WorkflowWaiting } from '../workflows/workflow-view.ts'
import { WorkflowViewFold } from '../workflows/workflow-view-fold.ts'
import { waitingOf } from '../workflows/workflow-waiting.ts'
import type { Queries } from './queries.ts'

/** Events that are folded, and rows of the index that are looked at, before the event loop is given back. */
const eventsPerTurn = 2000
const rowsPerTurn = 2000
/** Each has to be folded. */
const lookedAtPerTurn = 20

export interface WorkflowListQuery {
  /** Absent: of all names; also of those that no application defines any more. */
  readonly name?: string | undefined
  readonly status?: string | undefined
  readonly limit: number
  /** Id after which to go on; without a name `name/id`. */
  readonly after?: string | undefined
  /** Whether to say what those wait for that are running. */
  readonly waiting?: boolean | undefined
}

/** What the store knows of workflows: their index, and their histories, read a portion at a time. */
export class WorkflowReads {
  readonly #environment: Environment
  readonly #store: KeyValueStore
  readonly #queries: Queries

  constructor(environment: Environment, store: KeyValueStore, queries: Queries) {
    this.#environment = environment
    this.#store = store
    this.#queries = queries
  }

  /** @throws CommanderError `unknown_workflow`, `workflow_unknown`, `stream_deleted` */
  record(name: string, id: string): WorkflowSummary {
    const key = this.#queries.present(workflowType(name), id)
    const record = readWorkflowRecord(this.#store, key)
    if (record === null) throw unknownWorkflow(name, id, this.#queries.pendingStart(key))
    return summaryOf(name, id, record)
  }

  /** @throws CommanderError as `record`, and `archive_unavailable` */
  async view(name: string, id: string): Promise<WorkflowView> {
    const type = workflowType(name)
    const fold = new WorkflowViewFold(type, id)
    const key = this.#queries.present(type, id)
    while (await this.#foldSome(fold, key)) await this.#turn()
    const view = fold.view(this.#obstacle)
    if (view === null) throw unknownWorkflow(name, id, this.#queries.pendingStart(key))
    return view
  }

  /** In the order of their names and ids. @throws CommanderError `unknown_workflow`, and `archive_unavailable` with `waiting` */
  async list({ name, status, limit, after = '', waiting = false }: WorkflowListQuery): Promise<WorkflowSummary[]> {
    if (name !== undefined) this.#queries.known(workflowType(name))
    const most = Math.min(limit, limits.pageEventsMax)
    const found: WorkflowSummary[] = []
    let place = after === '' ? null : name === undefined ? placeOf(after) : { type: workflowType(name), id: after }
    for (let isOver = false; !isOver; ) {
      isOver = true
      let rows = 0
      for (const { type, id, ...record } of this.#listed(name, place, status === 'parked')) {
        if (status === undefined || record.status === status) found.push(summaryOf(workflowNameOf(type), id, record))
        if (found.length === most) break
        if (++rows < rowsPerTurn) continue
        place = { type, id }
        isOver = false
        break
      }
      if (!isOver) await this.#turn()
    }
    return waiting ? this.#withWaiting(found) : found
  }

  #listed(name: string | undefined, after: WorkflowPlace | null, isParked: boolean): Iterable<WorkflowListing> {
    if (name === undefined) return listAllWorkflows(this.#store, after, isParked)
    return listWorkflows(this.#store, workflowType(name), after?.id ?? '')
  }

  async #withWaiting(found: readonly WorkflowSummary[]): Promise<WorkflowSummary[]> {
    const all: WorkflowSummary[] = []
    for (const one of found) {
      all.push(one.status === 'running' ? { ...one, waitingFor: await this.#waitingFor(one) } : one)
      if (all.length % lookedAtPerTurn === 0) await this.#turn()
    }
    return all
  }

  /** Nothing of one that has ended meanwhile, or was deleted. */
  async #waitingFor({ name, id }: WorkflowSummary): Promise<readonly WorkflowWaiting[]> {
    for (;;) {
      try {
        const state = this.#queries.workflowState(name, id)
        return state === null ? [] : waitingOf(`${workflowType(name)}/${id}`, state, this.#obstacle)
      } catch (error) {
        if (!isArchivedElsewhere(error)) throw error
        await this.#queries.archived.load(error)
      }
    }
  }

  /** @returns whether there is more */
  async #foldSome(fold: WorkflowViewFold, key: string): Promise<boolean> {
    const before = fold.revision
    try {
      for (const { buffer, offset } of this.#queries.entries(key, fold.revision + 1)) {
        if (isRemoved(buffer, offset)) return false
        const known = fold.revision - revisionOf(buffer, offset)
        for (const event of eventsOf(buffer, offset).slice(known)) fold.add(event as WorkflowEvent)
        if (fold.revision - before >= eventsPerTurn) return true
      }
      return false
    } catch (error) {
      if (!isArchivedElsewhere(error)) throw error
      await this.#queries.archived.load(error)
      return true
    }
  }

  readonly #obstacle = (key: string): string | null => {
    try {
      this.#queries.known(aggregateTypeOf(key))
      return null
    } catch (error) {
      return messageOf(error)
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#environment.scheduler.soon(resolve))
  }
}

/** @throws CommanderError `invalid_input` */
function placeOf(after: string): WorkflowPlace {
  const slash = after.indexOf('/')
  if (slash > 0 && slash < after.length - 1)
    return { type: workflowType(after.slice(0, slash)), id: after.slice(slash + 1) }
  const message = `"after" is "${after}", but must be NAME/ID, as order/17, where the workflows of all names are listed`
  throw new CommanderError('invalid_input', message)
}

const summaryOf = (name: string, id: string, record: WorkflowRecord): WorkflowSummary => ({
  name,
  id,
  status: record.status,
  version: record.version,
  run: record.run,
  startedAt: isoTime(record.startedAtMs),
  endedAt: isoTimeOrNull(record.endedAtMs),
})

/** @throws CommanderError `workflow_running` */
export function assertEnded(record: WorkflowRecord | null, key: string, what: string): void {
  if (record === null || record.endedAtMs !== null) return
  const message = `workflow ${workflowNameOf(key)} is ${record.status}; its stream can be ${what} when it has ended: cancel it first`
  throw new CommanderError('workflow_running', message, { details: { status: record.status } })
}
