/**
 * The life of a journal in small, for the recording of its system calls: segments that fill up, flushes with writes under
 * way, old segments that become new ones, a clean stop. Prints the LSN of every flush that has ended,
 * and `needed` with the first LSN that is still needed before it lets go of older ones.
 */
import { writeSync } from 'node:fs'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { openJournal } from '../../src/journal/journal.ts'
import { type Lsn, lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { append, journalId, serverId, smallSegments } from '../unit/journal/journal-world.ts'

const { journal } = await openJournal({
  storage: new FileStorage(process.argv[2] ?? ''),
  environment: createSystemEnvironment(),
  journalId,
  serverId,
  options: smallSegments,
  floorLsn: lsn(0),
  replayFrom: lsn(1),
})

const flushed = (duringIt: () => void): Promise<Lsn> =>
  new Promise((resolve, reject) => {
    journal.flush((flushedLsn, error) => {
      if (error !== null) return reject(error)
      writeSync(1, `${flushedLsn}\n`)
      resolve(flushedLsn)
    })
    duringIt()
  })

/** Most of a segment, so that few frames fill it. */
const largeBytes = 500_000

for (let round = 0; round < 12; round++) {
  append(journal, 1 + (round % 3), 8 * (10 + 37 * round))
  append(journal, 1, 1600)
  if (round % 2 === 1) append(journal, 1, largeBytes)
  const flushedLsn = await flushed(() => {
    append(journal, 2, 3000)
    if (round === 6) append(journal, 1, largeBytes)
  })
  if (round === 7) {
    writeSync(1, `needed ${flushedLsn}\n`)
    journal.removeBefore(flushedLsn)
  }
  await new Promise((resolve) => setTimeout(resolve, 20))
}
await new Promise<void>((resolve, reject) => journal.close((error) => (error === null ? resolve() : reject(error))))
writeSync(1, `${journal.flushedLsn}\n`)
