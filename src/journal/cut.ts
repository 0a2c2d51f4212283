import { assert } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { damagedHeader, faultText } from './fault-text.ts'
import { readSegmentHeader } from './segment-chain.ts'
import { cursorFromStart } from './segment-cursor.ts'
import { cleanStopName, type SegmentName, segmentsOf } from './segment-name.ts'
import { type JournalStorage, temporarySuffix } from './storage.ts'

/**
 * Drops every frame above `after`, which ends a frame or is the LSN before the first one. Everything that needs room is
 * done at once, beside the journal; the returned function, called when nobody has the journal open any more, does the rest, and
 * what is left is durable when it returns.
 *
 * Whatever crashes in between, a recovery finds a sound journal that ends there or further on: the mark of a clean stop goes
 * first, then segments from the last one back, and the one that is cut is replaced as a whole by its own beginning, so that no
 * block that was flushed is written again.
 *
 * @param flushedLsn what is above it may not be on the medium yet
 * @throws CommanderError journal_full and journal_corrupt, nothing has changed; journal_failed
 */
export function prepareCut(storage: JournalStorage, after: Lsn, flushedLsn: Lsn): () => void {
  const kept = segmentsOf(storage.list()).filter(({ baseLsn }) => baseLsn <= after)
  const replaced: string[] = []
  const replace = ({ name }: SegmentName, bytes: number): void => {
    copyBeginning(storage, name, bytes)
    replaced.push(name)
  }
  kept.forEach((segment, index) => {
    const next = kept[index + 1]
    if (next === undefined) replace(segment, endOf(storage, segment, after).end)
    // its seal, and the header after it, are known to be on the medium once an entry behind them is
    else if (next.baseLsn > flushedLsn) replace(segment, endOf(storage, segment, lsn(next.baseLsn - 1)).sealedEnd)
  })
  return () => {
    const names = storage.list()
    if (names.includes(cleanStopName)) storage.remove(cleanStopName)
    for (const { name, baseLsn } of segmentsOf(names).toReversed()) if (baseLsn > after) storage.remove(name)
    for (const name of replaced) storage.rename(name + temporarySuffix, name)
  }
}

/** Where the frame of this LSN ends, and the seal behind it if there is one. */
function endOf(storage: JournalStorage, { name }: SegmentName, last: Lsn): { end: number; sealedEnd: number } {
  const header = readSegmentHeader(storage, name)
  if (header === null) throw damaged(name, 0, last, damagedHeader)
  const file = storage.openReadOnly(name)
  try {
    const cursor = cursorFromStart(file, header, 'none')
    while (cursor.nextLsn <= last) {
      const frame = cursor.next()
      if (typeof frame === 'string') throw damaged(name, cursor.position, cursor.nextLsn, faultText[frame])
    }
    assert(cursor.nextLsn === last + 1, `LSN ${last} does not end a frame`)
    const end = cursor.position
    const seal = cursor.next()
    return { end, sealedEnd: typeof seal === 'string' ? end : cursor.position }
  } finally {
    file.close()
  }
}

function damaged(segment: string, offset: number, at: Lsn, reason: string): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `the journal cannot be cut: segment ${segment} is damaged at byte ${offset}, where LSN ${at} should be: ${reason}`,
    { details: { segment, offset, lsn: at, rule: 'R6', reason } },
  )
}

function copyBeginning(storage: JournalStorage, name: string, bytes: number): void {
  const kept = Buffer.alloc(bytes)
  const file = storage.openReadOnly(name)
  try {
    assert(file.read(kept, 0) === bytes, `${name} has ${bytes} bytes`)
  } finally {
    file.close()
  }
  storage.writeWhole(name + temporarySuffix, kept)
}
