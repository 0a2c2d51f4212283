import { type FSWatcher, watch } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Clock, Random, Scheduler, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectory } from '../kernel/make-directory-adapter.ts'
import { FileMetadataFile, flushMade, metadataFileName } from './file-metadata-file.ts'
import { FileMetadataLeases } from './file-metadata-leases.ts'
import { FileMetadataLock, LockBusy } from './file-metadata-lock.ts'
import {
  checkSwap,
  leasesIn,
  listingOf,
  type MetadataImage,
  swapped,
  valueIn,
  withoutLeases,
} from './metadata-image.ts'
import {
  type Lease,
  leaseIsOver,
  leaseMarginOf,
  type MetadataStore,
  type MetadataValue,
  type MetadataWatch,
  metadataClosed,
  metadataUnavailable,
  type SwapOptions,
  type SwapResult,
  type WatchHandlers,
} from './metadata-store.ts'
import { PolledWatch } from './polled-watch.ts'

export interface FileMetadataOptions {
  /** On a local file system, shared by the processes of one host. Made when absent. */
  readonly directory: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** How often leases are looked at, and changes that the system did not tell of. Default 200. */
  readonly pollMs?: number
  /** For how long a change waits for those of others. Default 5000. */
  readonly patienceMs?: number
}

const pollMsDefault = 200
const patienceMsDefault = 5000

/**
 * A metadata store for one host: a directory that several processes use at once. It guards against lost processes, not against
 * a lost disk.
 */
export class FileMetadataStore implements MetadataStore {
  readonly location: string
  readonly #o: FileMetadataOptions
  readonly #lock: FileMetadataLock
  readonly #file: FileMetadataFile
  readonly #leases: FileMetadataLeases
  readonly #watches = new Set<PolledWatch>()
  readonly #watcher: FSWatcher | null
  #isClosed = false
  #timer: Timer | undefined
  #poll: Promise<void> | null = null
  #pollsAgain = false

  /** @throws CommanderError `metadata_unavailable` */
  static async open(options: FileMetadataOptions): Promise<FileMetadataStore> {
    const directory = resolve(options.directory)
    const location = `file:${directory}`
    try {
      const leases = join(directory, 'leases')
      await flushMade(leases, await makeDirectory(leases))
      return new FileMetadataStore(options, directory, new FileMetadataLock(join(directory, 'lock.sqlite'), options))
    } catch (error) {
      const advice = 'let this user read and write there, or name another directory'
      throw metadataUnavailable(location, 'open', `${messageOf(error)}; ${advice}`, 'none', { cause: error })
    }
  }

  private constructor(options: FileMetadataOptions, directory: string, lock: FileMetadataLock) {
    this.location = `file:${directory}`
    this.#o = options
    this.#lock = lock
    this.#file = new FileMetadataFile(directory, this.location)
    this.#leases = new FileMetadataLeases(join(directory, 'leases'))
    this.#watcher = watcherOf(directory, () => this.#wake())
    this.#plan()
  }

  get(key: string): Promise<MetadataValue | null> {
    return this.#open('get', async () => valueIn(await this.#file.read(), key))
  }

  list(prefix: string): Promise<readonly MetadataValue[]> {
    return this.#open('list', async () => listingOf(await this.#file.read(), prefix).values)
  }

  async compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    { lease }: SwapOptions = {},
  ): Promise<SwapResult> {
    checkSwap(key, value)
    const swap = { key, expectedRevision, value, lease: lease?.id ?? null }
    return this.#alone(`swap ${key}`, async () => {
      if (lease !== undefined && !(await this.#leases.lives(lease.id))) throw leaseIsOver(lease.id)
      const before = await this.#file.read()
      const { image, result } = swapped(before, swap)
      await this.#become(before, image)
      return result
    })
  }

  watch(prefix: string, handlers: WatchHandlers): MetadataWatch {
    const watch = new PolledWatch(prefix, handlers, () => this.#watches.delete(watch))
    if (this.#isClosed) return watch
    this.#watches.add(watch)
    this.#wake()
    return watch
  }

  async lease(ttlMs: number): Promise<Lease> {
    const id = await this.#open('lease', () => this.#leases.make(this.#o.random.uuid(), ttlMs))
    const nowMs = (): number => this.#o.clock.monotonicMs()
    return {
      id,
      keepAlive: async () => {
        const sentMs = nowMs()
        const lives = await this.#alone(`keep the lease ${id}`, () => this.#leases.renew(id))
        return lives ? Math.max(0, sentMs + ttlMs - leaseMarginOf(ttlMs) - nowMs()) : 0
      },
      revoke: () => this.#alone(`revoke the lease ${id}`, () => this.#endLeases([id])),
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#watcher?.close()
    for (const watch of this.#watches) watch.close()
    await this.#poll
    await this.#lock.close()
  }

  /** Runs alone among all processes, with errors that say where. */
  #alone<Result>(operation: string, run: () => Promise<Result>): Promise<Result> {
    return this.#open(operation, () => this.#lock.hold(this.#o.patienceMs ?? patienceMsDefault, run))
  }

  async #open<Result>(operation: string, run: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw metadataClosed(this.location, operation)
    const result = await run().catch((error: unknown): never => {
      if (error instanceof CommanderError) throw error
      const outcome = error instanceof LockBusy ? 'none' : 'unknown'
      throw metadataUnavailable(this.location, operation, messageOf(error), outcome, { cause: error })
    })
    if (this.#isClosed) throw metadataClosed(this.location, operation)
    return result
  }

  async #become(before: MetadataImage, image: MetadataImage): Promise<void> {
    if (image === before) return
    await this.#file.replace(image)
    this.#wake()
  }

  /** The values first: a crash in between leaves a lease that is over still. */
  async #endLeases(ids: readonly string[]): Promise<void> {
    const before = await this.#file.read()
    await this.#become(
      before,
      withoutLeases(before, (lease) => ids.includes(lease)),
    )
    for (const id of ids) await this.#leases.end(id)
  }

  #plan(): void {
    if (this.#isClosed) return
    this.#timer = this.#o.scheduler.after(this.#o.pollMs ?? pollMsDefault, () => {
      this.#wake()
      this.#plan()
    })
  }

  /** Looks at the file and the leases, once more if somebody asks meanwhile. */
  #wake(): void {
    this.#pollsAgain = true
    if (this.#poll !== null || this.#isClosed) return
    this.#poll = this.#pollAll().finally(() => {
      this.#poll = null
    })
  }

  async #pollAll(): Promise<void> {
    while (this.#pollsAgain && !this.#isClosed) {
      this.#pollsAgain = false
      try {
        const image = await this.#file.read()
        for (const watch of this.#watches) watch.show(listingOf(image, watch.prefix))
        await this.#endLeasesThatAreOver(image)
      } catch (error) {
        for (const watch of this.#watches) watch.lose(asCommanderError(error))
      }
    }
  }

  /** Those that gave no sign of life, and those that were lost with the power. */
  async #endLeasesThatAreOver(image: MetadataImage): Promise<void> {
    const { clock } = this.#o
    const { present, silent } = await this.#leases.scan(clock.monotonicMs())
    const ids = [...silent, ...leasesIn(image).filter((id) => !present.includes(id))]
    if (ids.length === 0) return
    await this.#alone('end leases', async () => {
      const over: string[] = []
      for (const id of ids) if (await this.#leases.isOver(id, clock.monotonicMs())) over.push(id)
      if (over.length > 0) await this.#endLeases(over)
    })
  }
}

/** Null where the system has no more of them to give: polling finds the changes, later. */
function watcherOf(directory: string, changed: () => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      if (name === null || name === metadataFileName) changed()
    })
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return null
  }
}
