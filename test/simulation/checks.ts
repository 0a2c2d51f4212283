import { actionCodes } from '../../src/actions/action-codes.ts'
import { aggregateKey } from '../../src/actions/aggregate-key.ts'
import { eventsOf } from '../../src/actions/decode.ts'
import { keyOf, lsnOf, revisionOf } from '../../src/actions/entry-layout.ts'
import type { ClientEvent } from '../../src/ipc/call-codec.ts'
import { commandDigest } from '../../src/sdk/command-payload.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { readKey } from '../../src/tables/idempotency-keys.ts'
import { readOutcome, readParked } from '../../src/tables/outcomes.ts'
import { readProgress, readRow } from '../../src/tables/projection-rows.ts'
import { readHead, streamPointers } from '../../src/tables/streams.ts'
import type { Movement } from './bank.ts'
import type { Call } from './client.ts'
import type { Model, ModelCommand } from './model.ts'

type Violate = (what: string) => void

const unexpectedErrors: ReadonlySet<string> = new Set([
  'internal',
  'none',
  'not_found',
  'protocol_violation',
  'stale_token',
  'timeout',
  'unknown_aggregate',
  'unknown_command',
  'invalid_input',
  'schema_violation',
  'payload_too_large',
  'journal_corrupt',
  'store_failed',
])

/** What the clients were told against what the journal says (G1, G3, G6, G8). */
export function checkAnswers(calls: readonly Call[], model: Model, powerEpoch: number, violate: Violate): void {
  checkExactlyOnce(model, violate)
  for (const call of calls) {
    if (call.errorCode !== null) checkError(call, model, violate)
    // What was only written may be lost with the power, as the client was told.
    else if (call.outcome !== null && (call.durability === 'flushed' || call.powerEpoch === powerEpoch))
      checkOutcome(call, model, violate)
  }
}

/** A call is carried out once, however often it was sent: every nonce is in one command, or in one for each life of its key. */
function checkExactlyOnce(model: Model, violate: Violate): void {
  const seen = new Map<string, ModelCommand>()
  for (const command of model.commands.values()) {
    const { nonce } = command.received.data as Movement
    const before = seen.get(nonce)
    seen.set(nonce, command)
    // A key of short life, or the same data under another client's call: the model has decided that it was new.
    if (before === undefined || command.received.idempotencyKey !== null) continue
    violate(`G8: command ${command.lsn} carries out ${nonce}, which command ${before.lsn} did`)
  }
}

function checkError(call: Call, model: Model, violate: Violate): void {
  const { errorCode, key } = call
  if (errorCode === null || unexpectedErrors.has(errorCode)) {
    violate(`call #${call.number} failed: ${String(call.error)}`)
    return
  }
  if (errorCode !== 'idempotency_conflict') return
  const digest = Buffer.from(commandDigest(call.aggregate, call.id, call.command, call.data)).toString('hex')
  const isOther = (lsn: number): boolean => {
    const use = model.commands.get(lsn)?.received.idempotencyKey
    return use != null && Buffer.from(use.digest).toString('hex') !== digest
  }
  if (key === null || !(model.uses.get(key) ?? []).some(isOther))
    violate(`G6: call #${call.number} conflicts with nothing under ${key}`)
}

function checkOutcome(call: Call, model: Model, violate: Violate): void {
  const { outcome } = call
  if (outcome === null) return
  const name = `call #${call.number}`
  const command = model.commands.get(Number(outcome.id))
  if (command === undefined) {
    violate(`G1: ${name} was answered with command ${outcome.id}, which is not in the journal`)
    return
  }
  const { received } = command
  const data = received.data as Movement
  const isMine =
    command.key === aggregateKey(call.aggregate, call.id) &&
    received.command === call.command &&
    data.nonce === call.data.nonce &&
    data.amount === call.data.amount
  if (!isMine) {
    violate(
      `G6: ${name} ${call.command} ${call.data.nonce} was answered with command ${outcome.id}, ${received.command} ${data.nonce}`,
    )
    return
  }
  if (call.wait !== 'received' && outcome.outcome === 'received')
    violate(`${name} was to wait for more than ${outcome.outcome}`)
  if (outcome.outcome === 'received') return
  const ending = command.endings.find(
    ({ lsn, action }) => lsn === outcome.lsn && action.type === `command/${outcome.outcome}`,
  )
  if (ending?.lsn !== outcome.lsn) {
    violate(
      `G1: ${name} was answered that command ${outcome.id} is ${outcome.outcome} by entry ${outcome.lsn}; it is ${command.status} by ${command.endings.map(({ lsn }) => lsn).join()}`,
    )
    return
  }
  if (
    outcome.outcome === 'rejected' &&
    ending.action.type === 'command/rejected' &&
    ending.action.code !== outcome.code
  )
    violate(`G1: ${name} was rejected with ${outcome.code}, in the journal with ${ending.action.code}`)
  if (outcome.outcome === 'completed') checkEvents(name, outcome.events, command, model, violate)
}

function checkEvents(
  name: string,
  events: readonly ClientEvent[],
  command: ModelCommand,
  model: Model,
  violate: Violate,
): void {
  const mine = model.aggregate(command.key).events.filter((event) => event.command === command.lsn)
  const inJournal = mine.map(({ type, data, revision, globalPosition, lsn }) => ({
    type,
    data,
    revision,
    globalPosition,
    lsn,
  }))
  const answered = events.map(({ type, data, revision, globalPosition, lsn }) => ({
    type,
    data,
    revision,
    globalPosition,
    lsn,
  }))
  if (JSON.stringify(inJournal) !== JSON.stringify(answered))
    violate(`G1: ${name} was answered ${JSON.stringify(answered)}, the journal has ${JSON.stringify(inJournal)}`)
}

/** An event that somebody read must be in the journal for ever (G9). */
export function checkRead(what: string, event: ClientEvent, model: Model, violate: Violate): void {
  const inJournal = model.events[event.globalPosition - 1]
  const isSame =
    inJournal !== undefined &&
    inJournal.type === event.type &&
    inJournal.lsn === event.lsn &&
    inJournal.revision === event.revision &&
    JSON.stringify(inJournal.data) === JSON.stringify(event.data)
  if (!isSame) violate(`G9: ${what} read ${JSON.stringify(event)}, the journal has ${JSON.stringify(inJournal)}`)
}

/** A subscriber gets every event once and in order, whatever happened to its connection. */
export function checkSubscription(events: readonly ClientEvent[], model: Model, violate: Violate): void {
  for (const [index, event] of events.entries()) {
    if (event.globalPosition !== index + 1)
      return violate(`G9: the subscriber got position ${event.globalPosition} after ${index}`)
    checkRead('the subscriber', event, model, violate)
  }
  if (events.length !== model.events.length)
    violate(`G9: the subscriber got ${events.length} events of ${model.events.length}`)
}

/** A state that somebody read is the fold of the events up to its revision. */
export function checkState(
  read: { key: string; revision: number; balance: number },
  model: Model,
  violate: Violate,
): void {
  let balance = 0
  for (const { type, data } of model.aggregate(read.key).events.slice(0, read.revision)) {
    balance += type === 'deposited' ? data.amount : type === 'withdrawn' ? -data.amount : 0
  }
  if (balance !== read.balance)
    violate(`G9: ${read.key} was read with ${read.balance} at revision ${read.revision}, where it had ${balance}`)
}

/** Every command ended, and the store says the same as the journal in every table (G3, G8). */
export function checkStore(store: KeyValueStore, model: Model, violate: Violate): void {
  checkLog(store, model, violate)
  for (const [key, aggregate] of model.aggregates) {
    const head = readHead(store, key)
    if ((head?.revision ?? 0) !== aggregate.revision)
      violate(`G8: ${key} is at ${head?.revision} in the store, at ${aggregate.revision} in the journal`)
    checkStream(
      store,
      key,
      aggregate.events.map(({ lsn, revision }) => `${lsn} ${revision}`),
      violate,
    )
    checkRow(store, key, aggregate, violate)
  }
  const log = new EventLogReader(store)
  for (const command of model.commands.values()) {
    if (command.status === 'pending') {
      const { blockedBy } = model.aggregate(command.key)
      if (blockedBy === 0) violate(`G3: command ${command.lsn} never ended`)
      continue
    }
    const stored = readOutcome(store, log, command.lsn as never)
    const last = command.endings.at(-1)
    if (stored === null) violate(`G8: the store has no outcome of command ${command.lsn}`)
    else if (last === undefined || stored.code !== actionCodes[last.action.type] || stored.endLsn !== last.lsn)
      violate(
        `G8: in the store command ${command.lsn} ends with ${stored.code} at ${stored.endLsn}, in the journal ${last?.lsn}`,
      )
    if ((readParked(store, command.lsn as never) !== null) !== (command.status === 'parked'))
      violate(`G8: command ${command.lsn} is ${command.status}, the table of parked ones says otherwise`)
  }
  checkDuplicates(store, model, violate)
}

function checkLog(store: KeyValueStore, model: Model, violate: Violate): void {
  let position = 0
  for (const block of new EventLogReader(store).blocksFrom(1)) {
    eachEntry(block, (b, o, first) => {
      if (first !== position + 1) violate(`G8: the store's log goes from position ${position} to ${first}`)
      for (const { type, data } of eventsOf(b, o)) {
        const inJournal = model.events[position++]
        const isSame =
          inJournal?.type === type &&
          inJournal.lsn === lsnOf(b, o) &&
          JSON.stringify(inJournal.data) === JSON.stringify(data)
        if (!isSame)
          violate(
            `G8: position ${position} is ${type} of entry ${lsnOf(b, o)} in the store, ${inJournal?.type} of ${inJournal?.lsn} in the journal`,
          )
      }
    })
  }
  if (position !== model.events.length)
    violate(`G8: the store has ${position} events, the journal ${model.events.length}`)
}

function checkStream(store: KeyValueStore, key: string, expected: readonly string[], violate: Violate): void {
  const log = new EventLogReader(store)
  const stored: string[] = []
  for (const pointer of streamPointers(store, key, 1)) {
    const { buffer, offset } = log.entry(pointer)
    if (keyOf(buffer, offset) !== key) violate(`G8: the stream of ${key} points to ${keyOf(buffer, offset)}`)
    stored.push(`${lsnOf(buffer, offset)} ${stored.length + 1}`)
    if (revisionOf(buffer, offset) >= stored.length)
      violate(`G8: revision ${stored.length} of ${key} points to an entry from ${revisionOf(buffer, offset)}`)
  }
  if (stored.join() !== expected.join())
    violate(`G8: the stream of ${key} is ${stored.join()} in the store, ${expected.join()} in the journal`)
}

function checkRow(
  store: KeyValueStore,
  key: string,
  expected: { balance: number; movements: number },
  violate: Violate,
): void {
  const progress = readProgress(store, 'balances')
  const row =
    progress?.live == null
      ? null
      : (readRow(store, 'balances', progress.live, key) as { balance: number; movements: number } | null)
  if ((row?.balance ?? 0) === expected.balance && (row?.movements ?? 0) === expected.movements) return
  violate(
    `G8: the projection has ${JSON.stringify(row)} for ${key}, the journal ${expected.balance} after ${expected.movements} (${JSON.stringify(progress)})`,
  )
}

/** G3: a repetition has no outcome of its own. */
function checkDuplicates(store: KeyValueStore, model: Model, violate: Violate): void {
  const log = new EventLogReader(store)
  for (const lsn of model.duplicates.keys()) {
    if (readOutcome(store, log, lsn as never) !== null)
      violate(`G3: entry ${lsn} repeats ${model.duplicates.get(lsn)} and has an outcome of its own`)
  }
  for (const [key, uses] of model.uses) {
    const saved = readKey(store, key)
    if (saved !== undefined && !uses.includes(saved.lsn))
      violate(`G6: the store has ${key} under command ${saved.lsn}, which did not use it`)
  }
}
