import { PassThrough, Readable } from 'node:stream'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import type { SegmentCodec } from '../archive/segment-codec.ts'
import { assert } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { StreamVault } from '../tables/archived-streams.ts'
import type { ObjectPacking } from '../tables/stream-object.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How the archive is at the moment; changed by whoever plans the faults. */
export interface ArchiveMood {
  /** How long an operation takes at most. */
  delayMs: number
  /** Share of operations that fail, half of them after they took effect. */
  failing: number
  isFull: boolean
}

export const usualMood: ArchiveMood = { delayMs: 5, failing: 0, isFull: false }

/** As they are: a simulated archive is no larger than what a history makes. */
export const plainCodec: SegmentCodec = { compress: () => new PassThrough(), decompress: () => new PassThrough() }

/** At once: the thread pool has a time of its own. */
const packing: ObjectPacking = {
  compress: async (bytes) => zstdCompressSync(bytes),
  decompress: async (bytes, bytesMax) => zstdDecompressSync(bytes, { maxOutputLength: bytesMax }),
}

export interface ArchiveWorld {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly trace: Trace
}

/** A place outside the host that outlives everything on it. What is under way to it arrives even when its sender is gone. */
export class SimulatedArchive {
  readonly objects: Map<string, Buffer> = new Map()
  readonly mood: ArchiveMood = { ...usualMood }
  /** Operations that failed. */
  failures = 0
  readonly #world: ArchiveWorld

  constructor(world: ArchiveWorld) {
    this.#world = world
  }

  open(process: SimulatedProcess): ArchiveTarget {
    return new SteppedTarget(this, process)
  }

  vault(process: SimulatedProcess): StreamVault {
    const target = this.open(process)
    return {
      location: target.location,
      read: (name) => target.read(name),
      putBytes: (name, bytes) => target.putBytes(name, bytes),
      packing,
    }
  }

  /** For whoever looks at it from outside the simulation: at once. */
  get ownVault(): StreamVault {
    const { objects } = this
    return {
      location: 'simulated:',
      read: async (name) => Readable.from([objects.get(name) ?? Buffer.alloc(0)], { objectMode: false }),
      putBytes: () => Promise.reject(new CommanderError('internal', 'it is only looked at')),
      packing,
    }
  }

  /** Does it after a while, for a process that learns of it after another while. */
  carryOut<Result>(process: SimulatedProcess, what: string, isPut: boolean, run: () => Result): Promise<Result> {
    const { time, random, trace } = this.#world
    // A dead process hears nothing: what a promise of it goes on with must not reach the world either.
    if (!process.takeStep()) return new Promise(() => {})
    const { delayMs, failing, isFull } = this.mood
    const fails = random.chance(failing) ? random.pick(['before', 'after'] as const) : null
    const thereMs = random.fraction() * delayMs
    const backMs = random.fraction() * delayMs
    return new Promise((resolve, reject) => {
      time.after(thereMs, () => {
        trace.note(time.nowMs, 'archive', `${what} ${fails ?? ''}`)
        const isRefused = fails === 'before' || (isPut && isFull)
        if (isRefused || fails !== null) this.failures++
        const answer = isRefused ? () => reject(unavailable(isFull)) : answerOf(run, resolve, reject)
        time.after(backMs, () => process.completion(fails === 'after' ? () => reject(unavailable(false)) : answer))
      })
    })
  }
}

function answerOf<Result>(
  run: () => Result,
  resolve: (result: Result) => void,
  reject: (error: unknown) => void,
): () => void {
  try {
    const result = run()
    return () => resolve(result)
  } catch (error) {
    return () => reject(error)
  }
}

class SteppedTarget implements ArchiveTarget {
  readonly location: string = 'simulated:'
  readonly #archive: SimulatedArchive
  readonly #process: SimulatedProcess
  #isClosed = false

  constructor(archive: SimulatedArchive, process: SimulatedProcess) {
    this.#archive = archive
    this.#process = process
  }

  list(prefix: string): Promise<string[]> {
    return this.#do(`list ${prefix}`, false, () =>
      [...this.#archive.objects.keys()].filter((name) => name.startsWith(prefix)).sort(),
    )
  }

  putFile(): Promise<'created' | 'exists'> {
    assert(false, 'a simulated host has no files to put')
  }

  /** What makes the bytes is as fast as it can be; that takes no virtual time. */
  async putStream(name: string, source: Readable): Promise<'created' | 'exists'> {
    const parts: Buffer[] = []
    for await (const part of source) parts.push(part as Buffer)
    return this.putBytes(name, Buffer.concat(parts))
  }

  putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#do(`put ${name} ${bytes.length}`, true, () => {
      const { objects } = this.#archive
      if (objects.has(name)) return 'exists'
      objects.set(name, Buffer.from(bytes))
      return 'created'
    })
  }

  read(name: string): Promise<Readable> {
    return this.#do(`read ${name}`, false, () => {
      const bytes = this.#archive.objects.get(name)
      if (bytes === undefined) throw new CommanderError('not_found', `${name} is not in the archive ${this.location}`)
      return Readable.from([bytes], { objectMode: false })
    })
  }

  check(name: string): Promise<null> {
    return this.#do(`check ${name}`, false, () => null)
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  async #do<Result>(what: string, isPut: boolean, run: () => Result): Promise<Result> {
    if (this.#isClosed) throw new CommanderError('archive_unavailable', 'the archive was closed meanwhile')
    const result = await this.#archive.carryOut(this.#process, what, isPut, run)
    if (this.#isClosed) throw new CommanderError('archive_unavailable', 'the archive was closed meanwhile')
    return result
  }
}

const unavailable = (isFull: boolean): CommanderError =>
  new CommanderError('archive_unavailable', isFull ? 'the archive has no room' : 'the archive does not answer')
