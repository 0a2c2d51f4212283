import { type Epoch, epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { type BatchHead, type Digest, lastLsnOf } from '../../../src/replication/batch.ts'
import type { Member, ServerAnswer, ServerId } from '../../../src/replication/messages.ts'
import { type ReplicationPolicy, sealQuorum } from '../../../src/replication/replication-policy.ts'
import type { SegmentMeta, StreamMeta } from '../../../src/replication/stream-meta.ts'

interface SegmentTruth {
  readonly epoch: Epoch
  readonly base: Lsn
  group: readonly ServerId[]
  readonly policy: ReplicationPolicy
  tail: Lsn | null
  archived: boolean
}

/**
 * What really is, seen from above, and held against the invariants of the journal at every step that could break one.
 * I16 and I18 are of the database above it. Where damage took what was flushed, what had been flushed counts: it is the promise that
 * is checked, and the loss is what the policy covers.
 */
export class Truth {
  readonly violations: string[] = []
  readonly registry = new Map<ServerId, Member>()
  acknowledged: Lsn = lsn(0)
  committed: Lsn = lsn(0)
  hasArchive = false
  readonly counts = {
    acknowledged: 0,
    read: 0,
    linearizable: 0,
    seals: 0,
    rolls: 0,

    trims: 0,
    damagedTold: 0,
  }
  readonly #segments = new Map<Epoch, SegmentTruth>()
  /** By segment and first LSN. */
  readonly #written = new Map<string, Digest>()
  /** By identity and segment. */
  readonly #flushed = new Map<string, Lsn>()
  readonly #expected = new Map<string, Lsn>()
  readonly #promised = new Map<string, Epoch>()
  readonly #leaders = new Map<Epoch, string>()
  readonly #acknowledged = new Map<Lsn, Digest>()
  readonly #read = new Map<Lsn, Digest>()
  #trimLsn: Lsn = lsn(0)

  check(holds: boolean, what: string): void {
    if (!holds && this.violations.length < 10) this.violations.push(what)
  }

  // --- the record

  recorded(before: StreamMeta, after: StreamMeta): void {
    const { leader } = after
    if (leader !== null) {
      const known = this.#leaders.get(after.epoch) ?? leader.incarnation
      this.check(known === leader.incarnation, `I1: epoch ${after.epoch} is of ${known}, and of ${leader.incarnation}`)
      this.#leaders.set(after.epoch, known)
    }
    const rise = after.epoch - before.epoch
    this.check(rise === 0 || rise === 1, `I1: epoch ${before.epoch} became ${after.epoch}`)
    this.check(after.trimLsn >= before.trimLsn, `I13: trimmed up to ${before.trimLsn}, then ${after.trimLsn}`)
    this.#trimLsn = after.trimLsn
    if (after.trimLsn > before.trimLsn) this.counts.trims++
    this.#checkChain(after)
    for (const segment of after.segments) this.#segmentRecorded(segment, before, after)
    for (const old of before.segments)
      if (!after.segments.some(({ epoch: one }) => one === old.epoch)) this.#leftOut(old, after)
  }

  /** I9 */
  #checkChain({ segments }: StreamMeta): void {
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]
      if (next === undefined) continue
      const isNext = segment.state === 'sealed' && next.base === segment.tail + 1
      this.check(isNext, `I9: segment ${next.epoch} begins at ${next.base}, behind segment ${segment.epoch}`)
    }
  }

  #segmentRecorded(segment: SegmentMeta, before: StreamMeta, after: StreamMeta): void {
    const known = this.#segments.get(segment.epoch)
    if (known === undefined) {
      const { base, group, policy } = segment
      this.#segments.set(segment.epoch, { epoch: segment.epoch, base, group, policy, tail: null, archived: false })
      return
    }
    this.check(
      known.base === segment.base,
      `I9: segment ${segment.epoch} begins at ${known.base}, and at ${segment.base}`,
    )
    if (segment.state === 'open') {
      this.check(known.tail === null, `I9: segment ${segment.epoch} is open again`)
      return
    }
    known.archived ||= segment.archive !== undefined
    const isSealed = known.tail === null
    if (!isSealed)
      this.check(
        known.tail === segment.tail,
        `I9: the tail ${known.tail} of segment ${segment.epoch} became ${segment.tail}`,
      )
    const isMoved = known.group.join() !== segment.group.join()
    known.group = segment.group
    if (isSealed) this.#sealed(known, segment.tail, before, after)
    else if (isMoved) this.#checkHolders(known, segment.tail, 'I10, moved')
  }

  #sealed(segment: SegmentTruth, tail: Lsn, before: StreamMeta, after: StreamMeta): void {
    segment.tail = tail
    this.counts.seals++
    if (after.epoch > before.epoch) this.counts.rolls++
    this.check(
      this.acknowledged <= tail,
      `I8: segment ${segment.epoch} is sealed at ${tail}, ${this.acknowledged} was acknowledged`,
    )
    this.#checkHolders(segment, tail, 'I10')
    if (after.epoch > before.epoch) return
    // I17, I4: sealed by another leader: so many registered servers have promised not to go on.
    const promised = segment.group.filter((id) => (this.#promised.get(this.#identityOf(id)) ?? 0) >= after.epoch)
    const quorum = sealQuorum(segment.policy)
    this.check(promised.length >= quorum, `I17: ${promised.length} servers promised ${after.epoch}, ${quorum} must`)
  }

  #checkHolders(segment: SegmentTruth, tail: Lsn, name: string): void {
    if (tail < segment.base) return
    const holders = this.#holders(segment, tail)
    this.check(
      holders >= segment.policy.ackQuorum,
      `${name}: ${holders} servers have segment ${segment.epoch} up to ${tail}, ${segment.policy.ackQuorum} must`,
    )
  }

  #leftOut(old: SegmentMeta, after: StreamMeta): void {
    const known = this.#segments.get(old.epoch) as SegmentTruth
    const tail = old.state === 'sealed' ? old.tail : lsn(old.base - 1)
    if (old.state === 'open') {
      known.tail = tail
      this.check(
        this.acknowledged <= tail,
        `I8: segment ${old.epoch} is left out, ${this.acknowledged} was acknowledged`,
      )
      return
    }
    this.check(tail <= after.trimLsn, `I13: segment ${old.epoch} is gone, trimmed was up to ${after.trimLsn}`)
    this.check(!this.hasArchive || known.archived, `I13: segment ${old.epoch} is gone, and in no archive`)
  }

  #holders(segment: SegmentTruth, at: Lsn): number {
    return segment.group.filter((id) => (this.#flushed.get(`${this.#identityOf(id)} ${segment.epoch}`) ?? 0) >= at)
      .length
  }

  #identityOf(id: ServerId): string {
    return this.registry.get(id)?.identity ?? ''
  }

  // --- disks

  /** I2 */
  wrote(segmentEpoch: Epoch, batch: BatchHead): void {
    const key = `${segmentEpoch} ${batch.firstLsn}`
    const known = this.#written.get(key)
    if (known === undefined) this.#written.set(key, batch.digest)
    else if (known !== batch.digest)
      this.check(known.equals(batch.digest), `I2: two batches at ${batch.firstLsn} of segment ${segmentEpoch}`)
  }

  flushed(identity: string, segmentEpoch: Epoch, upTo: Lsn): void {
    const key = `${identity} ${segmentEpoch}`
    this.#flushed.set(key, lsn(Math.max(this.#flushed.get(key) ?? 0, upTo)))
    this.#expected.set(key, lsn(Math.max(this.#expected.get(key) ?? 0, upTo)))
  }

  truncated(identity: string, segmentEpoch: Epoch, after: Lsn): void {
    const key = `${identity} ${segmentEpoch}`
    this.#expected.set(key, lsn(Math.min(this.#expected.get(key) ?? 0, after)))
  }

  dropped(identity: string, segmentEpoch: Epoch, last: Lsn): void {
    this.check(
      last <= this.#trimLsn,
      `I13: ${identity} dropped segment ${segmentEpoch} up to ${last}, trimmed is up to ${this.#trimLsn}`,
    )
  }

  /** I4: what was answered before the crash. */
  restarted(identity: string, promised: Epoch): void {
    const answered = this.#promised.get(identity) ?? epoch(0)
    this.check(promised >= answered, `I4: ${identity} promised ${answered} and remembers ${promised}`)
  }

  // --- answers

  answered(answer: ServerAnswer<BatchHead>, promised: Epoch, flushedEnd: (segment: Epoch) => Lsn): void {
    const { server, identity } = answer
    if (answer.kind === 'sealed') {
      this.check(promised >= answer.promised, `I4: ${server} answers ${answer.promised}, its disk has ${promised}`)
      this.#promised.set(identity, epoch(Math.max(this.#promised.get(identity) ?? 0, answer.promised)))
      const { segment } = answer
      if (segment === null) return
      const expected = this.#expected.get(`${identity} ${segment.segmentEpoch}`) ?? 0
      if (segment.atLeast || segment.damaged.length > 0) this.counts.damagedTold++
      this.check(
        segment.flushed >= expected || segment.atLeast,
        `I14: ${server} had ${expected}, and tells ${segment.flushed}`,
      )
    }
    if (answer.kind !== 'appended') return
    for (const ack of answer.acks) {
      if (ack.server !== server) continue
      const highest = this.#promised.get(identity) ?? 0
      this.check(answer.epoch >= highest, `I5: ${server} acknowledges to epoch ${answer.epoch} and promised ${highest}`)
      const end = flushedEnd(answer.segmentEpoch)
      this.check(ack.flushed <= end, `I6: ${server} acknowledges ${ack.flushed} and flushed ${end}`)
    }
  }

  // --- leaders and readers

  /** I7: a client is told. */
  acknowledge(segmentEpoch: Epoch, batch: BatchHead): void {
    const last = lastLsnOf(batch)
    this.counts.acknowledged++
    const segment = this.#segments.get(segmentEpoch)
    if (segment === undefined)
      return this.check(false, `I7: ${last} is acknowledged in segment ${segmentEpoch}, which is none`)
    const holders = this.#holders(segment, last)
    const { ackQuorum } = segment.policy
    this.check(
      holders >= ackQuorum,
      `I7: ${last} of segment ${segmentEpoch} is acknowledged, ${holders} of ${ackQuorum} have it`,
    )
    this.check(
      segment.tail === null || last <= segment.tail,
      `I8: ${last} is acknowledged in segment ${segmentEpoch}, sealed at ${segment.tail}`,
    )
    this.#sameAs(this.#acknowledged, batch, 'I7')
    this.#sameAs(this.#read, batch, 'I11')
    this.acknowledged = lsn(Math.max(this.acknowledged, last))
    this.committed = lsn(Math.max(this.committed, last))
  }

  /** I11 */
  read(reader: string, segmentEpoch: Epoch, batch: BatchHead): void {
    const last = lastLsnOf(batch)
    this.counts.read++
    const segment = this.#segments.get(segmentEpoch)
    if (segment === undefined)
      return this.check(false, `I11: ${reader} reads ${last} of segment ${segmentEpoch}, which is none`)
    const isCommitted =
      segment.tail === null ? this.#holders(segment, last) >= segment.policy.ackQuorum : last <= segment.tail
    this.check(isCommitted, `I11: ${reader} reads ${last} of segment ${segmentEpoch}, which is not committed`)
    this.#sameAs(this.#acknowledged, batch, 'I11')
    this.#sameAs(this.#read, batch, 'I11')
  }

  #sameAs(known: Map<Lsn, Digest>, batch: BatchHead, name: string): void {
    const before = known.get(batch.firstLsn)
    if (before === undefined) known.set(batch.firstLsn, batch.digest)
    else if (before !== batch.digest)
      this.check(before.equals(batch.digest), `${name}: two batches at ${batch.firstLsn}`)
  }

  /** I12 */
  linearizable(reader: string, answered: Lsn, acknowledgedBefore: Lsn): void {
    this.counts.linearizable++
    this.check(
      answered >= acknowledgedBefore,
      `I12: ${reader} is told ${answered}, acknowledged was ${acknowledgedBefore}`,
    )
  }

  /** I15: nobody leads with less than the database above was told is there. */
  leads(node: string, end: Lsn): void {
    this.check(end >= this.acknowledged, `I15: ${node} leads from ${end}, acknowledged was ${this.acknowledged}`)
  }
}
