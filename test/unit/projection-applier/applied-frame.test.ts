import { describe, expect, test } from 'vitest'
import { startJournalWriter } from '../../../src/assembly/start-journal-writer.ts'
import type { Surroundings } from '../../../src/assembly/surroundings.ts'
import { acceptLoss } from '../../../src/backup/accept-loss.ts'
import type { TimelineClaim } from '../../../src/backup/timeline-claim.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { defaultFlushOptions } from '../../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../../src/journal-writer/retention.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { readAppliedFrame } from '../../../src/tables/applied-frame.ts'
import { flush, JournalWorld, journalId, smallSegments } from '../journal/journal-world.ts'
import { received, registered, StubJournal } from '../role-world.ts'
import { ApplierWorld } from './applier-world.ts'

const first = received('a', 'deposit')
const lost = received('b', 'deposit')
const instead = received('c', 'deposit')

/** A store that has applied entries 1 to 3, of which the journal has lost the last, and something else in its place. */
function aheadOfTheJournal(): ApplierWorld {
  const db = new ApplierWorld()
  db.append(registered('bank-1'))
  db.append(first)
  db.append(lost)
  db.flush()
  expect(db.position.applied).toBe(3)
  return db
}

describe('what the store has applied last', () => {
  test('is known by more than its LSN', () => {
    const db = aheadOfTheJournal()
    const batch = db.journal.batches[2]
    expect(readAppliedFrame(db.store)).toMatchObject({ firstLsn: 3, lastLsn: 3 })
    expect(batch?.firstLsn).toBe(3)
    db.restart()
    db.append(instead)
    db.flush()
    expect(db.failures).toEqual([])
    expect(readAppliedFrame(db.store)).toMatchObject({ firstLsn: 4, lastLsn: 4 })
  })

  test('is not gone on from with a journal that has something else there (R9)', () => {
    const db = aheadOfTheJournal()
    db.journal.batches.pop()
    db.journal.written = lsn(2)
    db.journal.append([instead])
    db.restart()
    db.append(first)
    db.flush()
    expect(db.failures).toMatchObject([{ code: 'journal_corrupt', details: { rule: 'R9', lsn: 3, floorLsn: 3 } }])
    expect(db.position.applied).toBe(3)
  })
})

describe('a start over a store that was filled from something else', () => {
  /** Entries of one frame each; the third is not the store's. */
  async function otherJournal(): Promise<JournalWorld> {
    const world = new JournalWorld()
    const { journal } = await world.open({ serverId: journalId })
    const stub = new StubJournal()
    for (const action of [registered('bank-1'), first, instead, first]) stub.append([action])
    for (const { payload, firstLsn } of stub.batches) journal.append(payload, firstLsn, 1, journal.flushedLsn)
    flush(world, journal)
    world.storage.kill()
    return world
  }

  test('is refused before anything is changed', async () => {
    const db = aheadOfTheJournal()
    const world = await otherJournal()
    const before = world.storage.clone()
    const surroundings: Surroundings = {
      environment: world.environment,
      transport: createMemoryTransport(world.environment, {}).endpoint(world.environment),
      addresses: { journal: 'journal', gateway: 'gateway', applier: 'applier' },
      openStorage: () => world.storage,
      openStore: () => db.store.reader(),
      journalId,
      failed: () => {},
    }
    const settings = { journal: smallSegments, flush: defaultFlushOptions, retention: defaultRetentionSettings }
    await expect(world.drive(startJournalWriter(surroundings, settings))).rejects.toMatchObject({
      code: 'journal_corrupt',
      message: expect.stringContaining('--accept-loss'),
      details: { rule: 'R9', lsn: 3 },
    })
    for (const name of before.list()) expect(world.storage.readWhole(name)).toEqual(before.readWhole(name))
  })

  test('goes on without the store once the loss is accepted, and keeps the journal as it is', async () => {
    const db = aheadOfTheJournal()
    const world = await otherJournal()
    const { storage, environment } = world
    const appliedFrame = readAppliedFrame(db.store)
    const before = storage.list()
    const request = {
      storage,
      environment,
      journalId,
      options: smallSegments,
      root: lsn(0),
      applied: lsn(3),
      archived: lsn(0),
      claim: async (wanted: TimelineClaim) => wanted,
      keep: () => {},
      appliedFrame,
    }
    const loss = await world.drive(acceptLoss(request))
    expect(loss).toMatchObject({ endLsn: 4, timeline: 1, parent: 1, lost: null, keptAside: [], storeIsAhead: true })
    expect(storage.list()).toEqual(before)
  })
})
