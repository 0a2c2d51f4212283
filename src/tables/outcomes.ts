import { actionCodes } from '../actions/action-codes.ts'
import { codeOf, entryEnd, eventCountOf, lsnOf } from '../actions/entry-layout.ts'
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
}

const pointsToLog = 1
const holdsEntry = 2
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

export function readOutcome(store: KeyValueStore, log: EventLogReader, command: Lsn): StoredOutcome | null {
  const value = store.table(tableNames.outcomes).get(numberKey(command))
  if (value === undefined) return null
  if (value[0] === holdsEntry) {
    const entry = value.subarray(1)
    return { entry, offset: 0, endLsn: lsnOf(entry, 0), code: codeOf(entry, 0), firstPosition: 0 }
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

export const readParked = (store: KeyValueStore, command: Lsn): Buffer | null =>
  store.table(tableNames.parked).get(numberKey(command)) ?? null

export const isParkedCode = (code: number): boolean => code === actionCodes['command/parked']
