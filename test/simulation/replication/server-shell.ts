import type { Epoch } from '../../../src/kernel/identifiers.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import type { BatchHead, ReplicatedBatch } from '../../../src/replication/batch.ts'
import { stepServer } from '../../../src/replication/journal-server.ts'
import {
  lsnAskedOf,
  newServerStream,
  type ServerEffect,
  type ServerEvent,
  type ServerStream,
} from '../../../src/replication/journal-server-state.ts'
import type { AppendRequest, ServerAnswer, ServerRequest } from '../../../src/replication/messages.ts'
import type { Cluster } from './cluster.ts'
import { ServerDisk } from './server-disk.ts'
import { Process } from './world.ts'

export const stream = 'journal'
const readBatchesMost = 16

/** A process that can be sent requests, and answers. */
export interface Receiver extends Process {
  answered(answer: ServerAnswer): void
}

/** Carries out what the machine of a journal server says, on a disk that forgets what was not flushed. */
export class ServerShell extends Process implements Receiver {
  disk: ServerDisk
  isRegistered = true
  wipes = 0
  readonly id: string
  readonly #cluster: Cluster
  #state: ServerStream

  constructor(cluster: Cluster, id: string) {
    super(cluster.world, id, cluster.plan.clockDrift)
    this.id = id
    this.#cluster = cluster
    this.disk = new ServerDisk(`${id}-disk-1`, cluster.truth)
    this.#state = this.#recovered()
    this.#beat()
  }

  #recovered(): ServerStream {
    return newServerStream(stream, this.id, this.disk.identity, this.disk.promised, this.disk.recovered())
  }

  crash(isPower: boolean): void {
    if (!this.isUp) return
    this.isUp = false
    this.life++
    this.disk.crash(isPower, this.world.random)
  }

  start(): void {
    if (this.isUp) return
    this.isUp = true
    this.#cluster.truth.restarted(this.disk.identity, this.disk.promised)
    this.#state = this.#recovered()
    this.#beat()
  }

  /** Another disk: with the old id, and an identity that nobody has registered. */
  wipe(): void {
    this.wipes++
    this.disk = new ServerDisk(`${this.id}-disk-${1 + this.wipes}`, this.#cluster.truth)
  }

  get isUsable(): boolean {
    return this.isUp && this.#cluster.truth.registry.get(this.id)?.identity === this.disk.identity
  }

  #beat(): void {
    const beat = (): void => {
      // Who finds out that it is not who was registered does not report for duty.
      if (this.isUsable) this.#cluster.master.serverHeard(this)
      this.after(100, beat)
    }
    this.after(this.world.random.integer(1, 100), beat)
  }

  receive(from: Receiver, request: ServerRequest): void {
    const asked = lsnAskedOf(request)
    const held = asked === null || !('segmentEpoch' in request) ? null : this.disk.digestAt(request.segmentEpoch, asked)
    this.#step({ kind: 'request', from: from.name, request, held }, request)
  }

  /** Of the server behind it in a chain. */
  answered(answer: ServerAnswer): void {
    this.#step({ kind: 'answer', answer }, null)
  }

  #step(event: ServerEvent, request: ServerRequest | null): void {
    const { state, effects } = stepServer(this.#state, event)
    this.#state = state
    let full: Epoch | null = null
    for (const effect of effects)
      if (!this.#carryOut(effect, request)) full = (effect as { segmentEpoch: Epoch }).segmentEpoch
    if (request?.kind === 'finish') this.#finished(request.segmentEpoch)
    if (full !== null) this.#step({ kind: 'full', segmentEpoch: full, written: this.disk.written(full) }, null)
  }

  /** Nobody expects more of it than up to where it was decided to end, though damage had taken that before. */
  #finished(segmentEpoch: Epoch): void {
    const finishedAt = this.#state.segments.get(segmentEpoch)?.finishedAt ?? null
    if (finishedAt !== null) this.#cluster.truth.truncated(this.disk.identity, segmentEpoch, finishedAt)
  }

  /** @returns false when there was no room. */
  #carryOut(effect: ServerEffect, request: ServerRequest | null): boolean {
    const { disk } = this
    switch (effect.do) {
      case 'promise':
        disk.promise(effect.epoch)
        return true
      case 'createSegment':
        disk.create(effect.segmentEpoch, effect.base, effect.baseDigest)
        return true
      case 'write': {
        const { batches } = request as AppendRequest
        return disk.write(effect.segmentEpoch, batches.slice(effect.skip), effect.committed)
      }
      case 'forward': {
        const to = this.#cluster.servers.get(effect.to.id)
        if (to !== undefined) this.#cluster.send(this, to, { ...(request as AppendRequest), next: effect.next })
        return true
      }
      case 'flush':
        this.#flush(effect.segmentEpoch)
        return true
      case 'truncate':
        disk.truncate(effect.segmentEpoch, effect.after)
        return true
      case 'dropSegments':
        disk.dropBefore(effect.before)
        return true
      case 'deleteStream':
        disk.segments.clear()
        return true
      case 'read':
        this.#read(effect)
        return true
      case 'answer':
        this.#answer(effect.to, effect.answer)
        return true
      case 'alarm':
        this.#cluster.alarm(this.name, effect.what)
        return true
    }
  }

  #flush(segmentEpoch: Epoch): void {
    const written = this.disk.written(segmentEpoch)
    const { flushMs } = this.#cluster.plan
    this.after(flushMs * (0.5 + this.world.random.fraction()), () => {
      this.disk.flush(segmentEpoch, written)
      this.#step({ kind: 'flushed', segmentEpoch, flushed: written }, null)
    })
  }

  #read(effect: ServerEffect & { readonly do: 'read' }): void {
    const { to, id, segmentEpoch, from, until, committed } = effect
    const batches = this.disk.read(segmentEpoch, from, until, readBatchesMost)
    const { identity } = this.disk
    this.#answer(to, {
      kind: 'batches',
      id,
      stream,
      server: this.id,
      identity,
      segmentEpoch,
      batches,
      committed: lsn(committed),
    })
  }

  #answer(to: string, answer: ServerAnswer<BatchHead>): void {
    this.#cluster.truth.answered(answer, this.disk.promised, (segment) => this.disk.flushedEnd(segment))
    const receiver = this.#cluster.receiver(to)
    if (receiver !== undefined)
      this.#cluster.network.send(this, receiver, () => receiver.answered(answer as ServerAnswer<ReplicatedBatch>))
  }
}
