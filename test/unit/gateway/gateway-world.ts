import type { Action } from '../../../src/actions/action.ts'
import { entryEnd } from '../../../src/actions/entry-layout.ts'
import type { CallOutcome, Replier } from '../../../src/gateway/call.ts'
import { Gateway } from '../../../src/gateway/gateway.ts'
import type { GatewayOptions } from '../../../src/gateway/gateway-options.ts'
import { Queries } from '../../../src/gateway/queries.ts'
import { defineAggregate, defineApplication, defineWorkflow } from '../../../src/index.ts'
import { CallEncoder, type CallFields, type ClientOutcome, decodeOutcome } from '../../../src/ipc/call-codec.ts'
import { encodeOutcomeHeader, waitModes } from '../../../src/ipc/client-protocol.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn, noLsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { ArchivedStreams } from '../../../src/tables/archived-streams.ts'
import { keyLookup } from '../../../src/tables/idempotency-keys.ts'
import { readRoot } from '../../../src/tables/meta.ts'
import { FilledStore } from '../filled-store.ts'
import { apply, mark, RoleWorld, registered, StubFollower, StubJournal } from '../role-world.ts'

export const counter = defineAggregate({
  name: 'counter',
  initialState: () => ({ value: 0 }),
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }), reset: () => [] },
  evolve: { added: (state, data: { amount: number }) => ({ value: state.value + data.amount }) },
  idempotencyTtlMs: 7_200_000,
})

export const greet = defineWorkflow({ name: 'greet', run: async (_, input: unknown) => input })

export const application = defineApplication({ name: 'test', aggregates: [counter], workflows: [greet] })

export const origin = 55

export type Answer =
  | ClientOutcome
  | { readonly error: string; readonly message: string; readonly retryable: boolean; readonly details?: unknown }

/** A connection of a client. */
export class StubReplier implements Replier {
  /** By request. Each gets one answer. */
  readonly answers = new Map<number, Answer>()
  flushes = 0
  /** Takes no more for now. */
  isFull = false

  completed(request: number, outcome: CallOutcome): void {
    const { entry, offset } = outcome
    const { code, durability, commandLsn, endLsn, firstPosition } = outcome
    const flags = outcome.isDuplicate ? 1 : 0
    const header = encodeOutcomeHeader({ request, code, durability, flags, commandLsn, endLsn, firstPosition })
    const body = entry === null ? header : Buffer.concat([header, entry.subarray(offset, entryEnd(entry, offset))])
    this.#answer(request, decodeOutcome(body).outcome)
  }

  failed(request: number, error: CommanderError): void {
    const { code, message, retryable, details } = error
    this.#answer(request, { error: code, message, retryable, ...(details === undefined ? {} : { details }) })
  }

  flush(): void {
    this.flushes++
  }

  #answer(request: number, answer: Answer): void {
    if (this.answers.has(request)) throw new Error(`request ${request} is answered twice`)
    this.answers.set(request, answer)
  }
}

const plainCall: CallFields = {
  key: 'counter/a',
  command: 'add',
  data: { amount: 1 },
  session: 0,
  sequence: 0,
  answeredBelow: 0,
  wait: waitModes.completed,
  writtenIsEnough: false,
  idempotencyKey: null,
  expectedRevision: null,
  metadata: null,
}

export function encodeCall(fields: Partial<CallFields> = {}, request = 1): Buffer {
  const encoder = new CallEncoder()
  encoder.add({ ...plainCall, ...fields }, request)
  return encoder.take()
}

export const key = (name: string, fill = 1) => ({ key: name, digest: Buffer.alloc(16, fill), ttlMs: 7_200_000 })

/** A gateway, a journal that takes its drafts when told to, and an application that answers when told to. */
export class GatewayWorld {
  readonly world = new RoleWorld()
  readonly journal = new StubJournal()
  readonly filled = new FilledStore(this.world.environment, this.world.scheduler)
  readonly replier = new StubReplier()
  follower = new StubFollower()
  gateway: Gateway
  queries: Queries
  flushed: Lsn = noLsn
  #requests = 0
  readonly #revisions = new Map<string, number>()
  readonly #limits: GatewayOptions['limits']

  constructor(limits?: GatewayOptions['limits']) {
    this.#limits = limits
    ;[this.gateway, this.queries] = this.#open(origin)
    this.append(registered('test-1'))
  }

  #open(own: number): [Gateway, Queries] {
    const store = this.filled.store.reader()
    this.follower = new StubFollower()
    const state =
      this.filled.applied === 0
        ? emptyRoot({ lookup: keyLookup(store), keepsPayloads: false })
        : readRoot(store, { lookup: keyLookup(store), keepsPayloads: false })
    const { environment } = this.world
    const archived = new ArchivedStreams(null)
    const options = { environment, store, archived, state, origin: own, applications: [application], reset: () => {} }
    const gateway = new Gateway(this.#limits === undefined ? options : { ...options, limits: this.#limits })
    gateway.start(this.follower.asFollower)
    for (const { payload, lastLsn } of this.journal.batches) apply(gateway, payload, lastLsn)
    gateway.connected()
    return [gateway, new Queries(gateway, store, [application], archived)]
  }

  /** The process is killed and another one takes its place. */
  restart(own = origin + 1): void {
    ;[this.gateway, this.queries] = this.#open(own)
    this.mark()
  }

  /** Submits a call; the number to find its answer under. */
  call(fields: Partial<CallFields> = {}): number {
    return this.submit(encodeCall(fields), fields.wait)
  }

  submit(source: Buffer, wait: number = waitModes.completed): number {
    const request = ++this.#requests
    this.gateway.submit(this.replier, request, wait, source, 0)
    return request
  }

  operate(action: Extract<Action, { type: 'command/retried' | 'command/skipped' }>): number {
    const request = ++this.#requests
    this.gateway.operate(this.replier, request, action)
    return request
  }

  answer(request: number): Answer | undefined {
    this.world.scheduler.settle()
    return this.replier.answers.get(request)
  }

  /** `completed`, `rejected`…, or the code of the error; undefined while there is no answer. */
  outcome(request: number): string | undefined {
    const answer = this.answer(request)
    return answer === undefined ? undefined : 'error' in answer ? answer.error : answer.outcome
  }

  append(...actions: Action[]): Lsn {
    const first = lsn(this.journal.written + 1)
    apply(this.gateway, this.journal.append(actions, 9), this.journal.written)
    return first
  }

  /** The gateway's drafts become entries. Returns the LSN of the first. */
  accept(): Lsn {
    this.world.scheduler.settle()
    const first = lsn(this.journal.written + 1)
    const drafts = this.follower.takeDrafts()
    if (drafts.length > 0) apply(this.gateway, this.journal.accept(drafts, drafts[0]?.origin), this.journal.written)
    return first
  }

  complete(command: Lsn, id = 'a'): Lsn {
    const base = this.#revisions.get(id) ?? 0
    this.#revisions.set(id, base + 1)
    return this.append({
      type: 'command/completed',
      ...this.#end(command, id),
      baseRevision: revision(base),
      eventsVersion: 1,
      events: [{ type: 'added', data: { amount: 1 } }],
      latestEvent: { revision: revision(base + 1), type: 'added' },
      idempotencyKey: 'none',
      snapshot: null,
    })
  }

  park(command: Lsn, id = 'a'): Lsn {
    const end = { ...this.#end(command, id), idempotencyKey: 'none', message: 'gave up', attempts: 5 } as const
    return this.append({ type: 'command/parked', ...end, blocksAggregate: false })
  }

  #end(command: Lsn, id: string) {
    const release = token(this.append({ type: 'command/started', instance: 'test-1', commands: [command] }))
    return { command, aggregate: { type: 'counter', id }, release, atMs: 0 }
  }

  flush(upTo: Lsn = this.journal.written): void {
    this.flushed = upTo
    this.mark()
  }

  store(): void {
    this.filled.fill(this.journal)
    this.mark()
  }

  mark(): void {
    this.gateway.watermark(mark(this.journal.written, this.flushed, this.filled.applied))
    this.world.scheduler.settle()
  }
}
