import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { BatchHead, Digest } from './batch.ts'
import type { AppendRequest, Member, ServerId, ServerRequest } from './messages.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { rules } from './rules.ts'

/** How far the members of a group have one segment: of the leader's open one, and of sealed ones until all have all. */
export interface Track {
  readonly segmentEpoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  readonly policy: ReplicationPolicy
  /** Where it is sealed, or is to be. */
  readonly end: { readonly tail: Lsn; readonly tailDigest: Digest; readonly isSealed: boolean } | null
  /** In the order of the chain. */
  readonly members: ReadonlyMap<ServerId, Progress>
}

export interface Progress {
  readonly member: Member
  /** It has the segment, and has said what of it. */
  readonly isOpened: boolean
  readonly flushed: Lsn
  /** Optimistic: goes back to `flushed` when nothing comes. */
  readonly sent: Lsn
  /** It knows that so much is committed. */
  readonly told: Lsn
  readonly isFinished: boolean
  readonly damagedFrom: Lsn | null
  /** Of a chain: served by the leader itself, because a link broke. */
  readonly isDirect: boolean
  /** The shell had no more at hand: the rest goes when this arrived, or after a while. */
  readonly isCut: boolean
  /** It lost entries, or cannot say that it has not. */
  readonly isSuspect: boolean
  /** Id of the last request to it about this segment. */
  readonly lastId: number
  /** Answers to requests up to this one say how it was before what is known by now. */
  readonly learnedId: number
  /** Refusals of requests up to this one are answered by what was sent since. */
  readonly backId: number
  readonly askedMs: number
  /** When it last moved, or was last sent something that should move it. */
  readonly movedMs: number
}

/** What all of a step to the servers is; the shell adds the bytes to `stream`. */
export type ReplicationEffect =
  | { readonly do: 'send'; readonly to: Member; readonly request: Exclude<ServerRequest, AppendRequest> }
  /**
   * Appends of whole batches from `after` on. The shell may stop before `upTo`, and then says so by an event `cut` before any
   * other.
   */
  | {
      readonly do: 'stream'
      readonly to: Member
      /** The rest of the chain. */
      readonly next: readonly Member[]
      readonly id: number
      readonly epoch: Epoch
      readonly segmentEpoch: Epoch
      readonly after: Lsn
      readonly upTo: Lsn
      readonly committed: Lsn
    }
  | { readonly do: 'alarm'; readonly what: string }

/** A request without what the track adds to it. */
type Content = DistributiveOmit<Exclude<ServerRequest<BatchHead>, AppendRequest<BatchHead>>, 'id' | 'stream' | 'epoch'>
type DistributiveOmit<Union, Keys extends PropertyKey> = Union extends unknown ? Omit<Union, Keys> : never

/** What a plan is made from, beside the track. */
export interface Sender {
  readonly stream: string
  readonly epoch: Epoch
  readonly nowMs: number
  readonly nextId: number
  /** False: whoever no quorum needs gets the entries of an open segment later. */
  readonly isDue: boolean
}

export interface Planned {
  readonly track: Track
  readonly nextId: number
  readonly effects: readonly ReplicationEffect[]
}

export const newProgress = (member: Member, base: Lsn): Progress => ({
  member,
  isOpened: false,
  flushed: lsn(base - 1),
  sent: lsn(base - 1),
  told: lsn(0),
  isFinished: false,
  damagedFrom: null,
  isDirect: false,
  isCut: false,
  isSuspect: false,
  lastId: 0,
  learnedId: 0,
  backId: 0,
  askedMs: Number.NEGATIVE_INFINITY,
  movedMs: 0,
})

export const membersOf = (group: readonly Member[], base: Lsn): ReadonlyMap<ServerId, Progress> =>
  new Map(group.map((member) => [member.id, newProgress(member, base)]))

export const withProgress = (track: Track, progress: Progress): Track => ({
  ...track,
  members: new Map(track.members).set(progress.member.id, progress),
})

/** A `stream` to these ended at a batch before the end of what it asked for. */
export const cutShort = (track: Track, servers: readonly ServerId[], upTo: Lsn): Track =>
  servers.reduce((current, id) => {
    const one = current.members.get(id)
    return one === undefined
      ? current
      : withProgress(current, { ...one, sent: lsn(Math.max(one.flushed, upTo)), isCut: true })
  }, track)

/** What `ackQuorum` members have flushed. */
export function committedOf({ members, policy }: Track): Lsn {
  const flushed = [...members.values()].map((progress) => progress.flushed).sort((a, b) => b - a)
  return rules.committedOf(flushed, policy)
}

export const holdersOf = ({ members }: Track, upTo: Lsn): number =>
  [...members.values()].filter(
    ({ flushed, damagedFrom, isOpened }) => isOpened && flushed >= upTo && damagedFrom === null,
  ).length

/** All members have all of it, and know that it ended. */
export const isDone = ({ end, members }: Track): boolean =>
  end !== null &&
  [...members.values()].every((one) => one.isFinished && one.damagedFrom === null && one.flushed >= end.tail)

/**
 * What to send by now. `last`: the end of what the leader has; `committed`: the hint. Each member gets what it lacks as fast as
 * it takes it, so a slow one holds up nobody else.
 */
export function planTrack(track: Track, sender: Sender, last: Lsn, committed: Lsn): Planned {
  const goal = track.end?.tail ?? last
  const plan = new Plan(track, sender, goal, lsn(Math.min(committed, goal)))
  for (const id of track.members.keys()) plan.askFor(id)
  if (track.policy.topology === 'chain' && track.end === null) plan.streamAlongChain()
  for (const id of track.members.keys()) plan.streamTo(id)
  return { track: { ...track, members: plan.members }, nextId: plan.nextId, effects: plan.effects }
}

/** Lives for the length of one step. */
class Plan {
  readonly members: Map<ServerId, Progress>
  readonly effects: ReplicationEffect[] = []
  nextId: number
  readonly #track: Track
  readonly #sender: Sender
  readonly #goal: Lsn
  readonly #committed: Lsn

  constructor(track: Track, sender: Sender, goal: Lsn, committed: Lsn) {
    this.#track = track
    this.#sender = sender
    this.#goal = goal
    this.#committed = committed
    this.members = new Map(track.members)
    this.nextId = sender.nextId
  }

  /** Everything but appends, each again until it is answered. */
  askFor(id: ServerId): void {
    const one = this.#of(id)
    const { segmentEpoch, base, baseDigest, end } = this.#track
    if (this.#sender.nowMs - one.askedMs < limits.replicationRetryMs) return
    if (!one.isOpened) return this.#ask(one, { kind: 'openSegment', segmentEpoch, base, baseDigest })
    if (end?.isSealed && !one.isFinished) return this.#ask(one, { kind: 'finish', segmentEpoch, ...tailOf(end) })
    if (end?.isSealed && one.damagedFrom !== null && this.#mayRewind(one))
      return this.#ask(one, { kind: 'rewind', segmentEpoch, after: lsn(one.damagedFrom - 1) })
  }

  #mayRewind(one: Progress): boolean {
    const others = new Map([...this.members].filter(([, other]) => other !== one))
    return rules.mayRewind(holdersOf({ ...this.#track, members: others }, this.#goal), this.#track.policy)
  }

  /** The first member of the chain gets it with the list of the others; whoever does not stand where it stands is served directly. */
  streamAlongChain(): void {
    const chain = [...this.members.values()].filter((one) => one.isOpened && this.#isInChain(one))
    const [head, ...behind] = chain
    if (head === undefined) return
    for (const one of behind) if (one.sent !== head.sent) this.#set({ ...one, isDirect: true })
    const next = behind.filter((one) => one.sent === head.sent)
    if (!this.#mayStream(head)) return
    this.#stream(head, next)
  }

  /** One that was served directly comes back once it has all that there is. */
  #isInChain(one: Progress): boolean {
    if (!one.isDirect) return true
    const isBack = one.flushed >= this.#goal && this.#sender.nowMs - one.movedMs >= limits.chainRestMs
    if (isBack) this.#set({ ...one, isDirect: false })
    return isBack
  }

  streamTo(id: ServerId): void {
    const one = this.#of(id)
    const isOfChain = this.#track.policy.topology === 'chain' && this.#track.end === null && !one.isDirect
    if (!one.isOpened) return
    if (one.sent > one.flushed && this.#sender.nowMs - one.movedMs >= limits.replicationRetryMs)
      return this.#again(one, isOfChain)
    if (!isOfChain && this.#mayStream(one) && !this.#waits(one)) this.#stream(one, [])
  }

  /** Enough others are as far, or farther. Once one of these stands still, whoever gets its entries when they are due is ahead of it. */
  #waits(one: Progress): boolean {
    const { end, policy } = this.#track
    const { isDue } = this.#sender
    if (end !== null) return false
    let ahead = 0
    let isBefore = true
    for (const other of this.members.values()) {
      if (other.member.id === one.member.id) isBefore = false
      else if (other.isOpened && (other.flushed > one.flushed || (isBefore && other.flushed === one.flushed))) ahead++
    }
    return rules.mayWait(ahead, policy, isDue)
  }

  /** Nothing came: from what it surely has, and around a chain that may be broken. */
  #again(one: Progress, isOfChain: boolean): void {
    const back = { ...one, sent: one.flushed, isCut: false, isDirect: one.isDirect || isOfChain }
    this.#set(back)
    if (this.#mayStream(back)) this.#stream(back, [])
  }

  #mayStream({ sent, flushed, isCut, movedMs }: Progress): boolean {
    const isResting = isCut && this.#sender.nowMs - movedMs < limits.replicationRetryMs
    return sent < this.#goal && sent - flushed < limits.replicationWindowEntries && !isResting
  }

  #stream(to: Progress, next: readonly Progress[]): void {
    const { epoch, nowMs } = this.#sender
    const { segmentEpoch } = this.#track
    const id = this.nextId++
    for (const one of [to, ...next]) {
      const movedMs = one.sent === one.flushed ? nowMs : one.movedMs
      this.#set({ ...this.#of(one.member.id), sent: this.#goal, isCut: false, lastId: id, movedMs })
    }
    const [after, upTo, committed] = [to.sent, this.#goal, this.#committed]
    const chain = next.map((one) => one.member)
    this.effects.push({ do: 'stream', to: to.member, next: chain, id, epoch, segmentEpoch, after, upTo, committed })
  }

  #ask(to: Progress, content: Content): void {
    const { stream, epoch, nowMs } = this.#sender
    const id = this.nextId++
    this.#set({ ...to, lastId: id, askedMs: nowMs })
    this.effects.push({ do: 'send', to: to.member, request: { ...content, id, stream, epoch } })
  }

  #of(id: ServerId): Progress {
    return this.members.get(id) as Progress
  }

  #set(progress: Progress): void {
    this.members.set(progress.member.id, progress)
  }
}

const tailOf = ({ tail, tailDigest }: NonNullable<Track['end']>): { tail: Lsn; tailDigest: Digest } => ({
  tail,
  tailDigest,
})
