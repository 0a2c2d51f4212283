import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { append, JournalWorld, payloadOf } from '../unit/journal/journal-world.ts'
import { type MediumState, RecordedDisk } from './recorded-disk.ts'
import { descriptorOf, recordedCalls, type SystemCall, stringsIn } from './system-calls.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'commanderdb-power-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const program = join(import.meta.dirname, 'journal-recorded-child.ts')

/** What the program has said, from the moment at which it begins to. */
interface Said {
  /** Flushed up to here. */
  readonly acknowledged: number
  /** Older entries may be gone. */
  readonly needed: number
}

function saidAfter(call: SystemCall, before: Said): Said {
  if (call.name !== 'write' || descriptorOf(call) !== 1) return before
  const text = stringsIn(call)[0]?.toString() ?? ''
  const [, value = ''] = /(\d+)/.exec(text) ?? []
  return text.startsWith('needed') ? { ...before, needed: Number(value) } : { ...before, acknowledged: Number(value) }
}

/** Null when all that was acknowledged is there and nothing that was never appended, otherwise what is wrong. */
async function verdictOn(state: MediumState, said: Said, random: SeededRandom): Promise<string | null> {
  const world = new JournalWorld()
  for (const [name, bytes] of state) world.storage.replace(name, bytes)
  // What the store had applied is known as flushed too; 0 is what is known without a store.
  const floorLsn = lsn(random.integer(0, said.acknowledged))
  try {
    const { journal, report, batches } = await world.open({ floorLsn, replayFrom: lsn(said.needed) })
    if (report.recoveredLsn < said.acknowledged) return `${report.recoveredLsn} recovered`
    let next = batches[0]?.firstLsn ?? lsn(report.recoveredLsn + 1)
    if (next > Math.max(said.needed, 1)) return `the entries shown begin with ${next}, not ${said.needed}`
    for (const { firstLsn, entryCount, payload } of batches) {
      if (firstLsn !== next) return `entry ${firstLsn} follows ${next - 1}`
      if (!payload.equals(payloadOf(firstLsn, payload.length))) return `entry ${firstLsn} is not what was appended`
      next = lsn(firstLsn + entryCount)
    }
    if (next !== report.recoveredLsn + 1) return `${next - 1} shown of ${report.recoveredLsn}`
    append(journal, 1, 64)
    await world.close(journal)
    return null
  } catch (error) {
    if (!isCommanderError(error)) throw error
    return `not opened: ${error.message}`
  }
}

interface Trial {
  readonly states: number
  readonly said: Said
  readonly wrong: readonly string[]
}

/** The power fails after each call, and the disk has each of the states that it then may have. */
async function trialOf(calls: readonly SystemCall[], wrongMax: number): Promise<Trial> {
  const disk = new RecordedDisk(journalDirectory())
  const random = new SeededRandom(1)
  let said: Said = { acknowledged: 0, needed: 1 }
  let states = 0
  const wrong: string[] = []
  for (const call of calls) {
    said = saidAfter(call, said)
    if (!disk.take(call)) continue
    for (const state of disk.states(random)) {
      states++
      const verdict = await verdictOn(state, said, random)
      if (verdict !== null) wrong.push(`${call.name} at ${call.ended}, ${JSON.stringify(said)}: ${verdict}`)
    }
    if (wrong.length >= wrongMax) break
  }
  return { states, said, wrong }
}

const journalDirectory = (): string => join(directory, 'journal')

const recorded = (): Promise<SystemCall[] | null> =>
  recordedCalls([program, journalDirectory()], join(directory, 'calls'))

describe('when the power fails beside a real journal', () => {
  it('all that was acknowledged is there, whatever reached the disk, and nothing that was never appended', async () => {
    const calls = await recorded()
    if (calls === null) return
    const { states, said, wrong } = await trialOf(calls, 10)
    expect(wrong).toEqual([])
    process.stdout.write(`${states} states of the disk, from ${calls.length} system calls\n`)
    expect(said.acknowledged).toBeGreaterThan(40)
    expect(said.needed).toBeGreaterThan(20)
    expect(states).toBeGreaterThan(1000)
  })

  it.each([
    ['a file', 'fdatasync'],
    ['the directory and of new files', 'fsync'],
  ])('a disk that does nothing at a flush of %s is found out', async (_what, name) => {
    const calls = await recorded()
    if (calls === null) return
    const { wrong } = await trialOf(
      calls.filter((call) => call.name !== name),
      1,
    )
    expect(wrong.length).toBeGreaterThan(0)
  })
})
