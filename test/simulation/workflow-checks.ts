import type { Entry } from '../../src/actions/action.ts'
import { aggregateKey, parseAggregateKey } from '../../src/actions/aggregate-key.ts'
import type { KeyRecord } from '../../src/state/idempotency.ts'
import { emptyRoot, reduce } from '../../src/state/root.ts'
import { simulatedJournalId } from '../../src/testing/simulated-host.ts'
import { turn } from '../../src/testing/turn-adapter.ts'
import { WorkflowExecution } from '../../src/workflows/execution.ts'
import { noIsolation } from '../../src/workflows/isolation.ts'
import { endsWorkflow, type WorkflowEvent } from '../../src/workflows/workflow-events.ts'
import { foldWorkflow, initialWorkflowState } from '../../src/workflows/workflow-state.ts'
import type { Frame } from './journal-entries.ts'
import { flowsOf } from './workflow-code.ts'
import type { OutsideWorld } from './workflow-outside.ts'

/** What keys of effects begin with. */
const ofDatabase = simulatedJournalId.toString('hex').slice(0, 16)

type Violate = (what: string) => void

export interface StoredEvent {
  readonly event: WorkflowEvent
  readonly lsn: number
  readonly run: number
}

/** What the journal says of each workflow, and of the ledgers' bookings. */
export interface Histories {
  readonly byKey: ReadonlyMap<string, readonly StoredEvent[]>
  readonly booked: ReadonlyMap<string, number>
}

/** Folds the journal once more: every message was forwarded once, and nothing is left. */
export function foldJournal(frames: readonly Frame[], isOver: boolean, violate: Violate): Histories {
  const byKey = new Map<string, StoredEvent[]>()
  const booked = new Map<string, number>()
  const saved = new Map<string, KeyRecord>()
  const state = emptyRoot({ lookup: (key) => saved.get(key), keepsPayloads: false })
  const forwarded = new Set<string>()
  for (const { payload, entries } of frames) {
    let o = 0
    for (const entry of entries) {
      const repeats: number = reduce(state, payload, o)
      for (const [key, record] of state.idempotency.recentKeys) saved.set(key, record)
      state.idempotency.recentKeys.clear()
      o += (payload.readUInt32LE(o) + 7) & ~7
      foldEntry(entry, byKey, booked, violate)
      const { action } = entry
      if (action.type !== 'command/received' || action.forwarded === undefined || repeats !== 0) continue
      const name = `${action.forwarded.source} ${action.forwarded.index}`
      if (forwarded.has(name)) violate(`message ${name} was forwarded twice, last by entry ${entry.lsn}`)
      forwarded.add(name)
    }
  }
  if (!isOver) return { byKey, booked }
  for (const messages of state.outbox.bySource.values())
    for (const { source, to, command } of messages)
      violate(`${command} to ${to} of entry ${source} was never forwarded`)
  for (const { key, lsn } of state.activations.byKey.values()) violate(`${key} is active since ${lsn} and does nothing`)
  return { byKey, booked }
}

function foldEntry(
  entry: Entry,
  byKey: Map<string, StoredEvent[]>,
  booked: Map<string, number>,
  violate: Violate,
): void {
  const { action, lsn } = entry
  if (action.type !== 'command/completed' && action.type !== 'workflow/advanced') return
  const key = aggregateKey(action.aggregate.type, action.aggregate.id)
  if (key.startsWith('ledger/')) {
    for (const { data } of action.events) {
      const { nonce } = data as { nonce: string }
      booked.set(nonce, (booked.get(nonce) ?? 0) + 1)
    }
    return
  }
  const events = byKey.get(key) ?? []
  byKey.set(key, events)
  if (action.baseRevision !== events.length)
    violate(`${key} is at revision ${events.length}, and entry ${lsn} goes on from ${action.baseRevision}`)
  for (const one of action.events) {
    const event = one as WorkflowEvent
    const before = events.at(-1)
    const run = (before?.run ?? 0) + (event.type === 'workflow/started' || event.type === 'workflow/continued' ? 1 : 0)
    events.push({ event, lsn, run })
  }
}

const settled: ReadonlySet<string> = new Set([
  'request/completed',
  'command/ended',
  'child/ended',
  'awakeable/resolved',
])

/** Each workflow ends once, and each operation has one result. */
export function checkHistories({ byKey, booked }: Histories, violate: Violate): void {
  for (const [key, events] of byKey) {
    const ends = events.filter(({ event }) => endsWorkflow(event))
    if (ends.length !== 1) violate(`${key} has ended ${ends.length} times`)
    if (ends.length > 0 && events.at(-1) !== ends[0]) violate(`${key} goes on behind its end`)
    const results = new Set<string>()
    const signals = new Set<string>()
    for (const { event, run, lsn } of events) {
      const { type, data } = event
      if (type === 'workflow/parked' && !['Error', 'process_failed', 'timeout'].includes(data.error.code))
        violate(`${key} was parked by ${lsn}: ${JSON.stringify(data.error)}`)
      if (type === 'signal/received' && data.data !== 'help') {
        const name = `${run} ${String(data.data)}`
        if (signals.has(name)) violate(`${key} got the signal ${name} twice, last by ${lsn}`)
        signals.add(name)
      }
      if (!settled.has(type) && !(type === 'request/failed' && data.next === 'final')) continue
      const name = `${run} ${(data as { operation: string }).operation}`
      if (results.has(name)) violate(`${key} has two results of ${name}, the second by entry ${lsn}`)
      results.add(name)
    }
    for (const { event } of events)
      if (event.type === 'command/requested') checkBooking(key, event.data, booked, violate)
  }
}

function checkBooking(
  key: string,
  asked: { command: string; data: unknown },
  booked: ReadonlyMap<string, number>,
  violate: Violate,
): void {
  if (asked.command !== 'book') return
  const { nonce, isRejected } = asked.data as { nonce: string; isRejected: boolean }
  const count = booked.get(nonce) ?? 0
  if (count !== (isRejected ? 0 : 1)) violate(`${key} has had ${nonce} booked ${count} times`)
}

/** What was done outside against what the journal has of it. */
export function checkEffects({ byKey }: Histories, { calls }: OutsideWorld, violate: Violate): void {
  const started = new Map<string, number>()
  const ended = new Map<string, number>()
  for (const [key, events] of byKey) {
    for (const { event, run, lsn } of events) {
      if (!('operation' in event.data)) continue
      const effect = `${ofDatabase}/${key.slice('workflow:'.length)}/${run}/${event.data.operation}`
      if (event.type === 'request/started') started.set(`${effect} ${event.data.attempt}`, lsn)
      if (event.type === 'request/completed') ended.set(effect, lsn)
      if (event.type === 'request/failed' && event.data.next === 'final') ended.set(effect, lsn)
    }
  }
  const seen = new Set<string>()
  for (const { key, attempt, process, knownLsn, flushedLsn } of calls) {
    const name = `${key} ${attempt}`
    if (seen.has(name)) violate(`${process} carries out ${key}, attempt ${attempt}, which was carried out before`)
    seen.add(name)
    const at = started.get(name)
    if (at === undefined || at > Math.min(knownLsn, flushedLsn))
      violate(`${process} carries out ${key}, attempt ${attempt}, which was not flushed`)
    const end = ended.get(key)
    if (end !== undefined && end <= knownLsn)
      violate(`${process} carries out ${key} again, though its result was recorded by ${end}`)
  }
}

/** Runs the code of each workflow over its whole history once more: it must issue what the history has, to the letter. */
export async function checkReplays({ byKey }: Histories, violate: Violate): Promise<void> {
  for (const [key, events] of byKey) await checkReplay(key, events, violate)
}

async function checkReplay(key: string, events: readonly StoredEvent[], violate: Violate): Promise<void> {
  const nowhere = { effect: () => null, undo: () => null, callback: () => {} }
  const [workflow] = flowsOf(nowhere).workflows
  let execution: WorkflowExecution | null = null
  let state = initialWorkflowState()
  for (const [i, { event, run, lsn }] of events.entries()) {
    const { type, data } = event
    state = foldWorkflow(state, event, { aggregate: parseAggregateKey(key), revision: i + 1 })
    if (execution !== null) checkIssued(execution, key, event, lsn, violate)
    if (type === 'workflow/started' || type === 'workflow/continued') {
      const id = key.slice('workflow:job/'.length)
      const { input, version, atMs } = data
      const start = { key, id, run, input, version, atMs, patches: [], isReplayed: true }
      execution = new WorkflowExecution(workflow as never, start, noIsolation)
      execution.begin()
    } else execution?.feed(event)
    await turn()
    // What people are shown as waited for is what the code waits for.
    for (const [operation, { kind }] of Object.entries(state.operations))
      if (kind === 'signal' && !execution?.isOpen(operation))
        violate(`${key} does not wait for ${operation} at entry ${lsn}, and is said to`)
    if (execution?.outcome?.kind === 'broken' && execution.outcome.error.code === 'non_determinism') {
      violate(`the code of ${key} does not match its history at entry ${lsn}: ${execution.outcome.error.message}`)
      return
    }
  }
}

/** What the history says that the code asked for is what it asks for now. */
function checkIssued(
  execution: WorkflowExecution,
  key: string,
  { type, data }: WorkflowEvent,
  lsn: number,
  violate: Violate,
): void {
  const mismatch = (found: unknown): void => {
    violate(
      `${key} had ${type} ${JSON.stringify(data)} by entry ${lsn}, and asks for ${JSON.stringify(found)} when it runs again`,
    )
  }
  const asked = execution.waiting.find(({ id }) => 'operation' in data && id === data.operation)
  if (type === 'signal/awaited' && asked?.kind !== 'signal') mismatch(asked)
  if (type === 'timer/started' && asked !== undefined && 'dueMs' in asked && asked.dueMs !== data.dueMs) mismatch(asked)
  if (
    type === 'command/requested' &&
    asked?.kind === 'command' &&
    JSON.stringify(asked.data) !== JSON.stringify(data.data)
  )
    mismatch(asked)
  if (
    type === 'child/requested' &&
    asked?.kind === 'child' &&
    JSON.stringify(asked.input) !== JSON.stringify(data.input)
  )
    mismatch(asked)
  const { outcome } = execution
  if (
    type === 'workflow/completed' &&
    JSON.stringify(outcome) !== JSON.stringify({ kind: 'completed', result: data.result })
  )
    mismatch(outcome)
  if (
    type === 'workflow/continued' &&
    JSON.stringify(outcome) !== JSON.stringify({ kind: 'continued', input: data.input })
  )
    mismatch(outcome)
  if (type === 'workflow/failed' && outcome?.kind !== 'failed') mismatch(outcome)
}

/** No timer fires before its time. @param wallMsOf when an entry was written, by a clock that never jumped */
export function checkTimers(
  { byKey }: Histories,
  wallMsOf: (lsn: number) => number | undefined,
  violate: Violate,
): void {
  for (const [key, events] of byKey) {
    for (const { event, lsn } of events) {
      const { type, data } = event
      if (type !== 'timer/fired') continue
      const wallMs = wallMsOf(lsn)
      if (wallMs !== undefined && wallMs < data.dueMs - 1)
        violate(`${key}: ${data.operation} fired ${data.dueMs - wallMs} ms too early, by entry ${lsn}`)
    }
  }
}
