import { actionCodes } from '../actions/action-codes.ts'
import { payloadOf } from '../actions/decode.ts'
import { codeOf, entryEnd, eventCountOf, lsnOf, nameOf } from '../actions/entry-layout.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { numberKey } from '../store/keys.ts'
import type { EventLogReader } from './event-log.ts'
import { pointerBytes, readPointer, writePointer } from './pointer.ts'
import { tableNames } from './table-names.ts'

/** How a command ended: the entry that says so, and the position of its first event. */
export interface StoredOutcome {
  readonly entry: Buffer
  readonly offset: number
  readonly endLsn: Lsn
  readonly code: number
  /** 0 when there are no events. */
  readonly firstPosition: number
  /** skipped: what the command was, and how often it had been tried. */
  readonly skipped?: SkippedCommand
}

export interface SkippedCommand {
  readonly command: string
  readonly attempts: number
}

const pointsToLog = 1
const holdsEntry = 2
const holdsSkipped = 3
const pointedBytes = 9 + pointerBytes

/** A completed command with events is found in the log; every other end is kept as it is. */
export function putOutcome(
  batch: WriteBatch,
  command: Lsn,
  source: Buffer,
  o: number,
  place: { block: number; offset: number; delta: number } | null,
): void {
  if (place === null) {
    const entry = source.subarray(o, entryEnd(source, o))
    batch.put(tableNames.outcomes, numberKey(command), Buffer.concat([Buffer.of(holdsEntry), entry]))
    return
  }
  const value = Buffer.allocUnsafe(pointedBytes)
  value[0] = pointsToLog
  writeUint64(value, lsnOf(source, o), 1)
  writePointer(value, 9, place.block, place.offset, place.delta)
  batch.put(tableNames.outcomes, numberKey(command), value)
}

/** The command was parked until this entry gave it up: what is known of it stays. */
export function putSkipped(batch: WriteBatch, command: Lsn, source: Buffer, o: number): void {
  const parked = batch.get(tableNames.parked, numberKey(command))
  const ended = batch.get(tableNames.outcomes, numberKey(command))
  if (parked === undefined || ended?.[0] !== holdsEntry) {
    putOutcome(batch, command, source, o, null)
    return
  }
  const { attempts } = payloadOf(ended.subarray(1), 0) as { attempts: number }
  const about = pack({ command: nameOf(parked, 0), attempts } satisfies SkippedCommand)
  const head = Buffer.alloc(5)
  head[0] = holdsSkipped
  head.writeUInt32LE(about.length, 1)
  const value = Buffer.concat([head, about, source.subarray(o, entryEnd(source, o))])
  batch.put(tableNames.outcomes, numberKey(command), value)
}

export function readOutcome(store: KeyValueStore, log: EventLogReader, command: Lsn): StoredOutcome | null {
  const value = store.table(tableNames.outcomes).get(numberKey(command))
  if (value === undefined) return null
  if (value[0] === holdsEntry) {
    const entry = value.subarray(1)
    return { entry, offset: 0, endLsn: lsnOf(entry, 0), code: codeOf(entry, 0), firstPosition: 0 }
  }
  if (value[0] === holdsSkipped) {
    const end = 5 + value.readUInt32LE(1)
    const entry = value.subarray(end)
    const skipped = unpack(value, 5, end) as SkippedCommand
    return { entry, offset: 0, endLsn: lsnOf(entry, 0), code: codeOf(entry, 0), firstPosition: 0, skipped }
  }
  const pointer = readPointer(value, 9)
  const { buffer, offset } = log.entry(pointer)
  const firstPosition = eventCountOf(buffer, offset) === 0 ? 0 : pointer.block + pointer.delta
  return { entry: buffer, offset, endLsn: lsn(readUint64(value, 1)), code: codeOf(buffer, offset), firstPosition }
}

/** A parked command is kept whole, so that it can be retried when its segment is gone. */
export function putParked(batch: WriteBatch, command: Lsn, received: Buffer): void {
  batch.put(tableNames.parked, numberKey(command), received)
}

export function deleteParked(batch: WriteBatch, command: Lsn): void {
  batch.delete(tableNames.parked, numberKey(command))
}

export const hasParkedInBatch = (batch: WriteBatch, command: Lsn): boolean =>
  batch.get(tableNames.parked, numberKey(command)) !== undefined

export const readParked = (store: KeyValueStore, command: Lsn): Buffer | null =>
  store.table(tableNames.parked).get(numberKey(command)) ?? null

export const isParkedCode = (code: number): boolean => code === actionCodes['command/parked']
