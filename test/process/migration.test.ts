import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileSurroundings } from '../../src/assembly/file-surroundings-adapter.ts'
import { type RunningMigrator, startMigrator } from '../../src/assembly/start-migrator.ts'
import type { Database } from '../../src/client.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { MigrationState } from '../../src/state/migrations.ts'
import { readIdentity } from '../../src/store/identity-adapter.ts'
import { ledgerV1, ledgerV2 } from '../fixtures/applications/books.ts'
import { CommandLine, jsonOf } from './command-line.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

let cli: CommandLine
let database: RunningDatabase | undefined
beforeEach(() => {
  cli = new CommandLine()
})
afterEach(async () => {
  await database?.remove()
  database = undefined
  await cli.remove()
})

/** A module whose default export is another of the fixture's exports each time that it is written. */
function moduleOf(name: string, exported: string): string {
  const path = join(cli.directory, `${name}.ts`)
  writeFileSync(path, `export { ${exported} as default } from ${JSON.stringify(fixtureApplication('books'))}\n`)
  return path
}

const ledgers = 20
const adds = 100
const filled = (adds * (adds + 1)) / 2

/** Some megabytes of events of version 1: a migration of them takes many batches. */
async function startFilled(): Promise<RunningDatabase> {
  const running = new RunningDatabase({ applications: [{ module: moduleOf('books', 'applicationV1') }] })
  database = running
  await running.start()
  const db = await running.connect()
  const note = 'x'.repeat(2000)
  const calls: Promise<unknown>[] = []
  for (let id = 0; id < ledgers; id++) {
    calls.push(db.execute(ledgerV1, `${id}`, 'open', { owner: `o${id}` }))
    for (let amount = 1; amount <= adds; amount++) calls.push(db.execute(ledgerV1, `${id}`, 'add', { amount, note }))
  }
  await Promise.all(calls)
  await db.close()
  await running.stop()
  moduleOf('books', 'applicationV2')
  await running.start()
  return running
}

/** Adds a cent at a time until it is told to stop, and counts what was acknowledged. */
class Load {
  readonly added = new Map<string, number>()
  #isOver = false
  readonly #running: Promise<unknown>

  constructor(db: Database) {
    this.#running = Promise.all(Array.from({ length: ledgers }, (_, id) => this.#run(db, String(id))))
  }

  async #run(db: Database, id: string): Promise<void> {
    while (!this.#isOver) {
      const { outcome } = await db.execute(ledgerV2, id, 'add', { amountCents: 1 })
      expect(outcome).toBe('completed')
      this.added.set(id, (this.added.get(id) ?? 0) + 1)
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }
}

async function verify(running: RunningDatabase, load: Load): Promise<void> {
  const db = await running.connect()
  for (let id = 0; id < ledgers; id++) {
    const added = load.added.get(String(id)) ?? 0
    const { state, revision } = await db.read(ledgerV2, String(id))
    expect(state).toEqual({ totalCents: filled * 100 + added, owner: { name: `o${id}` } })
    expect(revision).toBe(1 + adds * 2 + added)
  }
  let position = 0
  const types = new Map<string, number>()
  for await (const batch of db.eventBatches({ after: 0, follow: false })) {
    for (const event of batch) {
      expect(event.globalPosition).toBe(++position)
      types.set(event.type, (types.get(event.type) ?? 0) + 1)
    }
  }
  const total = [...load.added.values()].reduce((sum, added) => sum + added, 0)
  expect(Object.fromEntries(types)).toEqual({
    started: ledgers,
    added: ledgers * adds + total,
    'stream/dropped': ledgers * adds,
  })
}

const children = ['journal-writer', 'projection-applier', 'dispatcher', 'gateway', 'application-books-1']

/** Follows the journal beside everybody else, to see how far the migration is without asking anybody. */
function watch({ dataDir }: RunningDatabase): RunningMigrator {
  const environment = createSystemEnvironment()
  const transport = createNodeIpcTransport(environment)
  const databaseId = readIdentity(dataDir)?.databaseId ?? ''
  const failed = (error: Error): void => {
    throw error
  }
  return startMigrator(fileSurroundings({ environment, transport, dataDir, databaseId, failed }))
}

describe('stream migrate --apply', () => {
  it('goes on after kill -9 of itself and of every process, under load, and nothing is lost or done twice', async () => {
    const running = await startFilled()
    const module = moduleOf('to-cents', 'toCents')
    const args = ['stream', 'migrate', 'ledger', '--module', module, '--data-dir', running.dataDir]
    const load = new Load(await running.connect())
    const { follow, stop } = watch(running)
    const migration = (): MigrationState | undefined => follow.state.migrations.byType.get('ledger')
    for (const child of children) {
      const before = migration()?.copied ?? 0
      const apply = cli.spawn([...args, '--apply'])
      await follow.until(() => (migration()?.copied ?? 0) > before)
      await running.signal(child, 'SIGKILL')
      apply.process.kill('SIGKILL')
      await apply.ended
      await running.ready()
    }
    const { copied = 0, newestOld = 0 } = migration() ?? {}
    expect(copied).toBeGreaterThan(0)
    expect(copied).toBeLessThan(newestOld)

    const last = cli.spawn([...args, '--apply'])
    await follow.until(() => (migration()?.copied ?? 0) >= newestOld)
    await running.signal('application-books-1', 'SIGKILL')
    await follow.until(() => migration()?.switchedLsn !== 0)
    await running.killAll()
    await stop()
    last.process.kill('SIGKILL')
    await last.ended
    await running.start()
    await load.stop()
    const { exitCode, stderr } = await cli.run(...args, '--apply')
    expect([exitCode, stderr]).toEqual([0, ''])
    await verify(running, load)

    const ended = await cli.run('stream', 'migrate', 'ledger', '--finalise', '--data-dir', running.dataDir)
    expect(ended.exitCode).toBe(0)
    await running.killAll()
    moduleOf('books', 'applicationV2Alone')
    await running.start()
    await verify(running, load)
    expect(jsonOf(await cli.run('stream', 'migrations', '--json', '--data-dir', running.dataDir))).toEqual([])
  })
})
