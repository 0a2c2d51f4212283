import { actionCodes } from '../../src/actions/action-codes.ts'
import { aggregateKey } from '../../src/actions/aggregate-key.ts'
import { eventsOf } from '../../src/actions/decode.ts'
import { eventCountOf, isRemoved, keyOf, lsnOf, revisionOf } from '../../src/actions/entry-layout.ts'
import type { ClientEvent } from '../../src/ipc/call-codec.ts'
import { commandDigest } from '../../src/sdk/command-payload.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { type ArchivedStreams, readingArchived } from '../../src/tables/archived-streams.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { readKey } from '../../src/tables/idempotency-keys.ts'
import { archivedUpTo as lastArchived, readLife } from '../../src/tables/lives.ts'
import { readOutcome, readParked } from '../../src/tables/outcomes.ts'
import { readProgress, readRow } from '../../src/tables/projection-rows.ts'
import { StreamReader } from '../../src/tables/stream-reader.ts'
import { readHead } from '../../src/tables/streams.ts'
import type { Movement } from './bank.ts'
import type { Call } from './client.ts'
import { balanceAt, type Model, type ModelAggregate, type ModelCommand } from './model.ts'

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
export function checkAnswer(call: Call, model: Model, powerEpoch: number, violate: Violate): void {
  if (call.errorCode !== null) checkError(call, model, violate)
  // What was only written may be lost with the power, as the client was told.
  else if (call.outcome !== null && (call.durability === 'flushed' || call.powerEpoch === powerEpoch))
    checkOutcome(call, model, violate)
}

/** A call is carried out once, however often it was sent: every nonce is in one command, or in one for each life of its key. */
export function checkExactlyOnce(model: Model, violate: Violate): void {
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
  if (errorCode === 'stream_closed' || errorCode === 'stream_deleted') {
    const { closedLsn, deletedLsn } = model.aggregate(aggregateKey(call.aggregate, call.id))
    if ((errorCode === 'stream_closed' ? closedLsn : deletedLsn) === 0)
      violate(`G1: call #${call.number} was refused as ${errorCode}, and nothing in the journal says so`)
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
  // An answer that is repeated after the deletion goes without the events.
  if (answered.length === 0 && model.aggregate(command.key).deletedLsn !== 0) return
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
  let next = 1
  const passOver = (position: number): void => {
    // Positions of deleted events may be left out.
    while (next < position && isGone(model, next)) next++
  }
  for (const event of events) {
    passOver(event.globalPosition)
    if (event.globalPosition !== next)
      return violate(`G9: the subscriber got position ${event.globalPosition} after ${next - 1}`)
    checkRead('the subscriber', event, model, violate)
    next++
  }
  passOver(model.events.length + 1)
  if (next !== model.events.length + 1) violate(`G9: the subscriber got up to ${next - 1} of ${model.events.length}`)
}

function isGone(model: Model, position: number): boolean {
  const event = model.events[position - 1]
  const command = event === undefined ? undefined : model.commands.get(event.command)
  return command !== undefined && model.aggregate(command.key).deletedLsn !== 0
}

/** A state that somebody read is the fold of the events up to its revision. */
export function checkState(
  read: { key: string; revision: number; balance: number },
  model: Model,
  violate: Violate,
): void {
  const balance = balanceAt(model.aggregate(read.key), read.revision)
  if (balance !== read.balance)
    violate(`G9: ${read.key} was read with ${read.balance} at revision ${read.revision}, where it had ${balance}`)
}

/** Every command ended, and the store says the same as the journal in every table (G3, G8). */
export async function checkStore(
  store: KeyValueStore,
  archived: ArchivedStreams,
  model: Model,
  violate: Violate,
): Promise<void> {
  const found = await readingArchived(archived, () => {
    const violations: string[] = []
    checkTables(store, archived, model, (what) => violations.push(what))
    return violations
  })
  for (const what of found) violate(what)
}

function checkTables(store: KeyValueStore, archived: ArchivedStreams, model: Model, violate: Violate): void {
  const log = new EventLogReader(store, archived)
  checkLog(log, model, violate)
  const streams = new StreamReader(store, log, archived)
  for (const [key, aggregate] of model.aggregates) {
    checkLife(store, key, aggregate, violate)
    checkStream(streams, key, aggregate, violate)
    checkRow(store, key, aggregate, violate)
  }
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

function checkLog(log: EventLogReader, model: Model, violate: Violate): void {
  let position = 0
  for (const block of log.blocksFrom(1)) {
    eachEntry(block, (b, o, first) => {
      if (first !== position + 1) violate(`G8: the store's log goes from position ${position} to ${first}`)
      const isLeftOut = isRemoved(b, o)
      if (isLeftOut !== isGone(model, first))
        violate(`G8: position ${first} is ${isLeftOut ? 'not in the store' : 'in the store, and was deleted'}`)
      if (isLeftOut) {
        position += eventCountOf(b, o)
        return
      }
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

function checkLife(store: KeyValueStore, key: string, aggregate: ModelAggregate, violate: Violate): void {
  const { closedLsn, deletedLsn, archivedUpTo, revision } = aggregate
  const head = readHead(store, key)
  const expected = deletedLsn === 0 ? revision : 0
  if ((head?.revision ?? 0) !== expected)
    violate(`G8: ${key} is at ${head?.revision} in the store, at ${expected} in the journal`)
  const life = readLife(store, key)
  const archived = lastArchived(life)
  if (life.closedLsn !== closedLsn || life.deletedLsn !== deletedLsn || (deletedLsn === 0 && archived !== archivedUpTo))
    violate(
      `G8: ${key} was closed by ${life.closedLsn}, deleted by ${life.deletedLsn}, archived up to ${archived} in the store; ` +
        `by ${closedLsn}, ${deletedLsn}, up to ${archivedUpTo} in the journal`,
    )
}

function checkStream(streams: StreamReader, key: string, aggregate: ModelAggregate, violate: Violate): void {
  const stored: string[] = []
  for (const { buffer, offset } of streams.entries(key, 1)) {
    if (keyOf(buffer, offset) !== key) violate(`G8: the stream of ${key} points to ${keyOf(buffer, offset)}`)
    if (revisionOf(buffer, offset) !== stored.length)
      violate(`G8: revision ${stored.length + 1} of ${key} is in an entry from ${revisionOf(buffer, offset)}`)
    for (const { data } of eventsOf(buffer, offset)) stored.push(`${lsnOf(buffer, offset)} ${(data as Movement).nonce}`)
  }
  const expected = aggregate.deletedLsn === 0 ? aggregate.events.map(({ lsn, data }) => `${lsn} ${data.nonce}`) : []
  if (stored.join() !== expected.join())
    violate(`G8: the stream of ${key} is ${stored.join()} in the store, ${expected.join()} in the journal`)
}

function checkRow(store: KeyValueStore, key: string, expected: ModelAggregate, violate: Violate): void {
  const progress = readProgress(store, 'balances')
  const row =
    progress?.live == null
      ? null
      : (readRow(store, 'balances', progress.live, key) as { balance: number; movements: number } | null)
  if ((row?.balance ?? 0) === expected.balance && (row?.movements ?? 0) === expected.movements) return
  // A row that was built again while or after its events went knows of those that were still there.
  if (expected.deletedLsn !== 0 && (row?.movements ?? 0) <= expected.movements) return
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
