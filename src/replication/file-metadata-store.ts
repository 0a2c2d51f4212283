import { type FSWatcher, watch } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Clock, Random, Scheduler, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectory } from '../kernel/make-directory-adapter.ts'
import { FileMetadataLeases } from './file-metadata-leases.ts'
import { FileMetadataVersions, flushMade, versionsDirectoryName } from './file-metadata-versions.ts'
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
  /** For how long a change is tried again because others were faster. Default 5000. */
  readonly patienceMs?: number
}

const pollMsDefault = 200
const patienceMsDefault = 5000

/**
 * A metadata store for one host: a directory that several processes use at once. It guards against lost processes, and against those
 * that stand still, not against a lost disk.
 */
export class FileMetadataStore implements MetadataStore {
  readonly location: string
  readonly #o: FileMetadataOptions
  readonly #versions: FileMetadataVersions
  readonly #leases: FileMetadataLeases
  readonly #watches = new Set<PolledWatch>()
  readonly #watcher: FSWatcher | null
  #isClosed = false
  #timer: Timer | undefined
  #poll: Promise<void> | null = null
  #pollsAgain = false
  /** Changes by this process, one after the other: they would only get in each other's way. */
  #turn: Promise<unknown> = Promise.resolve()

  /** @throws CommanderError `metadata_unavailable` */
  static async open(options: FileMetadataOptions): Promise<FileMetadataStore> {
    const directory = resolve(options.directory)
    const location = `file:${directory}`
    try {
      const leases = join(directory, 'leases')
      await flushMade(leases, await makeDirectory(leases))
      const versions = await FileMetadataVersions.open(directory, location, options.random)
      return new FileMetadataStore(options, directory, versions)
    } catch (error) {
      const advice = 'let this user read and write there, or name another directory'
      throw metadataUnavailable(location, 'open', `${messageOf(error)}; ${advice}`, 'none', { cause: error })
    }
  }

  private constructor(options: FileMetadataOptions, directory: string, versions: FileMetadataVersions) {
    this.location = versions.location
    this.#o = options
    this.#versions = versions
    this.#leases = new FileMetadataLeases(join(directory, 'leases'))
    this.#watcher = watcherOf(join(directory, versionsDirectoryName), () => this.#wake())
    this.#plan()
  }

  get(key: string): Promise<MetadataValue | null> {
    return this.#open('get', async () => valueIn((await this.#versions.read()).image, key))
  }

  list(prefix: string): Promise<readonly MetadataValue[]> {
    return this.#open('list', async () => listingOf((await this.#versions.read()).image, prefix).values)
  }

  async compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    { lease }: SwapOptions = {},
  ): Promise<SwapResult> {
    checkSwap(key, value)
    const swap = { key, expectedRevision, value, lease: lease?.id ?? null }
    return this.#change(`swap ${key}`, async (before) => {
      if (lease !== undefined && !(await this.#leases.lives(lease.id))) throw leaseIsOver(lease.id)
      return swapped(before, swap)
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
        const lives = await this.#open(`keep the lease ${id}`, () => this.#leases.renew(id))
        return lives ? Math.max(0, sentMs + ttlMs - leaseMarginOf(ttlMs) - nowMs()) : 0
      },
      revoke: () => this.#endLeases(`revoke the lease ${id}`, async () => [id]),
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#watcher?.close()
    for (const watch of this.#watches) watch.close()
    await this.#poll
    await this.#turn
  }

  /** Tries again with what is there by then, as long as somebody else is faster. */
  #change<Result>(operation: string, plan: (before: MetadataImage) => Promise<Change<Result>>): Promise<Result> {
    const turn = this.#turn.then(() => this.#open(operation, () => this.#tryChange(operation, plan)))
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #tryChange<Result>(
    operation: string,
    plan: (before: MetadataImage) => Promise<Change<Result>>,
  ): Promise<Result> {
    const { clock, patienceMs = patienceMsDefault } = this.#o
    for (const untilMs = clock.monotonicMs() + patienceMs; ; ) {
      const before = await this.#versions.read()
      const { image, result } = await plan(before.image)
      if (image === before.image) return result
      if (await this.#versions.follow(before, image)) {
        this.#wake()
        return result
      }
      if (this.#isClosed) throw metadataClosed(this.location, operation)
      if (clock.monotonicMs() >= untilMs)
        throw metadataUnavailable(this.location, operation, `others were faster for ${patienceMs} ms`, 'none')
    }
  }

  async #open<Result>(operation: string, run: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw metadataClosed(this.location, operation)
    const result = await run().catch((error: unknown): never => {
      if (error instanceof CommanderError) throw error
      throw metadataUnavailable(this.location, operation, messageOf(error), 'unknown', { cause: error })
    })
    if (this.#isClosed) throw metadataClosed(this.location, operation)
    return result
  }

  /** The values first: a crash in between leaves a lease that is over still. */
  async #endLeases(operation: string, over: () => Promise<readonly string[]>): Promise<void> {
    const ids = await this.#change(operation, async (before) => {
      const result = await over()
      return { image: withoutLeases(before, (lease) => result.includes(lease)), result }
    })
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
        const { image } = await this.#versions.read()
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
    await this.#endLeases('end leases', async () => {
      const over: string[] = []
      for (const id of ids) if (await this.#leases.isOver(id, clock.monotonicMs())) over.push(id)
      return over
    })
  }
}

interface Change<Result> {
  /** The same one where nothing changes. */
  readonly image: MetadataImage
  readonly result: Result
}

/** Null where the system has no more of them to give: polling finds the changes, later. */
function watcherOf(directory: string, changed: () => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      if (name === null || name.endsWith('.head')) changed()
    })
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return null
  }
}
