import { describe, expect, it } from 'vitest'
import { eventsOf } from '../../src/actions/decode.ts'
import { keyOf, revisionOf, variantOf } from '../../src/actions/entry-layout.ts'
import { startApplication } from '../../src/assembly/start-application.ts'
import { startDispatcher } from '../../src/assembly/start-dispatcher.ts'
import { startGateway } from '../../src/assembly/start-gateway.ts'
import { startJournalWriter } from '../../src/assembly/start-journal-writer.ts'
import { startMigrator } from '../../src/assembly/start-migrator.ts'
import { startProjectionApplier } from '../../src/assembly/start-projection-applier.ts'
import type { Surroundings } from '../../src/assembly/surroundings.ts'
import { SocketDatabase } from '../../src/client/socket-database.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { defaultFlushOptions } from '../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../src/journal-writer/retention.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { Application } from '../../src/sdk/application.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { tableNames } from '../../src/tables/table-names.ts'
import { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from '../../src/testing/simulated-process.ts'
import { Trace } from '../../src/testing/trace.ts'
import { applicationV1, applicationV2, ledgerV1, ledgerV2, toCents } from '../fixtures/applications/books.ts'

const journal = { ...defaultJournalOptions, segmentBytes: 1 << 20, initZero: false }
const roles = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', 'books-1', 'migrator'] as const
type Role = (typeof roles)[number]
const ledgers = 4
const fills = 25
const sends = 60
const mostMs = 120_000

/** A database whose streams are migrated while its processes, the migrator too, are killed and the power fails. */
class MigrationHistory {
  readonly host: SimulatedHost
  readonly violations: string[] = []
  readonly #processes = new Map<Role, SimulatedProcess>()
  #wanted: ReadonlySet<Role> = new Set()
  #application: Application = applicationV1
  #isFaulty = false
  #answered = 0
  #isFinal = false
  kills = 0

  constructor(seed: number) {
    this.host = new SimulatedHost({
      seed,
      trace: new Trace(null),
      bug: (what, error) => this.#violate(what, error),
      killed: (process) => this.#ended(process),
    })
  }

  async run(): Promise<void> {
    const { time } = this.host
    this.#want(roles.filter((role) => role !== 'migrator'))
    this.#call(ledgerV1, fills, (k) => ({ amount: k, note: 'x'.repeat(k * 1000) }))
    await this.#until('everything to be filled', () => this.#answered === ledgers * fills)
    this.#want([])
    for (const process of [...this.#processes.values()]) process.kill('stopped')
    await time.run(time.nowMs + 1000, () => false)
    this.#application = applicationV2
    this.#answered = 0
    this.#isFaulty = true
    this.#faultLater()
    this.#want(roles)
    this.#call(ledgerV2, sends, () => ({ amountCents: 1 }))
    await time.run(time.nowMs + 3000, () => this.#isFinal && this.#answered === ledgers * sends)
    this.#isFaulty = false
    await this.#until('the end of the migration and of the load', () => {
      const store = this.host.store.now()
      return this.#isFinal && this.#answered === ledgers * sends && store.table(tableNames.rewritten).count() === 0
    })
    await time.run(time.nowMs + 2000, () => false)
    this.#check()
  }

  async #until(what: string, isThere: () => boolean): Promise<void> {
    const { time } = this.host
    const came = await time.run(time.nowMs + mostMs, () => this.violations.length > 0 || isThere())
    if (!came) this.#violate(`liveness: ${what}, with ${this.#answered} answers`, null)
  }

  #violate(what: string, error: unknown): void {
    this.violations.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
  }

  #want(wanted: readonly Role[]): void {
    this.#wanted = new Set(wanted)
    for (const role of wanted) this.#startSoon(role)
  }

  #startSoon(role: Role): void {
    this.host.time.after(this.host.random.fraction() * 50, () => {
      if (this.#wanted.has(role) && !this.#processes.has(role)) this.#start(role)
    })
  }

  #ended(process: SimulatedProcess): void {
    for (const [role, one] of this.#processes) {
      if (one !== process) continue
      this.#processes.delete(role)
      if (this.#wanted.has(role)) this.#startSoon(role)
    }
  }

  #start(role: Role): void {
    const process = this.host.start(role)
    this.#processes.set(role, process)
    const failed = (error: unknown): void => {
      if (!process.isAlive || error instanceof ProcessKilled) return
      const isUsual = isCommanderError(error) && ['journal_failed', 'store_failed', 'not_ready'].includes(error.code)
      if (!isUsual) this.#violate(`${role} fails`, error)
      process.kill('failed')
    }
    this.#run(role, this.host.surroundingsOf(process, failed)).catch(failed)
  }

  async #run(role: Role, surroundings: Surroundings): Promise<void> {
    const application = this.#application
    const applications = [application]
    const retention = defaultRetentionSettings
    switch (role) {
      case 'journal-writer':
        await startJournalWriter(surroundings, { journal, flush: defaultFlushOptions, retention })
        return
      case 'dispatcher':
        startDispatcher(surroundings, { sweepMs: 50 })
        return
      case 'projection-applier':
        await startProjectionApplier(surroundings, { applications, commitIntervalMs: 20 })
        return
      case 'gateway':
        await startGateway(surroundings, { applications })
        return
      case 'books-1':
        startApplication(surroundings, { application, instance: 1, former: 'killed' })
        return
      default:
        return this.#migrate(surroundings)
    }
  }

  async #migrate(surroundings: Surroundings): Promise<void> {
    const { migrator, follow } = startMigrator(surroundings)
    await follow.ready()
    const now = follow.state.migrations
    if (!now.versions.has('ledger') || now.byType.has('ledger')) {
      await migrator.migrate(toCents, () => {})
      await migrator.finalise('ledger')
    }
    this.#isFinal = true
  }

  #faultLater(): void {
    const { time, random } = this.host
    time.after(random.fraction() * 60, () => {
      if (!this.#isFaulty) return
      this.kills++
      const [role, process] = [...this.#processes][Math.floor(random.fraction() * this.#processes.size)] ?? []
      if (random.chance(0.1)) this.host.losePower()
      else if (role !== undefined) process?.kill('killed')
      this.#faultLater()
    })
  }

  /** Commands of one client, one after the other on each ledger, and each in the end with an answer. */
  #call(aggregate: typeof ledgerV1 | typeof ledgerV2, count: number, dataOf: (k: number) => object): void {
    const process = this.host.start(`client-${aggregate.version}`, true)
    const transport = this.host.transportOf(process)
    const database = new SocketDatabase({ environment: process.environment, transport, addresses: ['gateway'] })
    const send = async (id: number): Promise<void> => {
      for (let k = 1; k <= count; ) {
        try {
          const { outcome } = await database.execute(aggregate as typeof ledgerV2, `${id}`, 'add', dataOf(k) as never)
          if (outcome !== 'completed') this.#violate(`add ${k} of ledger ${id} is ${outcome}`, null)
          this.#answered++
          k++
        } catch (error) {
          if (error instanceof ProcessKilled) return
          if (!isCommanderError(error) || !error.retryable) this.#violate(`add ${k} of ledger ${id}`, error)
          await pause()
        }
      }
    }
    const pause = (): Promise<void> => new Promise((resolve) => process.environment.scheduler.after(20, resolve))
    const open = (): Promise<unknown> => database.open().catch(() => pause().then(open))
    void open().then(() => {
      for (let id = 0; id < ledgers; id++) void send(id)
    })
  }

  /** The events as readers see them: every one there once, in its place, and in its new form. */
  #check(): void {
    const store = this.host.store.now()
    const cents = new Map<string, number>()
    const revisions = new Map<string, number>()
    let position = 0
    for (const block of new EventLogReader(store).blocksFrom(1)) {
      eachEntry(block, (b, o, first) => {
        const key = keyOf(b, o)
        if (variantOf(b, o) !== 2) this.#violate(`${key} has an event of version ${variantOf(b, o)}`, null)
        for (const [i, { type, data }] of eventsOf(b, o).entries()) {
          if (first + i !== ++position) this.#violate(`position ${first + i} comes where ${position} should`, null)
          const revision = (revisions.get(key) ?? 0) + 1
          if (revisionOf(b, o) + i + 1 !== revision) this.#violate(`${key} has a gap before ${revision}`, null)
          revisions.set(key, revision)
          if (type === 'added') cents.set(key, (cents.get(key) ?? 0) + (data as { amountCents: number }).amountCents)
        }
      })
    }
    const sum = ((fills * (fills + 1)) / 2) * 100 + sends
    for (let id = 0; id < ledgers; id++) {
      const found = [cents.get(`ledger/${id}`), revisions.get(`ledger/${id}`)]
      if (found[0] !== sum || found[1] !== fills * 2 + sends)
        this.#violate(`ledger/${id} has ${found} and should have ${sum},${fills * 2 + sends}`, null)
    }
  }
}

describe('a migration in simulated histories', () => {
  it.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    'loses and repeats nothing while processes are killed and the power fails (seed %i)',
    async (seed) => {
      const history = new MigrationHistory(seed)
      await history.run()
      expect(history.violations).toEqual([])
      expect(history.kills).toBeGreaterThan(0)
    },
  )
})
