import { pack, unpack } from '../actions/message-pack.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey, prefixRange } from '../store/keys.ts'
import type { EventOfType, WorkflowEvent } from '../workflows/workflow-events.ts'
import type { WorkflowStatus } from '../workflows/workflow-state.ts'
import { type TimerKeeper, tellTimers } from '../workflows/workflow-timers.ts'
import { tableNames } from './table-names.ts'
import { deleteTimer, putTimer } from './timers.ts'

/** What is known of a workflow without reading its history. */
export interface WorkflowRecord {
  readonly status: Exclude<WorkflowStatus, 'none'>
  readonly version: number
  readonly run: number
  readonly startedAtMs: number
  readonly endedAtMs: number | null
}

export interface WorkflowListing extends WorkflowRecord {
  /** Aggregate type of the workflow. */
  readonly type: string
  readonly id: string
}

/** Puts what an event changes of the index of workflows and of timers. */
export function indexWorkflowEvent(batch: WriteBatch, key: string, event: WorkflowEvent, at: Lsn): void {
  tellTimers(keeperIn(batch), key, event, at)
  const record = recordAfter(readRecord(batch.get(tableNames.workflows, indexKey(key))), event)
  if (record === null) return
  batch.put(tableNames.workflows, indexKey(key), pack(record))
  if (record.status === 'parked') batch.put(tableNames.parkedWorkflows, indexKey(key), nothing)
  else batch.delete(tableNames.parkedWorkflows, indexKey(key))
}

const nothing = Buffer.alloc(0)

const keeperIn = (batch: WriteBatch): TimerKeeper => ({
  add: (timer) => putTimer(batch, timer),
  remove: (place) => deleteTimer(batch, place),
})

function started({ data }: EventOfType<'workflow/started'>): WorkflowRecord {
  return { status: 'running', version: data.version, run: 1, startedAtMs: data.atMs, endedAtMs: null }
}

/** null: the event changes nothing of it. */
function recordAfter(before: WorkflowRecord | null, event: WorkflowEvent): WorkflowRecord | null {
  if (event.type === 'workflow/started') return started(event)
  if (before === null) return null
  switch (event.type) {
    case 'workflow/continued':
      return { ...before, run: before.run + 1, version: event.data.version }
    case 'workflow/parked':
      return { ...before, status: 'parked' }
    case 'workflow/retried':
    case 'workflow/cancel-requested':
      return { ...before, status: 'running' }
    case 'workflow/completed':
      return { ...before, status: 'completed', endedAtMs: event.data.atMs }
    case 'workflow/failed':
      return { ...before, status: 'failed', endedAtMs: event.data.atMs }
    case 'workflow/cancelled':
      return { ...before, status: 'cancelled', endedAtMs: event.data.atMs }
    default:
      return null
  }
}

export function deleteWorkflowRecord(batch: WriteBatch, key: string): void {
  batch.delete(tableNames.workflows, indexKey(key))
  batch.delete(tableNames.parkedWorkflows, indexKey(key))
}

/** How many commands and workflows wait for a person. */
export const countParked = (store: KeyValueStore): { readonly commands: number; readonly workflows: number } => ({
  commands: store.table(tableNames.parked).count(),
  workflows: store.table(tableNames.parkedWorkflows).count(),
})

/** By type and then by id. */
function indexKey(key: string): Buffer {
  const slash = key.indexOf('/')
  return encodeKey(key.slice(0, slash), key.slice(slash + 1))
}

const readRecord = (value: Buffer | undefined): WorkflowRecord | null =>
  value === undefined ? null : (unpack(value, 0, value.length) as WorkflowRecord)

export const readWorkflowRecord = (store: KeyValueStore, key: string): WorkflowRecord | null =>
  readRecord(store.table(tableNames.workflows).get(indexKey(key)))

/** Where a list of the workflows of all names goes on. */
export interface WorkflowPlace {
  readonly type: string
  readonly id: string
}

/** Workflows of all types, by those and then by their ids; with `isParked` without a look at the others. */
export function* listAllWorkflows(
  store: KeyValueStore,
  after: WorkflowPlace | null,
  isParked: boolean,
): Generator<WorkflowListing> {
  const range = after === null ? {} : { from: encodeKey(after.type, after.id) }
  const table = store.table(isParked ? tableNames.parkedWorkflows : tableNames.workflows)
  for (const { key, value } of table.range(range)) {
    const [type, id] = decodeKey(key, ['string', 'string']) as [string, string]
    if (type === after?.type && id === after.id) continue
    const record = isParked ? readRecord(store.table(tableNames.workflows).get(key)) : readRecord(value)
    if (record !== null) yield { type, id, ...record }
  }
}

/** Workflows of one type in the order of their ids, after one of them. */
export function* listWorkflows(store: KeyValueStore, type: string, after: string): Generator<WorkflowListing> {
  const all = prefixRange(encodeKey(type))
  const from = after === '' ? all.from : encodeKey(type, after)
  for (const { key, value } of store.table(tableNames.workflows).range({ ...all, from })) {
    const [, id] = decodeKey(key, ['string', 'string']) as [string, string]
    if (id !== after) yield { type, id, ...(unpack(value, 0, value.length) as WorkflowRecord) }
  }
}
