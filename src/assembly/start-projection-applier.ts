import type { ArchiveTarget } from '../archive/archive-target.ts'
import type { Archiver } from '../archive/archiver.ts'
import { assert } from '../kernel/assert.ts'
import type { Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { ApplierServer } from '../projection-applier/applier-server.ts'
import { ArchiveByHand, type ArchiveOfApplier } from '../projection-applier/archive-by-hand.ts'
import { ParkingWatch } from '../projection-applier/parking-watch.ts'
import { ProjectionApplier } from '../projection-applier/projection-applier.ts'
import type { Follower } from '../replica/follower.ts'
import type { Application } from '../sdk/application.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { ArchivedStreams } from '../tables/archived-streams.ts'
import { WriterKeyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { countParked } from '../tables/workflow-index.ts'
import { startArchiver } from './start-archiver.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface ProjectionApplierSettings {
  readonly applications: readonly Application[]
  readonly checkpointTimeoutMs?: number
  readonly commitIntervalMs?: number
  /** Where sealed segments go. Default: nowhere. */
  readonly openArchive?: () => Promise<ArchiveTarget>
}

export interface RunningProjectionApplier extends RunningRole {
  /** Another one after each time that it had to begin anew. */
  readonly applier: ProjectionApplier
  readonly follower: Follower
  /** Null without an archive. */
  readonly archiver: Archiver | null
}

export interface RestartingProjectionApplier extends RunningProjectionApplier {
  /** Why nothing is applied for now; null while it is. */
  readonly trouble: CommanderError | null
  /** What was parked since the role began. */
  readonly parkings: ParkingWatch
  /** How many commands and workflows wait for a person, by the store. */
  readonly parked: ReturnType<typeof countParked>
}

/** From a transaction for which the disk had no room to the next try. */
const roomRetryDelayMs = 1000
/** A failure that has not come again for so long is over, whatever there was to apply. */
const troubleMs = 10_000
/** The log says that there is no room this often at most. */
const roomWarningMs = 60_000

/**
 * A disk without room for the store is no end of the role: until there is room it begins anew from what is in the store,
 * again and again. Readers see the store as it is meanwhile; the journal bounds how far behind that may be.
 */
export async function startProjectionApplier(
  surroundings: Surroundings,
  settings: ProjectionApplierSettings,
): Promise<RestartingProjectionApplier> {
  const target = (await settings.openArchive?.()) ?? null
  const applier = new RestartingApplier(surroundings, settings, target)
  await applier.begin()
  return applier
}

/** The archiver goes on meanwhile. */
class RestartingApplier implements RestartingProjectionApplier {
  readonly archiver: Archiver | null
  readonly parkings: ParkingWatch
  readonly #surroundings: Surroundings
  readonly #settings: ProjectionApplierSettings
  readonly #store: KeyValueStore
  #current: RunningProjectionApplier | null = null
  #ending: Promise<void> = Promise.resolve()
  #timer: Timer | null = null
  #stopped = false
  #warnedAtMs = Number.NEGATIVE_INFINITY
  #trouble: { readonly error: CommanderError; readonly atMs: number; readonly committed: Lsn } | null = null

  constructor(surroundings: Surroundings, settings: ProjectionApplierSettings, target: ArchiveTarget | null) {
    this.#surroundings = surroundings
    this.#settings = settings
    this.#store = surroundings.openStore('write')
    this.parkings = new ParkingWatch(surroundings.environment)
    const moved = (): void => this.#current?.applier.archivedMoved()
    this.archiver = target && startArchiver(surroundings, this.#store, target, moved, surroundings.failed)
  }

  get applier(): ProjectionApplier {
    return this.#running.applier
  }

  get follower(): Follower {
    return this.#running.follower
  }

  get parked(): ReturnType<typeof countParked> {
    return countParked(this.#store)
  }

  get trouble(): CommanderError | null {
    if (this.#trouble === null) return null
    const { error, atMs, committed } = this.#trouble
    const nowMs = this.#surroundings.environment.clock.monotonicMs()
    return this.applier.committed > committed || nowMs - atMs > troubleMs ? null : error
  }

  async begin(): Promise<void> {
    const failed = (error: CommanderError): void => this.#failed(error)
    this.#current = await beginApplier(
      this.#surroundings,
      { ...this.#settings, parkings: this.parkings },
      this.#store,
      this.archiver,
      failed,
    )
  }

  readonly stop = async (): Promise<void> => {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#ending
    await this.#running.stop()
    await this.archiver?.stop()
    await this.#store.close()
  }

  get #running(): RunningProjectionApplier {
    assert(this.#current !== null, 'the projection applier has begun')
    return this.#current
  }

  #failed(error: CommanderError): void {
    if (this.#stopped) return
    // A state that diverged is left behind with its process, whose memory may be what is wrong.
    if (!error.retryable || error.code === 'state_diverged') {
      this.#surroundings.failed(error)
      return
    }
    const { clock, log, scheduler } = this.#surroundings.environment
    this.#trouble = { error, atMs: clock.monotonicMs(), committed: this.applier.committed }
    if (clock.monotonicMs() - this.#warnedAtMs >= roomWarningMs) {
      this.#warnedAtMs = clock.monotonicMs()
      log.warn({ code: error.code }, `nothing is applied until there is room: ${error.message}`)
    }
    this.#ending = this.#running.stop()
    this.#timer = scheduler.after(roomRetryDelayMs, () => {
      this.#ending = this.#ending.then(() => this.#beginAgain())
    })
  }

  async #beginAgain(): Promise<void> {
    try {
      if (!this.#stopped) await this.begin()
    } catch (error) {
      this.#surroundings.failed(error as Error)
    }
  }
}

async function beginApplier(
  surroundings: Surroundings,
  settings: ProjectionApplierSettings & { readonly parkings: ParkingWatch },
  store: KeyValueStore,
  archiver: Archiver | null,
  failed: (error: CommanderError) => void,
): Promise<RunningProjectionApplier> {
  const { environment, transport, addresses } = surroundings
  const keys = new WriterKeyLookup(store)
  const state = readRoot(store, { lookup: keys.lookup, keepsPayloads: true })
  const origin = newOrigin(surroundings)
  const byHand =
    archiver &&
    new ArchiveByHand({
      archiver,
      switchSegment: () => follower.switchSegment(),
      takeCheckpoint: () => applier.takeCheckpoint(() => {}),
    })
  const applier: ProjectionApplier = new ProjectionApplier({
    environment,
    store,
    origin,
    state,
    keys,
    archived: new ArchivedStreams(surroundings.vault ?? null),
    reset: (error: CommanderError) => surroundings.failed(error),
    failed,
    ...settings,
    ...(archiver === null || byHand === null ? {} : { archive: archiveOf(archiver, byHand) }),
  })
  const server = new ApplierServer(applier, environment.scheduler, byHand)
  const listener = await transport.listen(addresses.applier, (channel) => server.accept(channel))
  const follower: Follower = followerOf(surroundings, applier, {
    name: 'projection-applier',
    origin,
    followsFlush: true,
    after: state.lsn,
  })
  applier.start(follower)
  let stopping: Promise<void> | null = null
  const stop = (): Promise<void> => {
    applier.stop()
    stopping ??= listener.close()
    return stopping
  }
  return { applier, follower, archiver, stop }
}

const archiveOf = (archiver: Archiver, byHand: ArchiveByHand): ArchiveOfApplier => ({
  get archivedLsn() {
    return archiver.archivedLsn
  },
  flushed: (upTo) => archiver.flushed(upTo),
  switched: (switched) => byHand.switched(switched),
})
