import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { eventCountOf, keyOf, lengthOf, padded, variantOf } from '../actions/entry-layout.ts'
import { unpack } from '../actions/message-pack.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { MigratedCommandContext } from '../sdk/migration.ts'
import type { RootState } from '../state/root.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { decodeKey, type KeyRange, prefixRange, readKeyNumber } from '../store/keys.ts'
import type { EventLogReader } from '../tables/event-log.ts'
import { tableNames } from '../tables/table-names.ts'

/** An entry of the log with events of one type. */
export interface TypeEntry {
  readonly buffer: Buffer
  readonly offset: number
  readonly firstPosition: number
  readonly eventCount: number
}

/** What one step looks at: of a large log, not more than it may hold the event loop for. */
export interface LogSlice {
  readonly entries: readonly TypeEntry[]
  /** Position of the last event looked at, of whatever type. */
  readonly through: number
}

/** Entries of one type behind a position, out of some blocks of the log. */
export function readSlice(log: EventLogReader, type: string, after: number, blocks: number): LogSlice {
  const entries: TypeEntry[] = []
  let through = after
  let read = 0
  for (const { firstPosition, entries: b } of log.blocksFrom(after + 1)) {
    let position = firstPosition
    for (let offset = 0; offset < b.length; offset += padded(lengthOf(b, offset))) {
      const eventCount = eventCountOf(b, offset)
      const isOfType = eventCount > 0 && aggregateTypeOf(keyOf(b, offset)) === type
      if (position > after && isOfType) entries.push({ buffer: b, offset, firstPosition: position, eventCount })
      position += eventCount
    }
    through = Math.max(through, position - 1)
    if (++read >= blocks) break
  }
  return { entries, through }
}

export interface OpenCommand {
  readonly command: Lsn
  readonly status: MigratedCommandContext['status']
  /** `command/received`. */
  readonly buffer: Buffer
  readonly offset: number
}

/** Pending commands of a type in a form of before a version. */
export function* pendingCommands(state: RootState, type: string, before: number): Generator<OpenCommand> {
  for (const { lsn: command, queue, version, source, at } of state.commands.byLsn.values()) {
    if (version >= before || source === null || aggregateTypeOf(queue.key) !== type) continue
    yield { command, status: 'pending', buffer: source, offset: at }
  }
}

/** Parked commands of a type in a form of before a version, as the store has them. */
export function* parkedCommands(store: KeyValueStore, type: string, before: number): Generator<OpenCommand> {
  for (const { key, value } of store.table(tableNames.parked).range({})) {
    if (variantOf(value, 0) >= before || aggregateTypeOf(keyOf(value, 0)) !== type) continue
    yield { command: lsn(readKeyNumber(key, 0)), status: 'parked', buffer: value, offset: 0 }
  }
}

/** A stream of the type of which events lie in the archive; null when there is none. */
export function archivedStream(store: KeyValueStore, type: string): string | null {
  for (const { key, value } of store.table(tableNames.lives).range(ofType(type))) {
    const { archives = [] } = unpack(value, 0, value.length) as { readonly archives?: readonly unknown[] }
    if (archives.length > 0) return decodeKey(key, ['string'])[0] as string
  }
  return null
}

const ofType = (type: string): KeyRange => prefixRange(Buffer.from(`${type}/`))

/** How many aggregates of a type have events. */
export function countStreams(store: KeyValueStore, type: string): number {
  let streams = 0
  for (const _ of store.table(tableNames.heads).range(ofType(type))) streams++
  return streams
}
