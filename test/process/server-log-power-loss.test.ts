import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { isIntact } from '../../src/replication/batch.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { MemoryServerDisk } from '../../src/replication/memory-server-disk.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { RecordedTree, type TreeState } from './recorded-tree.ts'
import { descriptorOf, recordedCalls, type SystemCall, stringsIn } from './system-calls.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'server-log-power-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const program = join(import.meta.dirname, 'server-log-recorded-child.ts')
const environment = createSystemEnvironment()

interface SaidOfSegment {
  base: number
  /** At least up to here it is there, and at most up to there. */
  least: number
  most: number
}

/** What the program has said, from the moment at which it begins to. */
class Said {
  promised = 0
  readonly segments = new Map<number, SaidOfSegment>()

  take(call: SystemCall): void {
    if (call.name !== 'write' || descriptorOf(call) !== 1) return
    const [what = '', ...numbers] = (stringsIn(call)[0]?.toString() ?? '').trim().split(' ')
    const [of = 0, at = 0] = numbers.map(Number)
    if (what === 'promised') this.promised = of
    if (what === 'created') this.segments.set(of, { base: at, least: at - 1, most: Number.POSITIVE_INFINITY })
    const segment = this.segments.get(of)
    if (segment === undefined || what === 'promised' || what === 'created') return
    if (what === 'flushed') segment.least = at
    if (what === 'cutting') segment.least = Math.min(segment.least, at)
  }
}

/** Null when all that was acknowledged is there, otherwise what is wrong. */
async function verdictOn(state: TreeState, said: Said): Promise<string | null> {
  const disk = new MemoryServerDisk({ scheduler: environment.scheduler })
  for (const [path, files] of state) {
    disk.open(path)
    for (const [name, bytes] of files) disk.storages.get(path)?.replace(name, bytes)
  }
  try {
    const options = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.MAX_SAFE_INTEGER }
    const log = await openServerLog({ disk, environment, options, serverId: 's1', clusterId: 'c1' })
    if (log.promised('s') < said.promised) return `${log.promised('s')} is promised`
    const found = log.segments('s')
    for (const [of, { base, least }] of said.segments) {
      const segment = found.find(({ epoch }) => epoch === of)
      if (segment === undefined) return `segment ${of} is not there`
      if (segment.damaged.length > 0 || segment.atLeast) return `segment ${of} is damaged`
      if (segment.tail < least) return `segment ${of} ends at ${segment.tail}, not ${least}`
      const batches = log.read('s', segment.epoch, segment.base, segment.tail, Number.POSITIVE_INFINITY)
      if (segment.base !== base || !batches.every(isIntact)) return `segment ${of} holds something else`
    }
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

/** The power fails after every so-many-th call that changes something; with this in the environment after each, for minutes. */
const isThorough = process.env['ALL_POWER_STATES'] !== undefined
const everyCalls = isThorough ? 1 : 12

/** After each of them the disk has each of the states that it then may have. */
async function trialOf(calls: readonly SystemCall[], wrongMax: number, every: number): Promise<Trial> {
  const tree = new RecordedTree(logDirectory())
  const random = new SeededRandom(1)
  const said = new Said()
  let states = 0
  let changes = 0
  const wrong: string[] = []
  for (const call of calls) {
    said.take(call)
    if (!tree.take(call) || changes++ % every !== 0) continue
    for (const state of tree.states(random)) {
      states++
      const verdict = await verdictOn(state, said)
      if (verdict !== null) wrong.push(`${call.name} at ${call.ended}: ${verdict}`)
      if (wrong.length >= wrongMax) return { states, said, wrong }
    }
  }
  return { states, said, wrong }
}

const logDirectory = (): string => join(directory, 'log')

const recorded = (): Promise<SystemCall[] | null> => recordedCalls([program, logDirectory()], join(directory, 'calls'))

describe('when the power fails beside the log of a journal server', () => {
  const timeout = isThorough ? 900_000 : 120_000
  it('all that was promised, created and flushed is there, whatever reached the disk', { timeout }, async () => {
    const calls = await recorded()
    if (calls === null) return
    const { states, said, wrong } = await trialOf(calls, 10, everyCalls)
    expect(wrong).toEqual([])
    process.stdout.write(`${states} states of the disk, from ${calls.length} system calls\n`)
    expect([said.promised, said.segments.size]).toEqual([9, 2])
    expect(states).toBeGreaterThan(isThorough ? 2000 : 100)
  })

  it.each([
    ['a file', 'fdatasync'],
    ['directories and of new files', 'fsync'],
  ])('a disk that does nothing at a flush of %s is found out', async (_what, name) => {
    const calls = await recorded()
    if (calls === null) return
    const { wrong } = await trialOf(
      calls.filter((call) => call.name !== name),
      1,
      1,
    )
    expect(wrong.length).toBeGreaterThan(0)
  })
})
