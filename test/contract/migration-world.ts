import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addressesOf, fileSurroundings, makeStore } from '../../src/assembly/file-surroundings-adapter.ts'
import { type RunningApplication, startApplication } from '../../src/assembly/start-application.ts'
import { startDispatcher } from '../../src/assembly/start-dispatcher.ts'
import { type RunningGateway, startGateway } from '../../src/assembly/start-gateway.ts'
import { startJournalWriter } from '../../src/assembly/start-journal-writer.ts'
import { type RunningMigrator, startMigrator } from '../../src/assembly/start-migrator.ts'
import { type RunningProjectionApplier, startProjectionApplier } from '../../src/assembly/start-projection-applier.ts'
import type { RunningRole, Surroundings } from '../../src/assembly/surroundings.ts'
import type { Database } from '../../src/client/options.ts'
import { SocketDatabase } from '../../src/client/socket-database.ts'
import { createMemoryTransport } from '../../src/ipc/memory-transport.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { defaultFlushOptions } from '../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../src/journal-writer/retention.ts'
import { createSystemEnvironment, keepProcessAlive } from '../../src/kernel/system-environment.ts'
import type { Application } from '../../src/sdk/application.ts'
import { openIdentity } from '../../src/store/identity-adapter.ts'

const retention = defaultRetentionSettings
const journal = { ...defaultJournalOptions, segmentBytes: 1 << 22 }

/** All roles of one database in this process, over real files; it can be stopped and started with other code. */
export class MigrationWorld {
  readonly dataDir: string = mkdtempSync(join(tmpdir(), 'migration-world-'))
  readonly environment = createSystemEnvironment()
  surroundings!: Surroundings
  applier!: RunningProjectionApplier
  application!: RunningApplication
  gateway!: RunningGateway
  db!: Database
  #roles: RunningRole[] = []

  async start(application: Application): Promise<void> {
    const { environment, dataDir } = this
    const { databaseId } = openIdentity(dataDir, environment)
    const transport = createMemoryTransport(environment)
    const failed = (error: Error): void => {
      throw error
    }
    const files = fileSurroundings({ environment, transport, dataDir, databaseId, failed })
    await makeStore(files, dataDir)
    const writing = files.openStore('write')
    const keepAlive = keepProcessAlive()
    this.#roles = [{ stop: async () => keepAlive() }, { stop: () => writing.close() }]
    const surroundings: Surroundings = {
      ...files,
      addresses: addressesOf(dataDir),
      openStore: (access) => (access === 'write' ? writing : files.openStore('read')),
    }
    this.surroundings = surroundings
    this.#started(await startJournalWriter(surroundings, { journal, flush: defaultFlushOptions, retention }))
    this.#started(startDispatcher(surroundings, { sweepMs: 50 }))
    this.applier = this.#started(await startProjectionApplier(surroundings, { applications: [application] }))
    this.application = this.#started(startApplication(surroundings, { application, instance: 1, former: 'unknown' }))
    while (!this.application.runtime.isRegistered) await this.pause(5)
    this.gateway = this.#started(await startGateway(surroundings, { applications: [application] }))
    while (!this.gateway.gateway.isReady) await this.pause(5)
    const db = new SocketDatabase({ environment, transport, addresses: [surroundings.addresses.gateway] })
    await db.open()
    this.db = db
  }

  #started<Role extends RunningRole>(role: Role): Role {
    this.#roles.push(role)
    return role
  }

  /** A migrator that is stopped with the rest, unless it was before. */
  migrator(): RunningMigrator {
    return startMigrator(this.surroundings)
  }

  async withMigrator<Result>(use: (running: RunningMigrator) => Promise<Result>): Promise<Result> {
    const running = this.migrator()
    try {
      return await use(running)
    } finally {
      await running.stop()
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.environment.scheduler.after(ms, resolve))
  }

  async stop(): Promise<void> {
    await this.db.close()
    for (const role of this.#roles.reverse()) await role.stop()
    this.#roles = []
  }

  async remove(): Promise<void> {
    if (this.#roles.length > 0) await this.stop()
    rmSync(this.dataDir, { recursive: true, force: true })
  }
}
