import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { StreamMeta } from '../replication/stream-meta.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { type BatchObjectHeader, type BatchObjectName, parseBatchObjectName, streamPrefix } from './batch-object.ts'
import { damagedObject, readBatchHeader } from './batch-object-reading.ts'
import type { SegmentCodec } from './segment-codec.ts'

export interface BatchChainOptions {
  readonly target: ArchiveTarget
  readonly stream: string
  readonly codec: SegmentCodec
  /** 16 bytes. */
  readonly journalId: Buffer
}

/**
 * Which objects hold what the record of a stream no longer names. The record says the digest of everything before its first segment;
 * from there each object's header leads to the one before. So another history under the same place is never taken for this one.
 */
export class BatchChain {
  readonly #o: BatchChainOptions

  constructor(options: BatchChainOptions) {
    this.#o = options
  }

  /**
   * Objects that hold what comes behind `after`, in order, up to where the servers go on.
   * @throws CommanderError `log_trimmed`: one is missing; `archive_corrupt`, `archive_unavailable`
   */
  async from(after: Lsn, meta: StreamMeta): Promise<readonly BatchObjectName[]> {
    const [first] = meta.segments
    if (first === undefined) return []
    const named = meta.segments.flatMap((segment) => {
      // One that lies partly below the mark is still named by the record.
      if (segment.state === 'open' || segment.base > meta.trimLsn || segment.tail <= after) return []
      if (segment.archive === undefined) throw missing(this.#o.target, this.#o.stream, after, segment.tail)
      return [mustBeName(this.#o.stream, segment.archive)]
    })
    const before = first.base > after + 1 ? await this.#before(after, first.base, first.baseDigest) : []
    return [...before, ...named]
  }

  async #before(after: Lsn, base: Lsn, baseDigest: string): Promise<readonly BatchObjectName[]> {
    const { target, stream, codec } = this.#o
    const names = (await target.list(streamPrefix(stream))).flatMap(
      (object) => parseBatchObjectName(stream, object) ?? [],
    )
    const byTail = Map.groupBy(names, ({ tail }) => tail)
    const chain: BatchObjectName[] = []
    let wanted = { tail: lsn(base - 1), digest: baseDigest }
    while (wanted.tail > after) {
      let found: BatchObjectHeader | null = null
      for (const name of byTail.get(wanted.tail) ?? []) {
        const header = await readBatchHeader(target, name, codec)
        if (header.tailDigest.toString('hex') !== wanted.digest) continue
        this.#mustBeOwn(name, header)
        found = header
        chain.unshift(name)
        break
      }
      if (found === null) throw missing(target, stream, after, wanted.tail)
      wanted = { tail: lsn(found.base - 1), digest: found.baseDigest.toString('hex') }
    }
    return chain
  }

  #mustBeOwn({ object }: BatchObjectName, { journalId }: BatchObjectHeader): void {
    if (journalId.equals(this.#o.journalId)) return
    throw damagedObject(this.#o.target, object, `it is of the database ${journalId.toString('hex')}`)
  }
}

function mustBeName(stream: string, object: string): BatchObjectName {
  const name = parseBatchObjectName(stream, object)
  if (name !== null) return name
  throw new CommanderError('protocol_violation', `the record of ${stream} names ${object} as an object of its archive`)
}

const missing = ({ location }: ArchiveTarget, stream: string, after: Lsn, tail: Lsn): CommanderError =>
  new CommanderError(
    'log_trimmed',
    `this node has entries up to ${after}; those that come next are no longer at the journal servers, and the archive ${location} ` +
      `has no object of ${stream} that ends at LSN ${tail}: it was begun later, or objects are missing. ` +
      'Remove the data directory of this node, and start it again: it takes the state of another node',
    { details: { after, tail, location } },
  )
