import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { type Digest, isIntact, lastLsnOf } from '../../../src/replication/batch.ts'
import type { BatchesAnswer } from '../../../src/replication/messages.ts'
import type { RecoveryEffect } from '../../../src/replication/recovery-state.ts'
import type { NodeShell } from './node-shell.ts'
import { stream } from './server-shell.ts'

type FetchEffect = RecoveryEffect & { readonly do: 'fetch' }
type Fetched = (after: Lsn, upTo: Lsn, digest: Digest) => void

/** Brings the bytes of a sealed segment to a candidate: from whoever has the next batch, again until it is all there. */
export class Fetcher {
  readonly #node: NodeShell
  #effect: FetchEffect | null = null
  #done: Fetched = () => {}
  #tries = 0
  #nextId = 1_000_000

  constructor(node: NodeShell) {
    this.#node = node
  }

  fetch(effect: FetchEffect, done: Fetched): void {
    this.#effect = effect
    this.#done = done
    this.#ask()
  }

  stop(): void {
    this.#effect = null
  }

  #ask(): void {
    const effect = this.#effect
    if (effect === null) return
    const { store, cluster } = this.#node
    const { after, upTo, sources, epoch, segmentEpoch } = effect
    const at = store.reach(after, upTo)
    const last = at === after ? undefined : store.take(after, at, Number.POSITIVE_INFINITY).at(-1)
    if (last !== undefined && at === upTo) {
      this.#effect = null
      this.#done(after, upTo, last.digest)
      return
    }
    const from = lsn(at + 1)
    const holders = sources.filter(
      ({ state }) => state.flushed >= from && !state.damaged.some((range) => range.from <= from && from <= range.to),
    )
    const source = holders[this.#tries++ % Math.max(1, holders.length)]
    const server = source === undefined ? undefined : cluster.servers.get(source.member.id)
    if (server === undefined) return
    const id = this.#nextId++
    const committed = lsn(0)
    const request = {
      kind: 'read',
      id,
      stream,
      epoch,
      segmentEpoch,
      from,
      until: upTo,
      bytesMax: 65_536,
      purpose: 'repair',
      committed,
    } as const
    cluster.send(this.#node, server, request)
  }

  answered({ segmentEpoch, batches, server, identity }: BatchesAnswer): void {
    const effect = this.#effect
    if (effect === null || effect.segmentEpoch !== segmentEpoch) return
    const isKnown = effect.sources.some(({ member }) => member.id === server && member.identity === identity)
    if (!isKnown) return
    const { store } = this.#node
    for (const batch of batches) {
      if (batch.firstLsn <= effect.after || lastLsnOf(batch) > effect.upTo || !isIntact(batch)) continue
      store.put(batch)
    }
    if (batches.length > 0) this.#ask()
  }
}
