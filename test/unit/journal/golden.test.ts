import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { inspectJournal, verifyJournal } from '../../../src/journal/inspect.ts'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { goldenJournal } from './golden-journal.ts'
import { append, JournalWorld, payloadOf } from './journal-world.ts'

const fixture = new URL('../../fixtures/journal-v1/', import.meta.url)

function storedFiles(): Map<string, Buffer> {
  return new Map(
    fs
      .readdirSync(fixture)
      .filter((name) => !name.endsWith('.md'))
      .map((name) => [name, fs.readFileSync(new URL(name, fixture))]),
  )
}

function load(world: JournalWorld): void {
  for (const [name, bytes] of storedFiles()) world.storage.replace(name, bytes)
}

describe('a journal that version 1 of the format wrote', () => {
  test('is read frame by frame', () => {
    const storage = new MemoryStorage({ scheduler: new JournalWorld().scheduler })
    for (const [name, bytes] of storedFiles()) storage.replace(name, bytes)
    const rows = [...inspectJournal(storage)].map((row) =>
      row.kind === 'segment'
        ? [row.header.segNo, row.header.baseLsn, row.header.timeline]
        : [row.offset, row.header.firstLsn, row.header.entryCount, row.header.payloadBytes, row.header.durableLsn],
    )
    expect(rows).toEqual([
      [1, 1, 1],
      [4096, 1, 1, 64, 0],
      [4280, 2, 2, 600, 0],
      [8192, 4, 1, 24, 3],
      [12_288, 5, 0, 0, 4],
      [2, 5, 2],
      [4096, 5, 2, 128, 4],
    ])
    expect(verifyJournal(storage)).toMatchObject({ status: 'ok', firstLsn: 1, lastLsn: 6, floorLsn: 6 })
    const batches = new JournalReader(storage, lsn(1)).read(1 << 20, lsn(6))
    for (const { firstLsn, payload } of batches) expect(payload.equals(payloadOf(firstLsn, payload.length))).toBe(true)
    expect(batches.map(({ wallMs }) => wallMs - 1_700_000_000_000)).toEqual([0, 0, 1000, 2000])
  })

  test('is opened and goes on', async () => {
    const world = new JournalWorld()
    load(world)
    const { journal, report } = await world.open()
    expect(report).toMatchObject({ rule: 'R8', action: 'open', recoveredLsn: 6, floorLsn: 6, timeline: 2 })
    append(journal, 1, 64)
    expect(await world.close(journal)).toBeNull()
    expect((await world.open()).report).toMatchObject({ recoveredLsn: 7 })
  })

  test('is what is still written today, byte for byte', async () => {
    const stored = storedFiles()
    const now = await goldenJournal()
    expect([...now.keys()].toSorted()).toEqual([...stored.keys()].toSorted())
    for (const [name, bytes] of now)
      expect({ name, same: stored.get(name)?.equals(bytes) }).toEqual({ name, same: true })
  })
})
