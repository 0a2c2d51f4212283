import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/client.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { fixtureApplication, RunningDatabase, until } from '../process/running-database.ts'
import { type FaultKind, isKill, rowOf, type Scene, strike } from './faults.ts'
import { LedgerCheck } from './ledger-check.ts'
import { LedgerLoad } from './ledger-load.ts'
import { SmallDisk } from './small-disk.ts'
import { within } from './within.ts'

/** One row of the report. */
export interface Row {
  cycles: number
  longestUnavailableMs: number
}

export interface TortureResult {
  readonly seed: number
  cycles: number
  killCycles: number
  acknowledged: number
  lost: number
  duplicated: number
  longestUnavailableMs: number
  readonly rows: Map<string, Row>
  /** Errors that callers saw, by code. */
  readonly errors: Map<string, number>
  readonly violations: string[]
}

export const emptyResult = (seed: number): TortureResult => ({
  seed,
  cycles: 0,
  killCycles: 0,
  acknowledged: 0,
  lost: 0,
  duplicated: 0,
  longestUnavailableMs: 0,
  rows: new Map(),
  errors: new Map(),
  violations: [],
})

const smallDiskMebibytes = 192
const calmAnswers = 100

/**
 * One database, tortured from its first command to a clean stop: each cycle is load, a fault, load again, a pause, and a
 * look at everything that is new. Small segments and frequent checkpoints, so that all of the journal's machinery moves.
 */
export class Torture {
  readonly #result: TortureResult
  readonly #random: SeededRandom
  readonly #load: LedgerLoad
  readonly #check: LedgerCheck
  readonly #database: RunningDatabase
  readonly #disk: SmallDisk | null
  #clients: Database[] = []

  constructor(seed: number, result: TortureResult, onSmallDisk: boolean) {
    this.#result = result
    this.#random = new SeededRandom(seed)
    this.#load = new LedgerLoad(seed)
    this.#check = new LedgerCheck(seed)
    this.#database = new RunningDatabase({
      applications: [{ module: fixtureApplication('ledger'), instances: 2 }],
      journal: { segmentBytes: 1 << 20, maxJournalBytes: 8 << 20, checkpointTimeoutMs: 2000 },
    })
    mkdirSync(this.#database.dataDir)
    this.#disk = onSmallDisk ? SmallDisk.mount(this.#database.dataDir, smallDiskMebibytes) : null
  }

  get logPath(): string {
    return join(this.#database.directory, 'log')
  }

  async start(): Promise<void> {
    await this.#database.start()
    this.#clients = [await this.#database.connect(), await this.#database.connect()]
  }

  /** @returns how long nobody was answered, in milliseconds. */
  async cycle(fault: FaultKind): Promise<number> {
    const load = this.#load
    load.start(this.#clients)
    await this.#answers(this.#random.integer(20, 400))
    await sleep(this.#random.integer(0, 100))
    await strike(fault, this.#scene())
    await this.#answers(calmAnswers)
    await this.#database.ready()
    await within('the answers to all calls', load.pause())
    await within('the reading of what was answered', this.#look())
    return this.#count(fault)
  }

  /** Looks at everything once more, before and after a clean stop. */
  async finish(): Promise<void> {
    const exitCode = await this.#database.stop()
    if (exitCode !== 0) this.#violation(`the clean stop ended with exit code ${exitCode}`)
    await this.#database.start()
    await within('the reading of everything', this.#check.lookAtAll(this.#client))
    this.#collect()
  }

  async remove(): Promise<void> {
    this.#load.abandon()
    await this.#database.killAll()
    this.#disk?.unmount()
    await this.#database.remove()
  }

  get #client(): Database {
    return this.#clients[0] as Database
  }

  #scene(): Scene {
    return {
      database: this.#database,
      load: this.#load,
      client: this.#client,
      random: this.#random,
      disk: this.#disk,
      violation: (text) => this.#violation(text),
    }
  }

  async #answers(count: number): Promise<void> {
    const enough = this.#load.answered + count
    await until(`${count} more answers`, () => this.#load.answered >= enough)
  }

  async #look(): Promise<void> {
    await this.#check.look(this.#client, this.#load.takeAnswers(), this.#load.sent)
  }

  #count(fault: FaultKind): number {
    const result = this.#result
    const unavailableMs = Math.round(this.#load.takeLongestSilenceMs())
    const row = result.rows.get(rowOf(fault)) ?? { cycles: 0, longestUnavailableMs: 0 }
    row.cycles++
    row.longestUnavailableMs = Math.max(row.longestUnavailableMs, unavailableMs)
    result.rows.set(rowOf(fault), row)
    result.cycles++
    if (isKill(fault)) result.killCycles++
    result.longestUnavailableMs = Math.max(result.longestUnavailableMs, unavailableMs)
    this.#collect()
    return unavailableMs
  }

  /** Moves what was found into the result. */
  #collect(): void {
    const { findings } = this.#check
    this.#result.acknowledged += findings.acknowledged
    this.#result.lost += findings.lost
    this.#result.duplicated += findings.duplicated
    Object.assign(findings, { acknowledged: 0, lost: 0, duplicated: 0 })
    for (const [code, count] of this.#load.errors)
      this.#result.errors.set(code, (this.#result.errors.get(code) ?? 0) + count)
    this.#load.errors.clear()
    for (const list of [findings.violations, this.#load.violations])
      for (const text of list.splice(0)) this.#violation(text)
  }

  #violation(text: string): void {
    this.#result.violations.push(text)
  }
}
