import type { Environment } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, type Lsn, lsn, noEpoch } from '../kernel/identifiers.ts'
import { AppendQueue } from './append-queue.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'
import { LocalLead } from './local-lead.ts'
import type { LocalLog } from './local-log.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { notLeading } from './node-stream.ts'
import { noStream } from './replicated-stream.ts'
import { settledSwap } from './settled-swap.ts'
import type { Appended, AppendOptions, ReadOptions } from './single-write-journal.ts'
import type { HandledStream } from './stream-handles.ts'
import {
  elected,
  type LogEnd,
  opened,
  type Peer,
  resigned,
  rolled,
  type StreamMeta,
  sealedEndOf,
  trimmed,
} from './stream-meta.ts'
import { encodeStreamMeta } from './stream-meta-codec.ts'
import type { StreamRecord } from './stream-role.ts'
import type { StreamRoles } from './stream-roles.ts'

export interface LocalStreamOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly local: LocalLog
  readonly stream: string
  readonly me: Peer
  readonly roles: () => Pick<StreamRoles, 'lost' | 'deposed' | 'recorded' | 'record'>
}

/** There is one copy, on the disk of this host. */
const placement = { group: ['local'], policy: { replicas: 1, ackQuorum: 1, topology: 'fanout' } } as const
const bytesPerRead = 1_048_576

/** One stream on one host, as a node of it has it: it carries out what its role decides, and is what readers and writers use. */
export class LocalStream implements HandledStream {
  readonly #o: LocalStreamOptions
  #lead: LocalLead | null = null
  #appends: AppendQueue | null = null
  #record: StreamRecord | null = null
  #isDeleted = false
  #tries = 0

  constructor(options: LocalStreamOptions) {
    this.#o = options
  }

  get leads(): boolean {
    return this.#lead?.failed === null
  }

  /** By the role. O2 to O6, where the one server is this host. */
  campaign(record: StreamRecord): void {
    const mine = ++this.#tries
    this.#stand(record, () => mine === this.#tries).catch((error: unknown) => {
      const { stream, environment, roles } = this.#o
      const { code, message } = asCommanderError(error)
      environment.log.warn({ stream, code, error: message }, 'could not come to lead')
      roles().lost(stream, noEpoch)
    })
  }

  /** By the role. */
  recordSeen(record: StreamRecord | null): void {
    const { stream, me, local } = this.#o
    this.#isDeleted = record === null && (this.#record !== null || this.#isDeleted)
    this.#record = record
    const lead = this.#lead
    if (lead !== null && record === null) lead.fail(noStream(stream))
    else if (lead !== null && record !== null) {
      const { epoch: at, leader } = record.meta
      if (at > lead.epoch && leader?.incarnation !== me.incarnation) lead.fail(deposed(stream, at, leader))
    }
    local.tell()
  }

  /** By the role. */
  async resign(): Promise<void> {
    this.#tries++
    this.#appends?.close()
    const lead = this.#lead
    if (lead === null || lead.failed !== null) return
    await lead.idle()
    const isMade = await this.#swap((meta, nonce) => resigned(meta, nonce))
    if (isMade) lead.fail(new CommanderError('not_leader', `this node gave up the lead of ${this.#o.stream}`))
  }

  stop(error: CommanderError): void {
    this.#tries++
    this.#lead?.fail(error)
  }

  append(payload: Buffer, entryCount: number, options: AppendOptions): Promise<Appended> {
    if (this.#appends === null || !this.leads) return Promise.reject(this.#notLeading())
    return this.#appends.append(payload, entryCount, options)
  }

  async trim(before: Lsn): Promise<void> {
    this.#mustLead()
    const isMade = await this.#swap((meta, nonce) => trimmed(meta, nonce, lsn(before - 1), false))
    const { local, stream } = this.#o
    if (!this.leads) throw this.#notLeading()
    if (isMade) local.log.dropSegments(stream, lsn((this.#record?.meta.trimLsn ?? 0) + 1))
  }

  async roll(): Promise<void> {
    const lead = this.#mustLead()
    try {
      await lead.roll(() => this.#swap((meta, nonce) => rolled(meta, nonce, lead.end, placement)))
    } catch (error) {
      throw lead.failed === null ? error : this.#notLeading()
    }
  }

  async *read(from: Lsn, { until, wait = false, signal }: ReadOptions): AsyncGenerator<ReplicatedBatch, void> {
    const most = until ?? Number.POSITIVE_INFINITY
    const end = wait ? most : Math.min(most, await this.known())
    const { promise: aborted, resolve: abort } = Promise.withResolvers<void>()
    const onAbort = (): void => abort()
    const isOver = (): boolean => signal?.aborted === true
    signal?.addEventListener('abort', onAbort)
    try {
      for (let next = from; next <= end && !isOver(); ) {
        const batches = this.#batches(next, end)
        for (const batch of batches) {
          yield batch
          next = lsn(lastLsnOf(batch) + 1)
          if (isOver()) return
        }
        if (batches.length === 0) await Promise.race([this.#o.local.changed(), aborted])
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async known(): Promise<Lsn> {
    const { local, stream } = this.#o
    if (this.#isDeleted) throw noStream(stream)
    return local.committed(stream)
  }

  /** Whoever acknowledges anything does it out of the same log. */
  linearizable(): Promise<Lsn> {
    return this.known()
  }

  async #stand(record: StreamRecord, isCurrent: () => boolean): Promise<void> {
    const { local, stream, me, roles } = this.#o
    const meta = await this.#swapOf(record, (before, nonce) => elected(before, me, nonce))
    if (meta === null || !isCurrent()) return roles().lost(stream, noEpoch)
    const promised = local.log.promised(stream)
    if (promised > meta.meta.epoch) return roles().lost(stream, promised)
    local.log.promise(stream, meta.meta.epoch)
    const end = await this.#end(meta.meta)
    // Whoever was promised more meanwhile has this end, or a later one.
    const isMine = (): boolean => isCurrent() && local.log.promised(stream) === meta.meta.epoch
    if (!isMine()) return roles().lost(stream, local.log.promised(stream))
    const led = await this.#swapOf(meta, (before, nonce) => opened(before, nonce, end, placement), false)
    if (led === null || !isMine()) return roles().lost(stream, local.log.promised(stream))
    this.#begin(led, end)
  }

  #begin({ meta, revision }: StreamRecord, { tail, tailDigest }: LogEnd): void {
    const { local, environment, stream } = this.#o
    const digest = Buffer.from(tailDigest, 'hex')
    local.log.createSegment(stream, { epoch: meta.epoch, base: lsn(tail + 1), baseDigest: digest })
    const lead: LocalLead = new LocalLead({
      local,
      environment,
      stream,
      epoch: meta.epoch,
      tail,
      digest,
      ended: (error) => this.#ended(lead, error),
    })
    this.#lead = lead
    this.#appends = new AppendQueue(lead, stream, () => this.#notLeading())
    this.#recorded(meta, revision)
  }

  #ended(lead: LocalLead, error: CommanderError): void {
    const { stream, roles } = this.#o
    if (this.#lead === lead) this.#lead = null
    const { promised } = (error.details ?? {}) as { readonly promised?: number }
    roles().deposed(stream, epoch(promised ?? 0))
  }

  /** Everything that is written, flushed, and no more than that. @throws CommanderError `journal_corrupt`, `server_poisoned` */
  async #end(meta: StreamMeta): Promise<LogEnd> {
    const { local, stream } = this.#o
    const newest = local.newest(stream)
    const recorded = sealedEndOf(meta)
    if (newest === null) return recorded.tail === 0 ? recorded : lost(stream, recorded.tail)
    if (newest.damaged.length > 0 || newest.atLeast || newest.tailDigest === null) return lost(stream, newest.tail)
    await local.flush(stream, newest.epoch)
    const { epoch: at, tail, tailDigest, finished } = newest
    if (tail < recorded.tail) return lost(stream, recorded.tail)
    if (finished === null && local.log.promised(stream) === meta.epoch) local.log.finish(stream, at, tail)
    return { tail, tailDigest: tailDigest.toString('hex') }
  }

  #batches(from: Lsn, end: number): readonly ReplicatedBatch[] {
    const { local, stream } = this.#o
    if (this.#isDeleted) throw noStream(stream)
    const trimLsn = this.#record?.meta.trimLsn ?? 0
    if (from <= trimLsn) throw trimmedAway(stream, from, lsn(trimLsn))
    const upTo = lsn(Math.min(end, local.committed(stream)))
    const segment = local.log.segments(stream).find(({ tail, base }) => base <= from && from <= tail)
    if (from > upTo || segment === undefined) return []
    const last = lsn(Math.min(upTo, segment.tail))
    return local.log.read(stream, segment.epoch, from, last, bytesPerRead)
  }

  /** A change by who leads. @returns false: there was nothing to be done, or this node does not lead any more */
  async #swap(change: (meta: StreamMeta, nonce: string) => StreamMeta | null): Promise<boolean> {
    const record = this.#record
    return record !== null && (await this.#swapOf(record, change)) !== null
  }

  async #swapOf(
    { meta, revision }: StreamRecord,
    change: (meta: StreamMeta, nonce: string) => StreamMeta | null,
    tells = true,
  ): Promise<StreamRecord | null> {
    const { metadata, environment, stream } = this.#o
    const wanted = change(meta, environment.random.uuid())
    if (wanted === null) return null
    const swap = { key: metadataKeys.stream(stream), expectedRevision: revision, value: encodeStreamMeta(wanted) }
    const result = await settledSwap(metadata, environment, swap)
    if (!result.swapped) return null
    if (tells) this.#recorded(wanted, result.revision)
    return { meta: wanted, revision: result.revision }
  }

  #recorded(meta: StreamMeta, revision: number): void {
    const { stream, roles } = this.#o
    roles().recorded(stream, { key: metadataKeys.stream(stream), value: encodeStreamMeta(meta), revision })
  }

  #mustLead(): LocalLead {
    if (this.#lead === null || this.#lead.failed !== null) throw this.#notLeading()
    return this.#lead
  }

  #notLeading(): CommanderError {
    const { stream } = this.#o
    return this.#isDeleted ? noStream(stream) : notLeading(stream, this.#record?.meta ?? null)
  }
}

const deposed = (stream: string, promised: Epoch, leader: Peer | null): CommanderError => {
  const who = leader === null ? 'another node' : `node ${leader.id}`
  return new CommanderError('fenced', `${who} leads ${stream} under epoch ${promised}`, {
    details: { promised, leader },
  })
}

function lost(stream: string, at: Lsn): never {
  throw new CommanderError(
    'journal_corrupt',
    `entries of ${stream} up to ${at} were there and are damaged or gone: this is the one copy; restore it from a backup`,
    { details: { lsn: at } },
  )
}

const trimmedAway = (stream: string, from: Lsn, trimLsn: Lsn): CommanderError =>
  new CommanderError('log_trimmed', `entry ${from} of ${stream} was trimmed away, as all up to ${trimLsn}`, {
    details: { from, trimLsn },
  })
