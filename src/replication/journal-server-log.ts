import { checkJournalOptions, framePayloadBytesMax, type JournalOptions } from '../journal/options.ts'
import { assert } from '../kernel/assert.ts'
import { digest16 } from '../kernel/checksum.ts'
import type { Environment } from '../kernel/environment.ts'
import { asCommanderError, CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, noEpoch, noLsn } from '../kernel/identifiers.ts'
import type { Digest, ReplicatedBatch } from './batch.ts'
import { readSegmentMark, type SegmentMark, writeSegmentMark } from './segment-mark.ts'
import type { SegmentParts } from './segment-parts.ts'
import { emptySegment, recoverSegment } from './segment-recovery.ts'
import type { ServerDisk } from './server-disk.ts'
import { claimIdentity } from './server-identity.ts'
import type { SegmentSummary, ServerIdentity, ServerLog } from './server-log.ts'
import { ServerRoom } from './server-room.ts'
import { storedHeadBytes } from './stored-batch.ts'
import { StoredSegment } from './stored-segment.ts'
import {
  directoryOf,
  lostPromise,
  nothingPromised,
  readPromise,
  readStreams,
  type StreamPromise,
  segmentDirectory,
  writePromise,
  writeStreams,
} from './stored-stream.ts'

export interface ServerLogRequest {
  readonly disk: ServerDisk
  readonly environment: Environment
  readonly serverId: string
  readonly clusterId: string
  readonly options: JournalOptions
  /** What all segments may take on the disk. Default: all there is. */
  readonly maxBytes?: number
}

interface Stream {
  promise: StreamPromise
  /** In the order of their epochs. */
  segments: StoredSegment[]
}

/**
 * Recovers what a journal server has on disk. One process a directory: the caller holds its lock.
 * @throws CommanderError foreign_cluster; unknown_identity; journal_corrupt, where identity, a promise or a mark is damaged; foreign_database, where
 * a segment was put there from elsewhere; unsupported_version; invalid_config; journal_full; journal_failed
 */
export async function openServerLog(request: ServerLogRequest): Promise<ServerLog> {
  const { disk, environment, options } = request
  checkJournalOptions(options)
  const root = disk.open('')
  const identity = claimIdentity(disk, root, environment.random, request)
  const streams = new Map<string, Stream>()
  for (const name of disk.directories('')) {
    const stream = await recoverStream(request, identity, name)
    if (stream !== null) streams.set(stream.promise.stream, stream)
  }
  const lost = readStreams(root, disk.place).find((stream) => !streams.has(stream))
  if (lost !== undefined) throw lostPromise(`the directory ${directoryOf(lost)} of ${lost} is missing in ${disk.place}`)
  return new JournalServerLog(request, identity, streams)
}

async function recoverStream(
  request: ServerLogRequest,
  identity: ServerIdentity,
  directory: string,
): Promise<Stream | null> {
  const { disk } = request
  const promise = readPromise(disk.open(directory), `${disk.place}/${directory}`)
  const names = disk.directories(directory)
  if (promise === null) {
    // the promise is made before anything else, so a stream without one has no segments
    if (names.length > 0) throw lostPromise(`${disk.place}/${directory} has segments and no promise`)
    return null
  }
  if (directoryOf(promise.stream) !== directory) throw movedHere(`${disk.place}/${directory}`, promise.stream)
  const segments: StoredSegment[] = []
  for (const name of names) {
    const path = `${directory}/${name}`
    const mark = readSegmentMark(disk.open(path), `${disk.place}/${path}`)
    if (mark === null && !promise.segments.some((epoch) => segmentDirectory(promise.stream, epoch) === path))
      disk.remove(path)
    else if (mark === null) throw lostPromise(`${disk.place}/${path} is empty`)
    else if (segmentDirectory(promise.stream, mark.epoch) !== path)
      throw movedHere(`${disk.place}/${path}`, mark.stream)
    else {
      const parts = partsOf(request, identity, mark)
      const segment = new StoredSegment(parts, mark, await recoverSegment(parts, mark))
      await segment.letGoOfDamagedEnd()
      segments.push(segment)
    }
  }
  const lost = promise.segments.find((epoch) => !segments.some((segment) => segment.epoch === epoch))
  if (lost !== undefined) throw lostPromise(`${disk.place}/${segmentDirectory(promise.stream, lost)} is missing`)
  for (const segment of segments.slice(0, -1)) segment.pass()
  return { promise, segments }
}

/** The journal of a segment says in each file of which cluster and stream, and of which server it is (R0). */
function partsOf(
  { disk, environment, options, clusterId }: ServerLogRequest,
  { identity }: ServerIdentity,
  { stream, epoch }: SegmentMark,
): SegmentParts {
  const journalId = digest16(Buffer.from(JSON.stringify([clusterId, stream])))
  const serverId = digest16(Buffer.from(identity))
  const storage = disk.open(segmentDirectory(stream, epoch))
  return { storage, environment, options, identity: { journalId, serverId } }
}

class JournalServerLog implements ServerLog {
  readonly identity: ServerIdentity
  readonly batchBytesMax: number
  failed: CommanderError | null = null
  private readonly request: ServerLogRequest
  private readonly known: Map<string, Stream>
  private readonly room: ServerRoom

  constructor(request: ServerLogRequest, identity: ServerIdentity, streams: Map<string, Stream>) {
    this.request = request
    this.identity = identity
    this.batchBytesMax = framePayloadBytesMax(request.options) - storedHeadBytes
    this.known = streams
    this.room = new ServerRoom({
      maxBytes: request.maxBytes ?? Number.MAX_SAFE_INTEGER,
      fileBytes: request.options.segmentBytes,
      storages: () => [...this.known.values()].flatMap((one) => one.segments.map(({ storage }) => storage)),
    })
  }

  streams(): readonly string[] {
    return [...this.known.keys()]
  }

  promised(stream: string): Epoch {
    return this.known.get(stream)?.promise.promised ?? noEpoch
  }

  promise(stream: string, promised: Epoch): void {
    this.guarded(() => {
      const before = this.streamNow(stream)
      assert(promised >= before.promise.promised, `a promise never falls, as from ${before.promise.promised} (I4)`)
      // who is sealed answers with its tail: what it answers is to be missed if it is lost
      before.segments.at(-1)?.vouch()
      if (promised === before.promise.promised) return
      this.storePromise(before, { ...before.promise, promised })
    })
  }

  segments(stream: string): readonly SegmentSummary[] {
    return this.known.get(stream)?.segments ?? []
  }

  createSegment(
    stream: string,
    { epoch, base, baseDigest }: { readonly epoch: Epoch; readonly base: Lsn; readonly baseDigest: Digest },
  ): void {
    this.guarded(() => {
      const known = this.streamNow(stream)
      assert(!known.segments.some((segment) => segment.epoch === epoch), `${stream} has segment ${epoch} already`)
      const beginning = { base, baseDigest, from: base, fromDigest: baseDigest }
      const mark = { stream, epoch, ...beginning, floor: noLsn, ceiling: null, atLeast: false, finished: null }
      const parts = partsOf(this.request, this.identity, mark)
      writeSegmentMark(parts.storage, mark)
      const last = known.segments.at(-1)
      const segment = new StoredSegment(parts, mark, emptySegment(mark))
      this.storePromise(known, { ...known.promise, segments: [...known.segments.map(({ epoch: e }) => e), epoch] })
      known.segments = [...known.segments, segment].sort((a, b) => a.epoch - b.epoch)
      if (known.segments.at(-1) === segment) last?.pass()
      else segment.pass()
    })
  }

  append(stream: string, segmentEpoch: Epoch, batches: readonly ReplicatedBatch[], committed: Lsn): void {
    this.guarded(() => {
      this.room.take(batches)
      this.segment(stream, segmentEpoch).append(batches, committed)
    })
  }

  flush(stream: string, segmentEpoch: Epoch, done: (flushed: Lsn, error: CommanderError | null) => void): void {
    if (this.failed !== null) throw this.failed
    this.segment(stream, segmentEpoch).flush((flushed, error) => done(flushed, error && this.poisoned(error)))
  }

  read(stream: string, segmentEpoch: Epoch, from: Lsn, to: Lsn, bytesMax: number): ReplicatedBatch[] {
    return this.segment(stream, segmentEpoch).read(from, to, bytesMax)
  }

  digestAt(stream: string, segmentEpoch: Epoch, at: Lsn): Digest | null {
    return this.segment(stream, segmentEpoch).digestAt(at)
  }

  truncate(stream: string, segmentEpoch: Epoch, after: Lsn): void {
    this.guarded(() => this.segment(stream, segmentEpoch).truncate(after))
  }

  finish(stream: string, segmentEpoch: Epoch, tail: Lsn): void {
    this.guarded(() => this.segment(stream, segmentEpoch).finish(tail))
  }

  dropSegments(stream: string, before: Lsn): void {
    this.guarded(() => {
      const known = this.known.get(stream)
      if (known === undefined) return
      const stale = known.segments.slice(0, -1).filter(({ tail }) => tail < before)
      const left = known.segments.filter((segment) => !stale.includes(segment))
      if (stale.length > 0) this.storePromise(known, { ...known.promise, segments: left.map(({ epoch }) => epoch) })
      known.segments = left
      for (const segment of stale) {
        segment.discard()
        this.request.disk.remove(segmentDirectory(stream, segment.epoch))
      }
      for (const segment of known.segments) segment.dropBefore(before)
      this.room.changed()
    })
  }

  deleteStream(stream: string): void {
    this.guarded(() => {
      const known = this.known.get(stream)
      if (known === undefined) return
      for (const segment of known.segments) segment.discard()
      this.known.delete(stream)
      this.storeStreams()
      this.request.disk.remove(directoryOf(stream))
      this.room.changed()
    })
  }

  close(done: (error: CommanderError | null) => void): void {
    const segments = [...this.known.values()].flatMap((stream) => stream.segments)
    let left = segments.length
    let failure: CommanderError | null = null
    if (left === 0) this.request.environment.scheduler.soon(() => done(null))
    for (const segment of segments)
      segment.close((error) => {
        failure ??= error
        if (--left === 0) done(failure)
      })
  }

  private segment(stream: string, segmentEpoch: Epoch): StoredSegment {
    const segment = this.known.get(stream)?.segments.find(({ epoch }) => epoch === segmentEpoch)
    assert(segment, `${stream} has no segment ${segmentEpoch} here`)
    return segment
  }

  private streamNow(stream: string): Stream {
    const known = this.known.get(stream)
    if (known !== undefined) return known
    const made: Stream = { promise: nothingPromised(stream), segments: [] }
    this.storePromise(made, made.promise)
    this.storeStreams(stream)
    this.known.set(stream, made)
    return made
  }

  /** A stream is noted when it is there, and before anything is promised in it; and forgotten before it goes. */
  private storeStreams(...more: readonly string[]): void {
    writeStreams(this.request.disk.open(''), [...this.known.keys(), ...more])
  }

  private storePromise(stream: Stream, promise: StreamPromise): void {
    writePromise(this.request.disk.open(directoryOf(promise.stream)), promise)
    stream.promise = promise
  }

  /** Anything but a full disk, or damage that was there, leaves it unknown what is on the medium. */
  private guarded(run: () => void): void {
    if (this.failed !== null) throw this.failed
    try {
      run()
    } catch (error) {
      throw isCommanderError(error) && harmless.has(error.code) ? error : this.poisoned(error)
    }
  }

  private poisoned(cause: unknown): CommanderError {
    // a power failure of the simulator, or a mistake in this program
    if (!isCommanderError(cause)) throw cause
    const { message } = asCommanderError(cause)
    this.failed ??= new CommanderError(
      'server_poisoned',
      `journal server ${this.identity.serverId} cannot go on: ${message}. It ends, and its successor goes by what is on the disk`,
      { cause },
    )
    return this.failed
  }
}

const harmless: ReadonlySet<string> = new Set(['journal_full', 'journal_corrupt', 'payload_too_large'])

function movedHere(place: string, stream: string): CommanderError {
  return new CommanderError(
    'foreign_database',
    `${place} was made for ${stream} and has been moved: put it back where it was`,
    { details: { place, stream } },
  )
}
