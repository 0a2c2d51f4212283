import { CommanderError, messageOf } from '../kernel/errors.ts'
import { canGrow } from './lmdb-directory.ts'

/** Negative: LMDB's own (lmdb.h), positive: errno of Linux. */
const codes = {
  full: -30792,
  damaged: [-30796, -30797, -30779, -30778],
  noRoom: [28, 122, 27],
  ioError: 5,
} as const

export type StoreAction = 'open' | 'read' | 'write' | 'copy'

export interface StoreFailure {
  readonly error: CommanderError
  /** The handle can be used again: nothing was changed, and the same call may succeed later. */
  readonly recoverable: boolean
}

/** What a failed call of LMDB means for whoever uses the store in this directory. */
export function storeFailure(action: StoreAction, directory: string, cause: unknown): StoreFailure {
  const code = numberOf(cause)
  const what = `cannot ${action} the store ${directory}: ${messageOf(cause)}`
  if (isNoRoom(action, code, directory)) return { error: noRoom(directory, cause), recoverable: true }
  const advice = codes.damaged.some((damaged) => damaged === code)
    ? 'the store is damaged: restore a backup, or rebuild it from the archive'
    : 'see to the disk, then start the process again'
  return { error: new CommanderError('store_failed', `${what}; ${advice}`, { cause }), recoverable: false }
}

/** The store has reached the size that its options allow. */
export function storeFull(directory: string, usedBytes: number, mapBytesMax: number): CommanderError {
  const what = `the store ${directory} is full: it uses ${usedBytes} of ${mapBytesMax} bytes`
  return new CommanderError('store_failed', `${what}; raise its limit, or delete data`, {
    retryable: true,
    details: { reason: 'full', usedBytes, mapBytesMax },
  })
}

function noRoom(directory: string, cause: unknown): CommanderError {
  const what = `no room on the disk for the store ${directory}: ${messageOf(cause)}`
  return new CommanderError('store_failed', `${what}; free some space, the write can then be repeated`, {
    retryable: true,
    details: { reason: 'full' },
    cause,
  })
}

/** LMDB reports a write that was cut short, as by a disk that fills up, as an input/output error. */
function isNoRoom(action: StoreAction, code: number | undefined, directory: string): boolean {
  if (action === 'read') return false
  if (code === codes.full || codes.noRoom.some((noRoomCode) => noRoomCode === code)) return true
  return action === 'write' && code === codes.ioError && !canGrow(directory)
}

function numberOf(cause: unknown): number | undefined {
  const code = (cause as { code?: unknown } | null)?.code
  return typeof code === 'number' ? code : undefined
}
