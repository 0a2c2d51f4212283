/** Appends and flushes without end; prints the LSN of every flush that has ended. Killed by the test that starts it. */
import { FileStorage } from '../../src/journal/file-storage.ts'
import { openJournal } from '../../src/journal/journal.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
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

function appendAndFlush(): void {
  for (let i = 0; i < 8; i++)
    append(journal, 1 + (journal.writtenLsn % 3), 8 * (1 + ((journal.writtenLsn * 37) % 2500)))
  journal.flush((flushedLsn, error) => {
    if (error !== null) throw error
    process.stdout.write(`${flushedLsn}\n`)
    appendAndFlush()
  })
  // written while the flush is under way: whole in the operating system, and never acknowledged
  append(journal, 1, 4000)
}

appendAndFlush()
