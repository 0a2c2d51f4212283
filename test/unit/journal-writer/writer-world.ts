import type { Action, Entry } from '../../../src/actions/action.ts'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import type { Channel } from '../../../src/ipc/channel.ts'
import type { ReadPointIs, Refused, Watermark } from '../../../src/ipc/journal-protocol.ts'
import type { Leadership } from '../../../src/ipc/leadership.ts'
import { createMemoryTransport, type MemoryEndpoint, type MemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { type Journal, openJournal } from '../../../src/journal/journal.ts'
import { MemoryStorage, type StorageFault, type StorageOperation } from '../../../src/journal/memory-storage.ts'
import { defaultJournalOptions, framePayloadBytesMax, type JournalOptions } from '../../../src/journal/options.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import type { Referee } from '../../../src/journal-writer/attestation.ts'
import { JournalWriter } from '../../../src/journal-writer/journal-writer.ts'
import type { JournalWriterOptions } from '../../../src/journal-writer/journal-writer-options.ts'
import { defaultFlushOptions } from '../../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../../src/journal-writer/retention.ts'
import type { Environment } from '../../../src/kernel/environment.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { Follower, type FollowerOptions } from '../../../src/replica/follower.ts'
import type { FollowerRole } from '../../../src/replica/follower-role.ts'
import { TokenGuard } from '../../../src/state/token-guard.ts'
import { RoleWorld } from '../role-world.ts'

const journalOptions = { ...defaultJournalOptions, segmentBytes: 1 << 20 }
export const address = 'journal'

export interface WriterOptions {
  readonly windowBytes?: number
  readonly batchBytesMax?: number
  readonly attestIntervalMs?: number
  readonly referee?: Referee
  /** Of the journal. */
  readonly maxBytes?: number
  readonly segmentBytes?: number
  /** What the writer appends to, over these segments. Default: they themselves. */
  readonly over?: (segments: Journal, environment: Environment) => Journal
  /** Another node leads. */
  readonly standby?: JournalWriterOptions['standby']
}

/** A journal writer over a virtual disk, and followers over memory. Time stands still until `run`. */
export class WriterWorld {
  readonly world = new RoleWorld()
  readonly transport: MemoryTransport
  readonly #options: WriterOptions
  storage: MemoryStorage
  fault: (operation: StorageOperation) => StorageFault | null = () => null
  failures: CommanderError[] = []
  #running: { readonly writer: JournalWriter; readonly journal: Journal; readonly endpoint: MemoryEndpoint } | null =
    null

  private constructor(options: WriterOptions) {
    this.#options = options
    const { scheduler } = this.world
    this.transport = createMemoryTransport(this.world.environment, {
      copyBytes: true,
      windowBytes: options.windowBytes ?? 65_536,
    })
    this.storage = new MemoryStorage({ scheduler, fault: (operation) => this.fault(operation) })
  }

  static async start(options: WriterOptions = {}): Promise<WriterWorld> {
    const world = new WriterWorld(options)
    await world.startWriter()
    return world
  }

  get #journalOptions(): JournalOptions {
    const { maxBytes, segmentBytes } = { ...journalOptions, ...this.#options }
    return { ...journalOptions, maxBytes, segmentBytes }
  }

  get writer(): JournalWriter {
    return this.#running?.writer as JournalWriter
  }

  get journal(): Journal {
    return this.#running?.journal as Journal
  }

  async startWriter(): Promise<void> {
    const { environment } = this.world
    const guard = new TokenGuard()
    const { journal: segments } = await this.#drive(
      openJournal({
        storage: this.storage,
        environment,
        journalId: Buffer.alloc(16, 1),
        serverId: Buffer.alloc(16, 1),
        options: this.#journalOptions,
        floorLsn: noLsn,
        replayFrom: lsn(1),
        onBatch: ({ payload }) => {
          for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) guard.apply(payload, o)
        },
      }),
    )
    const journal = this.#options.over?.(segments, environment) ?? segments
    const endpoint = this.transport.endpoint(environment)
    const writer = new JournalWriter({
      environment,
      journal,
      guard,
      flush: defaultFlushOptions,
      batchBytesMax: this.#options.batchBytesMax ?? framePayloadBytesMax(journalOptions),
      readBatch: (firstLsn, lastLsn) => this.#readBatch(firstLsn, lastLsn),
      retention: defaultRetentionSettings,
      applied: noLsn,
      checkpoint: noLsn,
      failed: (error) => this.failures.push(error),
      ...(this.#options.standby === undefined ? {} : { standby: this.#options.standby }),
      attestIntervalMs: this.#options.attestIntervalMs ?? 0,
      ...(this.#options.referee === undefined ? {} : { referee: this.#options.referee }),
    })
    await this.#drive(endpoint.listen(address, (channel) => writer.accept(channel)))
    this.#running = { writer, journal, endpoint }
  }

  /** kill -9 of the writer; `losesPower` takes what was not flushed along. */
  crashWriter(losesPower = false): void {
    this.#running?.endpoint.crash()
    if (losesPower) this.storage.crash({ uint32: () => 0, uuid: () => '' })
    else this.storage.kill()
    this.#running = null
  }

  #readBatch(firstLsn: Lsn, lastLsn: Lsn): Buffer | null {
    const reader = new JournalReader(this.storage, firstLsn)
    const [batch] = reader.read(1, lastLsn)
    reader.close()
    return batch?.firstLsn === firstLsn ? batch.payload : null
  }

  follow(name: string, options: Partial<FollowerOptions> = {}): TestFollower {
    return new TestFollower(this, name, options)
  }

  /** What is due within so many milliseconds happens. */
  run(ms = 0): void {
    this.world.scheduler.advance(ms)
  }

  /** Everything in the journal, as recovery would find it. */
  entries(): Entry[] {
    if (this.journal.writtenLsn === 0) return []
    const reader = new JournalReader(this.storage, lsn(1))
    const batches = reader.read(Number.POSITIVE_INFINITY, this.journal.writtenLsn)
    reader.close()
    return batches.flatMap(({ payload }) => entriesOf(payload))
  }

  async #drive<T>(promise: Promise<T>): Promise<T> {
    let over = false
    const note = (): void => {
      over = true
    }
    promise.then(note, note)
    while (!over) {
      this.run()
      await Promise.resolve()
    }
    return promise
  }
}

export function entriesOf(payload: Buffer, offset = 0): Entry[] {
  const entries: Entry[] = []
  for (let o = offset; o < payload.length; o += padded(lengthOf(payload, o))) entries.push(decodeEntry(payload, o))
  return entries
}

/** A process that follows and keeps what it is handed. */
export class TestFollower implements FollowerRole {
  readonly follower: Follower
  readonly origin: number
  /** LSNs in the order in which they were applied. */
  readonly lsns: number[] = []
  readonly entries: Entry[] = []
  readonly refusals: Refused[] = []
  readonly resets: CommanderError[] = []
  marks: Watermark[] = []
  connections = 0
  /** Entries that were applied when it was told that it is connected. */
  appliedAtConnection: number[] = []
  /** Entries that were applied, and who led, when it was told that it follows one that does not lead. */
  followed: { readonly applied: number; readonly leadership: Leadership }[] = []
  disconnections = 0
  isBusy = false
  /** It drafts anew what was refused. */
  waitsForRoom = false
  /** Who was there, each time that it asked. */
  readonly rolls: (readonly string[])[] = []
  /** How often it was told to go on. */
  resumptions = 0
  /** Answers to what it asked for linearizable reads: LSNs, or codes of errors. */
  readonly readPoints: Record<number, number | string> = {}
  /** Why nothing can be promised to be replicated (null: it can), each time that it was told. */
  readonly promises: (string | null)[] = []

  constructor(world: WriterWorld, name: string, options: Partial<FollowerOptions>) {
    this.origin = options.origin ?? 100 + name.length
    this.follower = new Follower({
      environment: world.world.environment,
      transport: options.transport ?? world.transport,
      address,
      name,
      origin: this.origin,
      ordered: false,
      followsFlush: true,
      segments: (from) => new JournalReader(world.storage, from),
      role: this,
      after: noLsn,
      ...options,
    })
    this.follower.start()
  }

  /** Drafts of one batch; their sequences. */
  draft(...actions: Action[]): number[] {
    const batch = new EntryBatch(this.origin, 1024)
    const sequences = actions.map((action) => {
      const sequence = this.follower.takeSequence()
      encodeAction(batch, action, sequence, 1)
      return sequence
    })
    this.follower.sendDrafts(batch.take())
    return sequences
  }

  accepts(): boolean {
    return !this.isBusy
  }

  apply(payload: Buffer, offset: number, firstLsn: Lsn, lastLsn: Lsn): void {
    const entries = entriesOf(payload, offset)
    this.lsns.push(...entries.map((entry) => entry.lsn))
    this.entries.push(...entries)
    if (entries[0]?.lsn !== firstLsn || entries.at(-1)?.lsn !== lastLsn)
      throw new Error('the batch is not what it says')
  }

  watermark(mark: Watermark): void {
    this.marks.push(mark)
  }

  refused(refused: Refused): void {
    this.refusals.push(refused)
  }

  present(names: readonly string[]): void {
    this.rolls.push(names)
  }

  writable(): void {
    this.resumptions++
  }

  readPoint(answer: ReadPointIs): void {
    this.readPoints[answer.id] = 'error' in answer ? answer.error.code : answer.lsn
  }

  replicates(refusal: CommanderError | null): void {
    this.promises.push(refusal?.code ?? null)
  }

  connected(): void {
    this.connections++
    this.appliedAtConnection.push(this.follower.applied)
  }

  following(leadership: Leadership): void {
    this.followed.push({ applied: this.follower.applied, leadership })
  }

  disconnected(): void {
    this.disconnections++
  }

  reset(reason: CommanderError): void {
    this.resets.push(reason)
  }
}

/** A peer that speaks frames and nothing more, to do what a follower never does. */
export class RawPeer {
  readonly frames: { readonly kind: number; readonly body: Buffer }[] = []
  closedWith: CommanderError | null | undefined
  channel: Channel | null = null

  constructor(world: WriterWorld, releases = true) {
    world.transport.connect(address, (channel) => {
      this.channel = channel
      return {
        frame: (kind, body) => {
          if (releases) channel.release(body.length)
          this.frames.push({ kind, body })
        },
        closed: (error) => {
          this.closedWith = error
        },
      }
    })
  }

  send(kind: number, body: Buffer): void {
    this.channel?.send(kind, body)
  }
}

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)
