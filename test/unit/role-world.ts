import type { Action, CommandReceived, Entry } from '../../src/actions/action.ts'
import { decodeEntry } from '../../src/actions/decode.ts'
import { encodeAction } from '../../src/actions/encode.ts'
import { EntryBatch } from '../../src/actions/entry-batch.ts'
import { lengthOf, padded, stampLsn } from '../../src/actions/entry-layout.ts'
import type { Watermark } from '../../src/ipc/journal-protocol.ts'
import { type Leadership, leadsAlone } from '../../src/ipc/leadership.ts'
import type { Environment } from '../../src/kernel/environment.ts'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../../src/kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../../src/replica/follower.ts'
import type { Standing } from '../../src/replica/standing.ts'
import { ManualScheduler } from './ipc/manual-scheduler.ts'
import { RecordingLog } from './ipc/recording-log.ts'

/** Time, randomness and log of a role under test, all in the hands of the test. */
export class RoleWorld {
  readonly scheduler = new ManualScheduler()
  readonly log = new RecordingLog()
  readonly wallStartMs = 1_700_000_000_000
  readonly environment: Environment
  #randomState = 1

  constructor() {
    this.environment = {
      clock: { wallMs: () => this.nowMs, monotonicMs: () => this.scheduler.nowMs },
      scheduler: this.scheduler,
      random: { uint32: () => this.#uint32(), uuid: () => `uuid-${this.#uint32()}` },
      log: this.log,
    }
  }

  get nowMs(): number {
    return this.wallStartMs + this.scheduler.nowMs
  }

  #uint32(): number {
    this.#randomState = (Math.imul(this.#randomState, 1664525) + 1013904223) >>> 0
    return this.#randomState
  }
}

/** What a role hands to its follower, and what it is told of. */
export class StubFollower {
  isConnected = true
  /** What the journal writer says that it is. */
  leadership: Leadership = leadsAlone
  /** Drafts that it takes before it is no longer writable. */
  takesDrafts: number = Number.POSITIVE_INFINITY
  largestFrameBytes = 0
  #sequence = 0
  /** Drafts in the order in which they were sent. */
  readonly drafts: Entry[] = []
  /** After how many drafts the role said that it dropped what was refused, and the sequence to go on with. */
  readonly resumed: { readonly afterDrafts: number; readonly sequence: number }[] = []
  readonly applied: unknown[] = []
  readonly attested: { readonly at: Lsn; readonly hash: string }[] = []
  stopped = false

  /** A role takes the class; to the role this is one. */
  get asFollower(): Follower {
    return this as unknown as Follower
  }

  get standing(): Pick<Standing, 'isCaughtUp' | 'isStandingBy' | 'leadership'> {
    const { isConnected, leadership } = this
    return { isCaughtUp: isConnected || !leadership.leads, isStandingBy: !leadership.leads, leadership }
  }

  get isWritable(): boolean {
    return this.isConnected && this.drafts.length < this.takesDrafts
  }

  set isWritable(isWritable: boolean) {
    this.takesDrafts = isWritable ? Number.POSITIVE_INFINITY : 0
  }

  start(): void {}

  stop(): void {
    this.stopped = true
  }

  /** Numbers of the questions how far a linearizable read has to wait. */
  readonly readPoints: number[] = []

  askReadPoint(id: number): boolean {
    if (!this.isConnected) return false
    this.readPoints.push(id)
    return true
  }

  /** How often it was asked who is there. */
  rollCalls = 0

  callRoll(): void {
    this.rollCalls++
  }

  resume(): void {}

  takeSequence(): number {
    return this.#sequence++
  }

  sendDrafts(drafts: Buffer): void {
    this.largestFrameBytes = Math.max(this.largestFrameBytes, drafts.length)
    for (let o = 0; o < drafts.length; o += padded(lengthOf(drafts, o))) this.drafts.push(decodeEntry(drafts, o))
  }

  resumeDrafts(): void {
    this.resumed.push({ afterDrafts: this.drafts.length, sequence: this.#sequence })
  }

  sendApplied(applied: unknown): void {
    this.applied.push(applied)
  }

  sendAttested(at: Lsn, hash: string): void {
    this.attested.push({ at, hash })
  }

  /** The drafts sent since it was last asked. */
  takeDrafts(): Entry[] {
    return this.drafts.splice(0)
  }

  takeActions(): Action[] {
    return this.takeDrafts().map(({ action }) => action)
  }
}

/** Stands for the journal writer: gives drafts their LSNs, one batch at a time. */
export class StubJournal {
  written: Lsn = noLsn
  /** Every batch so far. */
  readonly batches: { readonly payload: Buffer; readonly firstLsn: Lsn; readonly lastLsn: Lsn }[] = []

  /** Appends actions as one batch by one origin. */
  append(actions: readonly Action[], origin = 1, sequences: readonly number[] = []): Buffer {
    const batch = new EntryBatch(origin, 1024)
    for (const [i, action] of actions.entries()) encodeAction(batch, action, sequences[i] ?? 0)
    return this.#stamped(batch.take())
  }

  /** Appends drafts as they came from a role. */
  accept(drafts: readonly Entry[], origin = 1): Buffer {
    return this.append(
      drafts.map(({ action }) => action),
      origin,
      drafts.map(({ sequence }) => sequence),
    )
  }

  #stamped(payload: Buffer): Buffer {
    const firstLsn = lsn(this.written + 1)
    for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) {
      this.written = lsn(this.written + 1)
      stampLsn(payload, o, this.written)
    }
    this.batches.push({ payload, firstLsn, lastLsn: this.written })
    return payload
  }
}

/** Hands one batch to a role, as its follower does. */
export function apply(role: FollowerRole, payload: Buffer, lastLsn: Lsn): void {
  let count = 0
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) count++
  role.apply(payload, 0, lsn(lastLsn - count + 1), lastLsn)
  role.applied?.()
}

export const mark = (written: Lsn, flushed: Lsn = written, applied: Lsn = noLsn): Watermark => ({
  written,
  flushed,
  applied,
  checkpointWanted: noLsn,
  storeAgrees: true,
})

export function received(
  id: string,
  command = 'add',
  data: unknown = { amount: 1 },
  more: Partial<CommandReceived> = {},
): CommandReceived {
  return {
    type: 'command/received',
    aggregate: { type: 'counter', id },
    command,
    data,
    receivedAtMs: 1_700_000_000_000,
    call: null,
    idempotencyKey: null,
    expectedRevision: null,
    metadata: null,
    ...more,
  }
}

export const registered = (
  instance: string,
  incarnation = 1,
  former: 'stopped' | 'crashed' | 'killed' = 'stopped',
): Action => ({
  type: 'application/registered',
  instance,
  application: 'test',
  incarnation,
  aggregateTypes: ['counter'],
  former,
})

export const epochStarted = (epoch: number, leader = 'b'): Action => ({
  type: 'journal/epoch-started',
  epoch,
  leader,
  atMs: 1_700_000_000_000,
})

/** Of the journal writer of a node that does not lead. */
export const ledBy = (id: string, epoch = 1): Leadership => ({
  leads: false,
  epoch,
  leader: { id, address: `${id}:7500`, url: `http://${id}:7400` },
})

export const refusal = (sequence: number, code: ErrorCode = 'stale_token') => ({
  sequence,
  error: { code, message: 'refused', retryable: true },
})
