import { afterEach, describe, expect, it } from 'vitest'
import { startApplication } from '../../../src/assembly/start-application.ts'
import { startJournalWriter } from '../../../src/assembly/start-journal-writer.ts'
import {
  type RunningProjectionApplier,
  startProjectionApplier,
} from '../../../src/assembly/start-projection-applier.ts'
import type { RunningRole, Surroundings } from '../../../src/assembly/surroundings.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { defaultJournalOptions } from '../../../src/journal/options.ts'
import { defaultFlushOptions } from '../../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../../src/journal-writer/retention.ts'
import type { Environment } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../../src/store/key-value-store.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'
import { allTables } from '../../../src/tables/table-names.ts'
import { application } from '../application/application-world.ts'

/** A store of which the next writes fail. */
class FailingDisk {
  readonly errors: CommanderError[] = []
  readonly #store: KeyValueStore

  constructor(store: KeyValueStore) {
    this.#store = store
  }

  get store(): KeyValueStore {
    return new Proxy(this.#store, {
      get: (store, name) => {
        if (name === 'write') return (...args: Parameters<KeyValueStore['write']>) => this.#write(...args)
        const value: unknown = Reflect.get(store, name, store)
        return typeof value === 'function' ? value.bind(store) : value
      },
    })
  }

  #write(...[fill, done]: Parameters<KeyValueStore['write']>): void {
    const error = this.errors.shift()
    if (error === undefined) {
      this.#store.write(fill, done)
      return
    }
    const aborted = new Error('aborted')
    try {
      this.#store.write((batch) => {
        fill(batch)
        throw aborted
      }, done)
    } catch (thrown) {
      if (thrown !== aborted) throw thrown
      queueMicrotask(() => done(error))
    }
  }
}

const noRoom = (): CommanderError => new CommanderError('store_failed', 'no room on the disk', { retryable: true })

/** Waits between tries are cut short. */
function impatientEnvironment(): Environment {
  const environment = createSystemEnvironment()
  const { scheduler } = environment
  const impatient = {
    after: (delayMs: number, run: () => void) => scheduler.after(Math.min(delayMs, 5), run),
    soon: (run: () => void) => scheduler.soon(run),
  }
  return { ...environment, scheduler: impatient }
}

const running: RunningRole[] = []
afterEach(async () => {
  for (const role of running.splice(0).reverse()) await role.stop()
})

async function start(errors: readonly CommanderError[]) {
  const environment = impatientEnvironment()
  const store = openMemoryStore({ tables: allTables, environment })
  const disk = new FailingDisk(store)
  disk.errors.push(...errors)
  const storage = new MemoryStorage({ scheduler: environment.scheduler })
  const failures: Error[] = []
  const surroundings: Surroundings = {
    environment,
    transport: createMemoryTransport(environment),
    addresses: { journal: 'journal', gateway: 'gateway', applier: 'applier' },
    openStorage: () => storage,
    openStore: (access) => (access === 'write' ? disk.store : store.reader()),
    journalId: Buffer.alloc(16, 7),
    failed: (error) => failures.push(error),
  }
  const journal = { ...defaultJournalOptions, segmentBytes: 1 << 20 }
  running.push(
    await startJournalWriter(surroundings, {
      journal,
      flush: defaultFlushOptions,
      retention: defaultRetentionSettings,
    }),
  )
  const applier = await startProjectionApplier(surroundings, { applications: [application] })
  running.push(applier)
  // Its registration is an entry to be applied.
  running.push(startApplication(surroundings, { application, instance: 1, former: 'unknown' }))
  return { applier, failures, disk, surroundings }
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe('the projection applier', () => {
  it('begins anew from the store until the disk has room, and then applies what waited', async () => {
    const { applier, failures, disk } = await start([noRoom(), noRoom(), noRoom()])
    const first = applier.applier
    await until(() => applier.applier.committed > 0)
    expect(disk.errors).toEqual([])
    expect(applier.applier).not.toBe(first)
    expect(failures).toEqual([])
  })

  it('says what keeps it from applying, and that it is over once something is applied', async () => {
    const { applier, disk } = await start(Array.from({ length: 100 }, noRoom))
    await until(() => applier.trouble !== null)
    expect(applier.trouble).toMatchObject({ code: 'store_failed', message: 'no room on the disk', retryable: true })
    disk.errors.length = 0
    await until(() => applier.applier.committed > 0)
    expect(applier.trouble).toBeNull()
  })

  it('can be stopped while it waits for room, and then does not begin again', async () => {
    const { applier, failures, disk } = await start(Array.from({ length: 100 }, noRoom))
    await until(() => disk.errors.length < 98)
    await (running.splice(running.indexOf(applier), 1)[0] as RunningProjectionApplier).stop()
    const left = disk.errors.length
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(disk.errors.length).toBe(left)
    expect(failures).toEqual([])
  })

  it('ends with any other failure of the store', async () => {
    const broken = new CommanderError('store_failed', 'the disk is broken')
    const { failures } = await start([broken])
    await until(() => failures.length > 0)
    expect(failures).toEqual([broken])
  })
})
