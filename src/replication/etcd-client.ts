import type { Clock, Random, Scheduler } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import {
  type EtcdGateway,
  type GatewayAnswer,
  type GatewayBody,
  GatewayFailure,
  type GatewayStream,
  type StreamHandlers,
} from './etcd-gateway.ts'
import { metadataClosed, metadataUnavailable, type SwapOutcome } from './metadata-store.ts'

export interface EtcdClientOptions {
  readonly gateway: EtcdGateway
  readonly location: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** For one answer of one member. */
  readonly attemptMs: number
  /** For an answer of any of them. */
  readonly patienceMs: number
}

export interface EtcdCall {
  readonly operation: string
  readonly path: string
  readonly body: object
  /** Done twice it is as if it was done once. Otherwise a request that may have reached a member goes to no other. */
  readonly isRepeatable: boolean
  /** The answer tells the store's revision as everybody sees it. */
  readonly tellsRevision: boolean
  /** Default: that of the options. 0: each member is asked once. */
  readonly patienceMs?: number
}

/** What a member says where it says no. */
interface Refusal {
  readonly message: string
  readonly outcome: SwapOutcome
  /** Another member, or the same one later, may say something else. */
  readonly isTransient: boolean
}

/** Between two rounds over all members, at most. */
const pauseMs = 100
const grpc = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  outOfRange: 11,
  unauthenticated: 16,
} as const
/** Said before anything is proposed. */
const refusedBefore = ['etcdserver: no leader', 'etcdserver: too many requests']

/** What was named is not there, and nothing was done. */
export class EtcdGone extends Error {
  readonly what: 'lease' | 'revision'

  constructor(what: 'lease' | 'revision', message: string) {
    super(message)
    this.what = what
  }
}

/**
 * Finds a member of etcd that answers.
 *
 * - E1 A request that may have reached a member and must not happen twice goes to no other: its outcome is unknown.
 * - E2 All answers come from one cluster, the one that answered first: a member is asked for its cluster before it is first used.
 *   Endpoints of two clusters would make two leaders.
 * - E3 The revision never falls: an etcd that was wiped, or restored from a copy, may use revisions again.
 */
export class EtcdClient {
  readonly #o: EtcdClientOptions
  readonly #known = new Set<number>()
  #clusterId: string | null = null
  #revision = 0
  #preferred = 0
  #isClosed = false

  constructor(options: EtcdClientOptions) {
    this.#o = options
  }

  get location(): string {
    return this.#o.location
  }

  /** @throws CommanderError `metadata_unavailable`; EtcdGone */
  async call(call: EtcdCall): Promise<GatewayBody> {
    const { clock, patienceMs } = this.#o
    const untilMs = clock.monotonicMs() + (call.patienceMs ?? patienceMs)
    for (;;) {
      const { answer, error } = await this.#round(call)
      if (answer !== null) return answer
      if (clock.monotonicMs() >= untilMs) throw error
      await this.#pause()
    }
  }

  /** By the member that answered last; after `failed`, by the next one. */
  stream(path: string, body: object, handlers: StreamHandlers): GatewayStream {
    return this.#o.gateway.stream(this.#preferred, path, body, handlers)
  }

  /** The member that is asked first does not do what it should. */
  failed(member: number = this.#preferred): void {
    if (member === this.#preferred) this.#preferred = (member + 1) % this.#o.gateway.members.length
  }

  close(): void {
    this.#isClosed = true
    this.#o.gateway.close()
  }

  /** Asks one member after the other, until one answers. */
  async #round(
    call: EtcdCall,
  ): Promise<{ answer: GatewayBody; error: null } | { answer: null; error: CommanderError }> {
    const { length } = this.#o.gateway.members
    const first = this.#preferred
    let last: CommanderError | null = null
    for (let n = 0; n < length; n++) {
      if (this.#isClosed) throw metadataClosed(this.location, call.operation)
      const member = (first + n) % length
      const answer = await this.#ask(member, call)
      if (this.#isClosed) throw metadataClosed(this.location, call.operation)
      if (!(answer instanceof CommanderError)) return { answer, error: null }
      last = answer
    }
    return { answer: null, error: last as CommanderError }
  }

  /** @returns the error where another member may be asked, or the same one again. */
  async #ask(member: number, call: EtcdCall): Promise<GatewayBody | CommanderError> {
    const stranger = this.#known.has(member) ? null : await this.#meet(member)
    if (stranger !== null) {
      this.failed(member)
      return this.#unavailable(member, call, stranger.message, 'none', { cause: stranger })
    }
    const knownRevision = this.#revision
    const answer = await this.#post(member, call.path, call.body)
    if (answer instanceof GatewayFailure) {
      this.failed(member)
      const error = this.#unavailable(member, call, answer.message, answer.isSent ? 'unknown' : 'none', {
        cause: answer,
      })
      if (answer.isSent && !call.isRepeatable) throw error
      return error
    }
    const refusal = refusalOf(answer)
    if (refusal === null) return this.#checked(member, call, answer.body, knownRevision)
    this.failed(member)
    const error = this.#unavailable(member, call, refusal.message, refusal.outcome, { isFinal: !refusal.isTransient })
    if (!refusal.isTransient || (refusal.outcome === 'unknown' && !call.isRepeatable)) throw error
    return error
  }

  /** E2. @returns why it is not used. */
  async #meet(member: number): Promise<Error | null> {
    const answer = await this.#post(member, '/v3/maintenance/status', {})
    if (answer instanceof GatewayFailure) return answer
    const { header, message } = answer.body as { header?: { cluster_id?: string }; message?: string }
    const clusterId = header?.cluster_id
    if (clusterId === undefined) return new Error(message ?? `it answers with status ${answer.status}; is it etcd?`)
    this.#clusterId ??= clusterId
    if (clusterId !== this.#clusterId) {
      const names = this.#o.gateway.members.join(', ')
      return new Error(`it is of another cluster than the others; name members of one cluster: ${names}`)
    }
    this.#known.add(member)
    return null
  }

  /** E3. */
  #checked(member: number, call: EtcdCall, body: GatewayBody, knownRevision: number): GatewayBody {
    if (!call.tellsRevision) return body
    const revision = revisionOf(body)
    if (revision < knownRevision)
      throw this.#unavailable(
        member,
        call,
        `it went back from revision ${knownRevision} to ${revision}: etcd was wiped or restored from a copy; stop all ` +
          'processes of the cluster before that, and see that none has acted on what is gone',
        'unknown',
        { isFinal: true },
      )
    this.#revision = Math.max(this.#revision, revision)
    return body
  }

  async #post(member: number, path: string, body: object): Promise<GatewayAnswer | GatewayFailure> {
    try {
      return await this.#o.gateway.post(member, path, body, this.#o.attemptMs)
    } catch (error) {
      return error instanceof GatewayFailure ? error : new GatewayFailure(messageOf(error), true, error)
    }
  }

  #unavailable(
    member: number,
    call: EtcdCall,
    reason: string,
    outcome: SwapOutcome,
    options: { readonly cause?: unknown; readonly isFinal?: boolean } = {},
  ): CommanderError {
    const text = `${this.#o.gateway.members[member]}: ${reason}`
    return metadataUnavailable(this.location, call.operation, text, outcome, options)
  }

  #pause(): Promise<void> {
    const delayMs = pauseMs / 2 + (this.#o.random.uint32() / 2 ** 32) * (pauseMs / 2)
    return new Promise((resolve) => this.#o.scheduler.after(delayMs, resolve))
  }
}

export function revisionOf(body: GatewayBody): number {
  return Number((body['header'] as { revision?: string } | undefined)?.revision ?? 0)
}

/** @throws EtcdGone */
function refusalOf({ status, body }: GatewayAnswer): Refusal | null {
  const { error, message, code } = body as { error?: unknown; message?: string; code?: number }
  if (status === 200 && error === undefined && message === undefined) return null
  const text = message ?? (error === undefined ? `status ${status}` : JSON.stringify(error))
  if (code === grpc.notFound) throw new EtcdGone('lease', text)
  if (code === grpc.outOfRange) throw new EtcdGone('revision', text)
  if (code === grpc.unauthenticated || code === grpc.permissionDenied)
    return {
      message: `it refuses (${text}); let whoever asks read and write there`,
      outcome: 'none',
      isTransient: false,
    }
  if (code === grpc.invalidArgument) return { message: text, outcome: 'none', isTransient: false }
  if (refusedBefore.includes(text)) return { message: text, outcome: 'none', isTransient: true }
  if (code === grpc.resourceExhausted)
    return { message: `${text}; compact and defragment etcd, or raise its quota`, outcome: 'none', isTransient: false }
  return { message: text, outcome: 'unknown', isTransient: true }
}
