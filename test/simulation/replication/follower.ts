import { epoch, type Lsn, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { type Digest, emptyDigest, lastLsnOf } from '../../../src/replication/batch.ts'
import type { BatchesAnswer } from '../../../src/replication/messages.ts'
import type { SegmentMeta } from '../../../src/replication/stream-meta.ts'
import type { NodeShell } from './node-shell.ts'
import { stream } from './server-shell.ts'

const firstId = 2_000_000
/** Then another server is asked. */
const answerMs = 200

/** Reads what is committed, of any server that has it, in order. */
export class Follower {
  applied: Lsn = noLsn
  readonly #node: NodeShell
  #digest: Digest = emptyDigest
  #nextId = firstId
  #reading: { readonly id: number; readonly atMs: number } | null = null
  #missing: Lsn | null = null

  constructor(node: NodeShell) {
    this.#node = node
  }

  begin(): void {
    const { plan } = this.#node.cluster
    this.#reading = null
    this.#node.every(plan.readEveryMs, () => {
      const isWaiting = this.#reading !== null && this.#node.world.nowMs - this.#reading.atMs < answerMs
      if (!isWaiting) this.#read()
    })
  }

  /** The cache is lost. */
  forget(): void {
    this.#node.store.clear()
    this.applied = noLsn
    this.#digest = emptyDigest
  }

  /** The node leads, and has it. */
  appliedByLeader(upTo: Lsn): void {
    const { store } = this.#node
    for (const batch of store.take(this.applied, upTo, Number.POSITIVE_INFINITY)) {
      this.applied = lastLsnOf(batch)
      this.#digest = batch.digest
    }
  }

  /** A leader needs this entry to send it on. */
  missing(from: Lsn): void {
    this.#missing = from
    this.#read()
  }

  #read(): void {
    const { seen, cluster, store } = this.#node
    if (this.#missing !== null && store.at(this.#missing) !== undefined) this.#missing = null
    const first = seen.meta.segments[0]
    if (first === undefined) return
    // What was trimmed is not there to be read: the state of it comes from elsewhere.
    if (this.applied < first.base - 1) {
      this.applied = lsn(first.base - 1)
      this.#digest = Buffer.from(first.baseDigest, 'hex')
    }
    const from = this.#missing ?? lsn(this.applied + 1)
    const segment = seen.meta.segments.find((one) => one.base <= from && (one.state === 'open' || from <= one.tail))
    if (segment === undefined) {
      // Trimmed meanwhile.
      this.#missing = null
      return
    }
    this.#ask(segment, from)
    cluster.linearizable(this.#node)
  }

  #ask(segment: SegmentMeta, from: Lsn): void {
    const { cluster, world } = this.#node
    const server = cluster.servers.get(world.random.pick(segment.group))
    if (server === undefined) return
    const id = this.#nextId++
    this.#reading = { id, atMs: world.nowMs }
    const [until, committed] =
      segment.state === 'sealed' ? [segment.tail, segment.tail] : [lsn(Number.MAX_SAFE_INTEGER), noLsn]
    cluster.send(this.#node, server, {
      kind: 'read',
      id,
      stream,
      epoch: epoch(0),
      segmentEpoch: segment.epoch,
      from,
      until,
      bytesMax: 65_536,
      purpose: 'known',
      committed,
    })
  }

  answered({ id, segmentEpoch, batches, server, identity }: BatchesAnswer): void {
    const { cluster, store, name } = this.#node
    // What comes late is as good: a slow server may be the only one that has it.
    if (id < firstId) return
    if (this.#reading?.id === id) this.#reading = null
    if (cluster.truth.registry.get(server)?.identity !== identity) return
    for (const batch of batches) {
      cluster.truth.read(name, segmentEpoch, batch)
      if (store.at(batch.firstLsn) === undefined || batch.firstLsn === this.applied + 1) store.put(batch)
      if (batch.firstLsn !== this.applied + 1) continue
      cluster.truth.check(
        batch.prevDigest.equals(this.#digest),
        `I11: ${name} read up to ${this.applied}, what follows does not follow on it`,
      )
      this.applied = lastLsnOf(batch)
      this.#digest = batch.digest
    }
    if (batches.length > 0) this.#read()
  }
}
