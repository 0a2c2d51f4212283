import type { Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type ClusterFacts, readClusterFacts } from './cluster-facts.ts'
import { type ClusterOverview, overviewOf } from './cluster-overview.ts'
import { ClusterRegistry } from './cluster-registry.ts'
import type { Suggestion } from './master-state.ts'
import type { ServerId } from './messages.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { type SurveyedNodes, surveyNodes } from './node-survey.ts'
import { type WantedChange, wantedPlacement } from './placement-change.ts'
import type { RegisteredServer } from './registered-server.ts'
import { satisfiableGroup } from './satisfiable-group.ts'
import { ServerSurvey } from './server-survey.ts'
import { noAnswer } from './silence-text.ts'
import { type OpenSegment, openSegmentOf, type StreamMeta } from './stream-meta.ts'
import { isSameGroup, isSamePolicy } from './suggested-wish.ts'
import { encodeSuggestion, nothingSuggested } from './suggestion.ts'
import { readRefusal, removeRefusal, type SuggestionRefusal } from './suggestion-refusal.ts'

export interface ClusterOperatorOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** To journal servers. */
  readonly transport: Transport
  readonly stream: string
  /** Each verb is to be done by then. Milliseconds. */
  readonly timeoutMs: number
}

/** What became of a change: before and after, and whether there was anything to do. */
export interface Changed<Value> {
  readonly changed: boolean
  readonly before: Value
  readonly after: Value
}

/** A journal server or node that does not answer by then counts as silent. */
const answerMs = 2_000
const lookMs = 50
/** A leader that could not do it at first is told again. */
const againMs = 1_000

/**
 * Changes a cluster as an operator wants it, by suggestions to the node that leads: that one decides, and carries it out. Each verb looks first
 * whether it can be had, changes nothing where it cannot, and returns when it is so.
 */
export class ClusterOperator {
  readonly #o: ClusterOperatorOptions
  readonly #survey: ServerSurvey
  readonly #registry: ClusterRegistry
  readonly #untilMs: number

  constructor(options: ClusterOperatorOptions) {
    this.#o = options
    const { environment, transport, metadata, timeoutMs } = options
    this.#survey = new ServerSurvey({ environment, transport })
    this.#registry = new ClusterRegistry(metadata, environment)
    this.#untilMs = environment.clock.monotonicMs() + timeoutMs
  }

  close(): void {
    this.#survey.stop()
  }

  /** @throws CommanderError `metadata_unavailable` */
  facts(): Promise<ClusterFacts> {
    return readClusterFacts(this.#o.metadata, this.#o.stream)
  }

  /** Asks the journal servers as well. */
  async overview(): Promise<ClusterOverview> {
    const facts = await this.facts()
    const [nodes] = await Promise.all([this.#nodesUp(facts), this.#ask(facts.servers)])
    return overviewOf(facts, this.#o.stream, {
      server: (id) => this.#survey.of(id),
      node: (id) => nodes.up.get(id) ?? null,
      serverError: ({ id, address }) => this.#survey.endOf(id) ?? noAnswer(address, answerMs),
      nodeError: (id) => nodes.errors.get(id) ?? null,
    })
  }

  /** Ends the open segment, and begins another one. */
  async seal(): Promise<Changed<OpenSegment>> {
    const before = openOf(await this.facts())
    const after = await this.#suggest((meta, open) =>
      open.epoch === before.epoch ? { ...nothingSuggested, by: 'operator', epoch: meta.epoch, seal: true } : null,
    )
    return { changed: true, before, after: openSegmentOf(after) as OpenSegment }
  }

  /**
   * Another group, or another policy, from the next segment on.
   * @throws CommanderError `invalid_config`, `not_found`, `policy_unsatisfiable`: nothing was changed
   */
  async reconfigure(change: WantedChange): Promise<Changed<OpenSegment>> {
    const facts = await this.facts()
    const before = openOf(facts)
    await this.#ask(facts.servers)
    const up = new Set(facts.servers.filter(({ id }) => this.#survey.of(id) !== null).map(({ id }) => id))
    const { group, policy } = wantedPlacement(change, before, facts, up)
    const isSo = (open: OpenSegment): boolean => isSameGroup(open.group, group) && isSamePolicy(open.policy, policy)
    if (isSo(before)) return { changed: false, before, after: before }
    const after = await this.#suggest((meta, open) =>
      isSo(open) ? null : { ...nothingSuggested, by: 'operator', epoch: meta.epoch, group, policy },
    )
    return { changed: true, before, after: openSegmentOf(after) as OpenSegment }
  }

  /**
   * Lets another node lead.
   * @throws CommanderError `not_found`: no such node is up
   */
  async promote(node: string): Promise<Changed<{ readonly leader: string | null; readonly epoch: number }>> {
    const facts = await this.facts()
    const meta = recordOf(facts)
    const { up } = await this.#nodesUp(facts)
    if (!up.has(node)) throw noSuchNode(node, [...up.keys()])
    const leads = (of: StreamMeta): boolean => of.leader?.id === node && openSegmentOf(of)?.epoch === of.epoch
    const before = { leader: meta.leader?.id ?? null, epoch: meta.epoch }
    if (leads(meta)) return { changed: false, before, after: before }
    const after = await this.#suggest((now) =>
      leads(now) ? null : { ...nothingSuggested, by: 'operator', epoch: now.epoch, leader: node },
    )
    return { changed: true, before, after: { leader: node, epoch: after.epoch } }
  }

  /**
   * Takes a journal server out of the cluster: the leader puts others into its place, in every segment; then it is deregistered.
   * @throws CommanderError `not_found`; `policy_unsatisfiable`: too few would be left, nothing was changed; `timeout`: it is leaving
   */
  async deregister(id: ServerId): Promise<void> {
    const facts = await this.facts()
    const server = facts.servers.find((one) => one.id === id)
    if (server === undefined) throw noSuchServer(id, facts)
    await this.#checkWithout(id, facts)
    for (;;) {
      const result = await this.#registry.deregister(id, server.identity)
      if (result.state === 'gone') return
      const segments = result.streams.reduce((sum, one) => sum + one.segments, 0)
      await this.#pause(() => stillLeaving(id, segments))
    }
  }

  /** Those that registered meanwhile: each of these ids. */
  async registered(ids: readonly ServerId[]): Promise<readonly RegisteredServer[]> {
    for (;;) {
      const { servers } = await this.facts()
      const found = servers.filter((server) => ids.includes(server.id))
      if (found.length === ids.length) return found
      const missing = ids.filter((id) => !found.some((server) => server.id === id))
      await this.#pause(() => notRegistered(missing))
    }
  }

  async #checkWithout(id: ServerId, { meta, servers, nodes }: ClusterFacts): Promise<void> {
    const open = meta === null ? null : openSegmentOf(meta)
    if (open === null) return
    await this.#ask(servers)
    const others = servers.filter((server) => server.id !== id && this.#survey.of(server.id) !== null)
    const mayShareDevice = nodes.some((node) => node.mayShareDevice)
    try {
      satisfiableGroup(others, { policy: open.policy, present: open.group, mayShareDevice })
    } catch (error) {
      if (!isCommanderError(error)) throw error
      throw notWithout(id, error)
    }
  }

  /** Suggests what `make` wants of the record until it wants nothing more. */
  async #suggest(make: (meta: StreamMeta, open: OpenSegment) => Suggestion | null): Promise<StreamMeta> {
    const { metadata, stream, environment } = this.#o
    const key = metadataKeys.suggestion(stream)
    let sentMs = Number.NEGATIVE_INFINITY
    await removeRefusal(metadata, stream)
    for (;;) {
      const facts = await this.facts()
      const meta = recordOf(facts)
      const wanted = make(meta, openOf(facts))
      if (wanted === null) return meta
      const nowMs = environment.clock.monotonicMs()
      const found = await metadata.get(key)
      const value = encodeSuggestion(wanted)
      if (found?.value !== value || nowMs - sentMs > againMs) {
        await metadata.compareAndSwap(key, found?.revision ?? 0, value)
        sentMs = nowMs
      }
      if (this.#isLate) return this.#withdraw(value, make)
      await this.#sleep()
    }
  }

  /** So that nobody does it much later; unless it has just been done. */
  async #withdraw(
    value: string,
    make: (meta: StreamMeta, open: OpenSegment) => Suggestion | null,
  ): Promise<StreamMeta> {
    const { metadata, stream } = this.#o
    const key = metadataKeys.suggestion(stream)
    const found = await metadata.get(key)
    if (found?.value === value) await metadata.compareAndSwap(key, found.revision, null)
    const facts = await this.facts()
    const meta = recordOf(facts)
    if (make(meta, openOf(facts)) !== null) throw notDone(facts, await readRefusal(metadata, stream))
    return meta
  }

  #nodesUp({ nodes }: ClusterFacts): Promise<SurveyedNodes> {
    const { transport, environment, stream } = this.#o
    return surveyNodes({ transport, scheduler: environment.scheduler }, nodes, stream, answerMs)
  }

  /** Until all have answered, or long enough. */
  async #ask(servers: readonly RegisteredServer[]): Promise<void> {
    const { clock } = this.#o.environment
    this.#survey.setServers(servers)
    this.#survey.ask([this.#o.stream])
    const untilMs = clock.monotonicMs() + answerMs
    while (servers.some(({ id }) => this.#survey.of(id) === null) && clock.monotonicMs() < untilMs) await this.#sleep()
  }

  async #pause(tooLate: () => CommanderError): Promise<void> {
    if (this.#isLate) throw tooLate()
    await this.#sleep()
  }

  get #isLate(): boolean {
    return this.#o.environment.clock.monotonicMs() > this.#untilMs
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => this.#o.environment.scheduler.after(lookMs, resolve))
  }
}

function recordOf({ meta }: ClusterFacts): StreamMeta {
  if (meta !== null) return meta
  throw new CommanderError('not_ready', 'no node of the cluster has led yet: start one, with enough journal servers')
}

function openOf(facts: ClusterFacts): OpenSegment {
  const open = openSegmentOf(recordOf(facts))
  if (open !== null) return open
  throw new CommanderError('not_ready', 'no segment is open: no node of the cluster leads yet; start one')
}

function noSuchNode(node: string, others: readonly string[]): CommanderError {
  const up = others.join(', ')
  const message = `no node ${node} is up; ${up === '' ? 'none is' : `those that are: ${up}`}`
  return new CommanderError('not_found', message, { details: { node } })
}

export function noSuchServer(id: ServerId, { servers }: ClusterFacts): CommanderError {
  const known = servers.map((server) => server.id).join(', ')
  const message = `no journal server ${id} is registered; ${known === '' ? 'none is' : `those that are: ${known}`}`
  return new CommanderError('not_found', message, { details: { server: id } })
}

function notWithout(id: ServerId, cause: CommanderError): CommanderError {
  const message = `${id} stays, for without it ${cause.message}, for example by commanderdb cluster provision 1; nothing was changed`
  return new CommanderError('policy_unsatisfiable', message, { cause, details: cause.details, retryable: false })
}

function notDone({ meta, isLeased, nodes }: ClusterFacts, refusal: SuggestionRefusal | null): CommanderError {
  const leader = meta?.leader ?? null
  const why = refusal?.epoch === meta?.epoch ? `refuses it: ${refusal?.why}` : 'has not done it; its log says more'
  const who =
    leader === null || !isLeased
      ? 'no node leads for now'
      : `node ${leader.id} leads under epoch ${meta?.epoch} and ${why}`
  const message = `it was suggested, not done in time, and withdrawn: ${who} (nodes that are up: ${nodes.map(({ id }) => id).join(', ') || 'none'})`
  return new CommanderError('timeout', message)
}

const stillLeaving = (id: ServerId, segments: number): CommanderError =>
  new CommanderError(
    'timeout',
    `${id} is leaving: it gets into no group any more, and ${segments} ${segments === 1 ? 'segment names' : 'segments name'} it ` +
      'still. They are copied to others, or trimmed, while a node leads; say the same again later, its process goes on until then',
    { details: { server: id, segments } },
  )

const notRegistered = (ids: readonly ServerId[]): CommanderError =>
  new CommanderError(
    'timeout',
    `${ids.join(', ')} ${ids.length === 1 ? 'was' : 'were'} provisioned and did not register in time: look at the log of this host, and take ` +
      `${ids.length === 1 ? 'it' : 'them'} back by commanderdb cluster deprovision where ${ids.length === 1 ? 'it does' : 'they do'} not come up`,
    { details: { servers: ids } },
  )
