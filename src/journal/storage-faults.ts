import { CommanderError } from '../kernel/errors.ts'

/** What a storage is about to do; a fault hook answers with how it should go wrong. */
export interface StorageOperation {
  readonly kind: 'read' | 'write' | 'flush' | 'create' | 'rename' | 'remove' | 'writeWhole' | 'flushNames'
  readonly name: string
  /** For `write`. */
  readonly position?: number
  readonly bytes?: number
}

/**
 * `eio` and `enospc` fail as the system would, a failed flush for good: what it covered counts as clean and is not on the
 * medium; `short` writes the first half of the bytes and then fails with ENOSPC;
 * `lost` claims success and does nothing; `dropped`: programs see the write, a flush says that it is done, and it never
 * reaches the medium; misdirected: the same, and it arrives on the medium elsewhere; `crash` and `crashAfter` throw `PowerLoss` before or after the operation is in
 * the operating system: the test then calls `crash`.
 */
export type StorageFault = 'eio' | 'enospc' | 'short' | 'lost' | 'dropped' | Misdirection | 'crash' | 'crashAfter'

/** Where a write arrives instead. */
export interface Misdirection {
  readonly kind: 'misdirected'
  readonly name: string
  readonly position: number
}

export class PowerLoss extends Error {
  override readonly name = 'PowerLoss'
}

/** As the system's ENOSPC. */
export function fullError(operation: StorageOperation): CommanderError {
  return new CommanderError('journal_full', `cannot ${operation.kind} ${operation.name}: the disk is full (ENOSPC)`)
}
