import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readCleanStop } from '../../../src/journal/clean-stop.ts'
import { inspectJournal } from '../../../src/journal/inspect.ts'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { type Observation, recoveryTable } from '../../../src/journal/recovery-table.ts'
import { goldenJournal } from './golden-journal.ts'
import { JournalWorld } from './journal-world.ts'

const document = fs.readFileSync(new URL('../../../JOURNAL_FORMAT.md', import.meta.url), 'utf8')

/** The cells of the first table under a heading. */
function tableUnder(heading: string, from = ''): string[][] {
  const section = document.slice(document.indexOf(`\n${heading}\n`))
  const lines = section.slice(section.indexOf(from)).split('\n')
  const start = lines.findIndex((line) => line.startsWith('|'))
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** Reads a structure by nothing but the document's table of it. */
function readBy(table: string[][], bytes: Buffer, start: number): Record<string, number | Buffer> {
  const fields: Record<string, number | Buffer> = {}
  for (const [offset = '', type = '', name = ''] of table) {
    const at = start + Number(offset)
    const size = /^(\d+) bytes$/.exec(type)?.[1]
    if (size) fields[name] = bytes.subarray(at, at + Number(size))
    else if (type === 'u16') fields[name] = bytes.readUInt16LE(at)
    else if (type === 'u32') fields[name] = bytes.readUInt32LE(at)
    else if (type === 'u64') fields[name] = Number(bytes.readBigUInt64LE(at))
  }
  return fields
}

async function golden(): Promise<MemoryStorage> {
  const storage = new MemoryStorage({ scheduler: new JournalWorld().scheduler })
  for (const [name, bytes] of await goldenJournal()) storage.replace(name, bytes)
  return storage
}

describe('JOURNAL_FORMAT.md', () => {
  test('lays out the segment header as the code does', async () => {
    const storage = await golden()
    const table = tableUnder('## Segment header')
    for (const row of inspectJournal(storage)) {
      if (row.kind !== 'segment') continue
      const bytes = storage.readWhole(row.segment) ?? Buffer.alloc(0)
      const { blockBytes, segmentBytes, ...same } = row.header
      expect(readBy(table, bytes, 0)).toMatchObject({
        ...same,
        blockSize: blockBytes,
        segBytes: segmentBytes,
        version: 1,
      })
    }
  })

  test('lays out the frame header as the code does', async () => {
    const storage = await golden()
    const table = tableUnder('## Frame')
    let prevDigest: Buffer | null = null
    for (const row of inspectJournal(storage)) {
      if (row.kind !== 'frame') continue
      const bytes = storage.readWhole(row.segment) ?? Buffer.alloc(0)
      const { payloadBytes, ...same } = row.header
      const read = readBy(table, bytes, row.offset)
      expect(read).toMatchObject({ ...same, payloadLen: payloadBytes, headerLen: 104 })
      if (prevDigest !== null) expect(read['prevDigest']).toEqual(prevDigest)
      prevDigest = row.digest
    }
  })

  test('lays out the mark of a clean stop as the code does', async () => {
    const storage = await golden()
    const bytes = storage.readWhole('clean-stop') ?? Buffer.alloc(0)
    expect(readBy(tableUnder('## Mark of a clean stop'), bytes, 0)).toMatchObject({ ...readCleanStop(storage) })
  })

  test('has the rows of the recovery table', () => {
    const facts = ['identity', 'chain', 'tail', 'floor'] as const
    const documented = tableUnder('## Recovery', '| identity |').map(([...cells]) => {
      const [, , , , acceptLoss = '', rule = '', action = ''] = cells
      const when = facts.map((fact, index) => [fact, (cells[index] ?? '').split(', ').filter((value) => value !== '')])
      const accepted = { yes: [true], no: [false] }[acceptLoss] ?? []
      return JSON.stringify([action, rule, ...when, ['acceptLoss', accepted]])
    })
    const coded = recoveryTable.map(({ action, rule, when }) => {
      const values = (fact: keyof Observation): [string, unknown] => [fact, when[fact] ?? []]
      return JSON.stringify([action, rule, ...facts.map(values), values('acceptLoss')])
    })
    expect(documented.toSorted()).toEqual(coded.toSorted())
  })
})
