import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { eventCountOf, isRemoved, keyOf, lsnOf, revisionOf, variantOf, wallMsOf } from '../actions/entry-layout.ts'
import type { Log } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { Application } from '../sdk/application.ts'
import type { Projection, ProjectionEvent } from '../sdk/projection.ts'
import { upcastEvent } from '../sdk/upcast-event.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { type ArchivedElsewhere, ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { EventLogReader, eachEntry, type LogBlock } from '../tables/event-log.ts'
import {
  deleteRow,
  type ProjectionProgress,
  putProgress,
  putRow,
  readProgress,
  readRowInBatch,
  rowKeys,
} from '../tables/projection-rows.ts'
import { tableNames } from '../tables/table-names.ts'

/** Blocks of the log that one transaction gives to a rebuild, and rows of an old version that it deletes. */
const rebuildBlocks = 64
const deletedRows = 5000

interface Running {
  readonly projection: Projection
  progress: ProjectionProgress
  /** An older version whose rows are being deleted. */
  stale: number | null
}

/** What one transaction does beside the new entries; read before it, since a transaction must not read ranges. */
export interface RebuildSlice {
  readonly running: Running
  readonly blocks: readonly LogBlock[]
  readonly staleRows: readonly Buffer[]
}

/**
 * Runs the user's projections inside the applier's transactions. A version that the store does not have is built from
 * the first event, a slice a transaction, while the rows of the version before go on answering.
 *
 * I1. Rows and the position they are at are put in one transaction.
 * I2. A handler that throws stops its own projection, is logged and shown, and stops nothing else.
 */
export class ProjectionRunner {
  readonly #store: KeyValueStore
  readonly #log: Log
  readonly #logReader: EventLogReader
  readonly #archived: ArchivedStreams
  /** A rebuild needs archived events, which are on their way. */
  #elsewhere: ArchivedElsewhere | null = null
  #isBringing = false
  readonly #aggregates: ReadonlyMap<string, AnyAggregate>
  readonly #running: Running[]

  constructor(
    store: KeyValueStore,
    applications: readonly Application[],
    log: Log,
    archived: ArchivedStreams = new ArchivedStreams(null),
  ) {
    this.#store = store
    this.#log = log
    this.#archived = archived
    this.#logReader = new EventLogReader(store, archived)
    this.#aggregates = new Map(applications.flatMap(({ aggregates }) => aggregates.map((one) => [one.name, one])))
    const projections = applications.flatMap((application) => application.projections)
    this.#running = projections.map((projection) => begin(store, projection))
  }

  /** Builds a projection again from the first event, under its present version. */
  rebuild(name: string): void {
    const running = this.#running.find(({ projection }) => projection.name === name)
    if (running === undefined) throw this.#unknown(name)
    running.progress = {
      ...running.progress,
      building: { version: running.projection.version, position: -1 },
      failed: null,
    }
  }

  #unknown(name: string): CommanderError {
    const names = this.#running
      .map(({ projection }) => projection.name)
      .sort()
      .join(', ')
    const message = `no application defines projection "${name}"; there are: ${names === '' ? 'none' : names}`
    return new CommanderError('unknown_projection', message)
  }

  get isRebuilding(): boolean {
    return this.#elsewhere === null && this.#running.some(isAtWork)
  }

  /** Asks for the archived events that a rebuild waits for, once; when they are here, `resume` is to be called. */
  bringBack(): Promise<void> | null {
    const elsewhere = this.#elsewhere
    if (elsewhere === null || this.#isBringing) return null
    this.#isBringing = true
    return this.#archived.load(elsewhere)
  }

  resume(): void {
    this.#elsewhere = null
    this.#isBringing = false
  }

  /** New events of one entry, for the projections that are up to date. */
  apply(batch: WriteBatch, b: Buffer, o: number, firstPosition: number): void {
    for (const running of this.#running) {
      const { live, building, failed } = running.progress
      if (live !== running.projection.version || building !== null || failed !== null) continue
      this.#applyEntry(batch, running, b, o, firstPosition)
    }
  }

  slices(): RebuildSlice[] {
    const slices: RebuildSlice[] = []
    for (const running of this.#running) {
      if (!isAtWork(running)) continue
      const { building } = running.progress
      const blocks: LogBlock[] = []
      if (building !== null && building.position >= 0) this.#readBlocks(building.position + 1, blocks)
      const toDelete = building?.position === -1 ? building.version : running.stale
      const staleRows = toDelete === null ? [] : rowKeys(this.#store, running.projection.name, toDelete, deletedRows)
      slices.push({ running, blocks, staleRows })
    }
    return slices
  }

  /** As many as are in reach: those behind an archived one come with the next slice. */
  #readBlocks(from: number, blocks: LogBlock[]): void {
    try {
      for (const block of this.#logReader.blocksFrom(from)) if (blocks.push(block) === rebuildBlocks) return
    } catch (error) {
      if (!isArchivedElsewhere(error)) throw error
      if (blocks.length === 0) this.#elsewhere = error
    }
  }

  /** @param position that of the last event in the store, this transaction's included or not: the goal of a rebuild. */
  applySlice(batch: WriteBatch, { running, blocks, staleRows }: RebuildSlice, position: number): void {
    const { building } = running.progress
    for (const key of staleRows) batch.delete(tableNames.rows, key)
    if (building?.position === -1) {
      // A rebuild under the same version deletes the rows that are there before it begins.
      if (staleRows.length < deletedRows)
        running.progress = { ...running.progress, live: null, building: { ...building, position: 0 } }
    } else if (building !== null) this.#build(batch, running, blocks, building, position)
    else if (staleRows.length < deletedRows) running.stale = null
    putProgress(batch, running.projection.name, running.progress)
  }

  #build(
    batch: WriteBatch,
    running: Running,
    blocks: readonly LogBlock[],
    building: NonNullable<ProjectionProgress['building']>,
    goal: number,
  ): void {
    let { position } = building
    for (const block of blocks) {
      eachEntry(block, (b, o, first) => {
        const isThere = !isRemoved(b, o) && running.progress.failed === null
        if (first > position && isThere) this.#applyEntry(batch, running, b, o, first)
        position = Math.max(position, first + eventCountOf(b, o) - 1)
      })
    }
    if (running.progress.failed !== null) return
    if (position < goal) {
      running.progress = { ...running.progress, building: { ...building, position } }
      return
    }
    running.stale = running.progress.live
    running.progress = { live: building.version, building: null, failed: null }
    this.#log.info({ projection: running.projection.name, version: building.version, position }, 'projection built')
  }

  #applyEntry(batch: WriteBatch, running: Running, b: Buffer, o: number, firstPosition: number): void {
    const { projection } = running
    const aggregate = parseAggregateKey(keyOf(b, o))
    const handlers = projection.on[aggregate.type]
    if (handlers === undefined) return
    const base = revisionOf(b, o)
    const definition = this.#aggregates.get(aggregate.type)
    const table = tableFor(batch, projection)
    let position = firstPosition
    try {
      eventsOf(b, o).forEach((stored, i) => {
        position = firstPosition + i
        const { type, data } = definition === undefined ? stored : upcastEvent(definition, stored, variantOf(b, o))
        const event: ProjectionEvent = {
          type,
          data,
          aggregate,
          revision: base + i + 1,
          globalPosition: position,
          lsn: lsnOf(b, o),
          at: new Date(wallMsOf(b, o)).toISOString(),
        }
        handlers[type]?.(table, event)
      })
    } catch (error) {
      this.#failed(batch, running, position, error)
    }
  }

  #failed(batch: WriteBatch, running: Running, position: number, error: unknown): void {
    const { projection } = running
    const message = `the handler of projection "${projection.name}" threw at position ${position}: ${messageOf(error)}`
    this.#log.error(
      { projection: projection.name, position },
      `${message}; mend it and raise its version, or rebuild it`,
    )
    running.progress = { ...running.progress, failed: { version: projection.version, position, message } }
    putProgress(batch, projection.name, running.progress)
  }
}

/** A build that failed is none: nothing goes on until somebody mends it. */
const isAtWork = ({ progress: { building, failed }, stale }: Running): boolean =>
  (building !== null && failed === null) || stale !== null

function begin(store: KeyValueStore, projection: Projection): Running {
  const stored = readProgress(store, projection.name)
  const { version } = projection
  if (stored === null)
    return { projection, progress: { live: null, building: { version, position: 0 }, failed: null }, stale: null }
  const isCurrent = stored.live === version && stored.building === null
  const isFailed = stored.failed?.version === version
  if (isCurrent || isFailed || stored.building?.version === version)
    return { projection, progress: stored, stale: null }
  return { projection, progress: { live: stored.live, building: { version, position: 0 }, failed: null }, stale: null }
}

function tableFor(
  batch: WriteBatch,
  projection: Projection,
): Parameters<NonNullable<Projection['on'][string][string]>>[0] {
  const { name, version } = projection
  return {
    get: (key: string) => (readRowInBatch(batch, name, version, checkedKey(key)) ?? projection.initialRow?.()) as never,
    put: (key: string, row: unknown) => putRow(batch, name, version, checkedKey(key), row),
    delete: (key: string) => deleteRow(batch, name, version, checkedKey(key)),
  }
}

function checkedKey(key: unknown): string {
  if (typeof key === 'string' && key.length > 0 && Buffer.byteLength(key) <= limits.aggregateIdBytesMax) return key
  throw new CommanderError(
    'invalid_input',
    `a row key must be a text of 1 to ${limits.aggregateIdBytesMax} bytes, not ${JSON.stringify(key)}`,
  )
}
