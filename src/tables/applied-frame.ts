import { lsnOf } from '../actions/entry-layout.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import { crc32 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/**
 * The frame of the journal whose entries the store has applied last. An LSN alone does not say which entry it was: after a
 * loss another one takes its place, and a store that was about to commit the lost one then holds what is nowhere else (R9).
 */
export interface AppliedFrame {
  readonly firstLsn: number
  readonly lastLsn: number
  /** Of the entries as they lie in the frame. */
  readonly crc: number
}

export interface FrameOfJournal {
  readonly firstLsn: number
  readonly lastLsn: number
  readonly entries: Buffer
}

const key = encodeKey('applied-frame')

/** Nobody knows: a restore cuts frames where it ends. */
export function forgetAppliedFrame(batch: WriteBatch): void {
  batch.delete(tableNames.meta, key)
}

/** `null` in a store of an older release, or that was restored. */
export function readAppliedFrame(store: KeyValueStore): AppliedFrame | null {
  const value = store.table(tableNames.meta).get(key)
  return value === undefined ? null : (unpack(value, 0, value.length) as AppliedFrame)
}

/** Whether this frame of the journal has entries that the store has applied in another form. */
export function contradicts(applied: AppliedFrame | null, frame: FrameOfJournal): boolean {
  const { firstLsn, lastLsn, entries } = frame
  if (applied === null || lastLsn < applied.firstLsn || firstLsn > applied.lastLsn) return false
  const isSame = firstLsn === applied.firstLsn && lastLsn === applied.lastLsn
  return !isSame || crc32(entries) !== applied.crc
}

/** From where the journal is read at a start: behind the root, and with the frame that is to be compared, if it is there. */
export function replayStart(rootLsn: Lsn, applied: AppliedFrame | null, oldestLsn: Lsn | undefined): Lsn {
  if (applied === null || oldestLsn === undefined || oldestLsn > applied.firstLsn) return nextLsn(rootLsn)
  return lsn(Math.min(rootLsn + 1, applied.firstLsn))
}

/** What the tables of a store were filled from: they go on only with the same journal. */
export class FilledFrom {
  /** As the store had it at the start. */
  readonly #frame: AppliedFrame | null

  constructor(store: KeyValueStore) {
    this.#frame = readAppliedFrame(store)
  }

  /** Why a frame of the journal cannot be one that the tables were filled from, or go on behind; `null` when it can. */
  contradiction(frame: FrameOfJournal): CommanderError | null {
    return this.#frame !== null && contradicts(this.#frame, frame) ? storeContradicts(this.#frame) : null
  }

  /** In the transaction that applies this frame as its last. */
  put(
    batch: WriteBatch,
    frame: { readonly payload: Buffer; readonly offset: number; readonly lastLsn: Lsn } | undefined,
  ): void {
    if (frame === undefined) return
    const { payload, offset, lastLsn } = frame
    const applied: AppliedFrame = { firstLsn: lsnOf(payload, offset), lastLsn, crc: crc32(payload.subarray(offset)) }
    batch.put(tableNames.meta, key, pack(applied))
  }
}

/** R9 for the store itself. */
export function storeContradicts({ firstLsn, lastLsn }: AppliedFrame): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `the store has applied other entries than LSN ${firstLsn} to ${lastLsn} of the journal: the journal lost those just when the store took them. ` +
      'Start once with --accept-loss, which sets the store aside and builds it again from the journal, or restore a backup or the archive',
    { details: { segment: null, offset: null, lsn: firstLsn, rule: 'R9', floorLsn: lastLsn } },
  )
}
