import { Transform } from 'node:stream'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { type ArchiveMemory, Archiver } from '../../../src/archive/archiver.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { type SealedSegment, sealedSegments } from '../../../src/archive/sealed-segments.ts'
import type { SegmentCodec } from '../../../src/archive/segment-codec.ts'
import { SegmentVault } from '../../../src/archive/segment-vault.ts'
import type { Journal } from '../../../src/journal/journal.ts'
import type { Log, LogFields } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld, journalId } from '../journal/journal-world.ts'

/** The thread pool has a time of its own, which on a busy machine is longer than what a test lets pass. */
const atOnce: SegmentCodec = {
  compress: () => whole((bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })),
  decompress: () => whole((bytes) => zstdDecompressSync(bytes)),
}

function whole(pack: (bytes: Buffer) => Buffer): Transform {
  const parts: Buffer[] = []
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      parts.push(chunk)
      done()
    },
    flush(done) {
      try {
        done(null, pack(Buffer.concat(parts)))
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

/** A journal on a virtual disk, an archive in memory, and the archiver in between, on time that a test moves. */
export class ArchiveWorld {
  readonly world: JournalWorld = new JournalWorld()
  readonly target: MemoryTarget
  readonly vault: SegmentVault
  readonly warnings: string[] = []
  memory: ArchiveMemory | null = null
  readonly missing: CommanderError[] = []
  /** `archivedLsn` at each time that it moved. */
  readonly moves: number[] = []

  constructor(objects: Map<string, Buffer> = new Map<string, Buffer>()) {
    this.target = new MemoryTarget({ objects })
    this.vault = new SegmentVault({
      target: this.target,
      storage: this.world.storage,
      journalId,
      clock: this.world.environment.clock,
      codec: atOnce,
    })
  }

  /** Opens the journal and fills that many segments; the next one has an entry too, and all are flushed. */
  async filled(segments: number): Promise<Journal> {
    const { journal } = await this.world.open()
    for (let i = 0; i < segments; i++) this.fill(journal)
    return journal
  }

  fill(journal: Journal): void {
    for (const before = this.sealed().length; this.sealed().length === before; ) append(journal, 2, 100_000)
    flush(this.world, journal)
  }

  sealed(flushedLsn: number = Number.MAX_SAFE_INTEGER): SealedSegment[] {
    return sealedSegments(this.world.storage, 0, lsn(flushedLsn))
  }

  /** A new life of the process: it knows what was remembered. */
  archiver(): Archiver {
    const archiver: Archiver = new Archiver({
      environment: { ...this.world.environment, log: this.#log },
      storage: this.world.storage,
      vault: this.vault,
      memory: this.memory,
      remember: (memory) => {
        this.memory = memory
      },
      moved: () => this.moves.push(archiver.archivedLsn),
      missing: (error) => this.missing.push(error),
    })
    return archiver
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 100; turn++) {
      this.world.scheduler.runDue()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async pass(ms: number): Promise<void> {
    this.world.scheduler.advance(ms)
    await this.settle()
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.settle()
  }

  readonly #log: Log = {
    debug: () => {},
    info: () => {},
    warn: (_fields: LogFields, message: string) => this.warnings.push(message),
    error: (_fields: LogFields, message: string) => this.warnings.push(message),
    child: () => this.#log,
  }
}

export const unavailable = (): CommanderError => new CommanderError('archive_unavailable', 'the archive is down')
