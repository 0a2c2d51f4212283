import type { Transport } from '../ipc/channel.ts'
import { unreachable } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { ClusterRegistry } from './cluster-registry.ts'
import { newMaster, stepMaster } from './master.ts'
import type { MasterEffect, MasterEvent, MasterOptions, MasterState, Suggestion } from './master-state.ts'
import type { MasterTurn } from './master-turn.ts'
import { MasterWatch } from './master-watch.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import type { NodeRecord } from './node-record.ts'
import type { Orchestrator } from './orchestrator.ts'
import { ServerSurvey } from './server-survey.ts'
import { decodeSuggestion, encodeSuggestion } from './suggestion.ts'

export interface MasterShellOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** To journal servers. */
  readonly transport: Transport
  readonly turn: Pick<MasterTurn, 'isMine'>
  readonly options: MasterOptions
  /** How often it looks, and asks the servers. */
  readonly lookMs: number
  /** null: nobody starts servers at its word. */
  readonly orchestrator: Orchestrator | null
}

/** What an operator suggested is left alone for so long. */
const operatorsMs = 5_000

/**
 * Carries out what the machine of the master wants. A node is heard of while its key lasts, a journal server when it answers. Nobody is
 * judged while the metadata store is out of reach, or while another master is at work: then all that was known is forgotten,
 * and everybody gets time to be heard of when it goes on.
 */
export class MasterShell {
  readonly #o: MasterShellOptions
  readonly #watch: MasterWatch
  readonly #survey: ServerSurvey
  readonly #registry: ClusterRegistry
  #state: MasterState | null = null
  #timer: Timer | null = null
  #operator = { revision: 0, seenMs: 0 }
  /** One order after the other: the next one may be a consequence of the last. */
  #orders: Promise<void> = Promise.resolve()

  constructor(options: MasterShellOptions) {
    this.#o = options
    const { environment, metadata, transport } = options
    this.#registry = new ClusterRegistry(metadata, environment)
    this.#survey = new ServerSurvey({
      environment,
      transport,
      heard: ({ id, host, device, state }, { report }) => {
        // One that leaves is as good as gone: others are put into its place.
        if (state === 'active') this.#step({ kind: 'serverHeard', id, host, device, bytes: report.diskBytes })
      },
    })
    this.#watch = new MasterWatch(metadata, environment.log, () =>
      this.#survey.setServers([...this.#watch.servers.values()]),
    )
    this.#look()
  }

  /** Whether it suggests anything for now. */
  get isAtWork(): boolean {
    return this.#state !== null
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#state = null
    this.#watch.close()
    this.#survey.stop()
    await this.#orders
  }

  #look(): void {
    const { environment, options, turn, lookMs } = this.#o
    this.#timer = environment.scheduler.after(lookMs, () => this.#look())
    if (!turn.isMine || !this.#watch.isCurrent) {
      if (this.#state !== null) environment.log.info({}, 'this master rests')
      this.#state = null
      return
    }
    if (this.#state === null) {
      environment.log.info({}, 'this master is at work')
      this.#state = newMaster(options, this.#nowMs)
    }
    const { streams, nodes } = this.#watch
    for (const known of this.#state.streams.keys())
      if (!streams.has(known)) this.#step({ kind: 'streamDeleted', stream: known })
    for (const meta of streams.values()) this.#step({ kind: 'metaSeen', meta })
    for (const node of nodes.values()) this.#step(heardOf(node, [...streams.keys()]))
    this.#survey.ask([])
    this.#step({ kind: 'tick', nowMs: this.#nowMs })
  }

  #step(event: MasterEvent): void {
    if (this.#state === null) return
    const { state, effects } = stepMaster(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#orders = this.#orders.then(() => this.#carryOut(effect))
  }

  async #carryOut(effect: MasterEffect): Promise<void> {
    const { log } = this.#o.environment
    try {
      await this.#do(effect)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      // The machine wants it again after a while.
      log.warn({ effect, code: error.code, error: error.message }, `could not ${effect.do}`)
    }
  }

  async #do(effect: MasterEffect): Promise<void> {
    const { orchestrator, environment } = this.#o
    switch (effect.do) {
      case 'suggest':
        return this.#suggest(effect.stream, effect.suggestion)
      case 'provision': {
        const ids = (await orchestrator?.provision(effect.count)) ?? []
        environment.log.info({ ids }, 'ordered more journal servers')
        return
      }
      case 'deprovision':
        return this.#giveBack(effect.server)
      default:
        return unreachable(effect)
    }
  }

  async #suggest(stream: string, suggestion: Suggestion): Promise<void> {
    const { metadata, environment } = this.#o
    const key = metadataKeys.suggestion(stream)
    const found = await metadata.get(key)
    const present = found === null ? null : decodeSuggestion(found.value)
    const isOperators = present?.by === 'operator' && present.epoch === suggestion.epoch
    if (found !== null && isOperators && this.#isFresh(found.revision)) return
    const { swapped } = await metadata.compareAndSwap(key, found?.revision ?? 0, encodeSuggestion(suggestion))
    if (swapped) environment.log.info({ stream, suggestion }, suggestionText(suggestion))
  }

  #isFresh(revision: number): boolean {
    if (this.#operator.revision !== revision) this.#operator = { revision, seenMs: this.#nowMs }
    return this.#nowMs - this.#operator.seenMs < operatorsMs
  }

  /** It holds nothing, so it is out of the cluster at once; somebody may have put it into a group meanwhile, and then it stays. */
  async #giveBack(id: string): Promise<void> {
    const { orchestrator, environment } = this.#o
    const isOurs = (await orchestrator?.list())?.some((server) => server.id === id) === true
    if (!isOurs) return
    const { state } = await this.#registry.deregister(id)
    if (state === 'gone') await orchestrator?.deprovision(id)
    environment.log.info({ id, state }, 'a journal server that nobody needs was given back')
  }

  get #nowMs(): number {
    return this.#o.environment.clock.monotonicMs()
  }
}

function heardOf({ id, incarnation, end }: NodeRecord, streams: readonly string[]): MasterEvent {
  const ends = new Map(streams.map((stream): [string, Lsn] => [stream, lsn(end)]))
  return { kind: 'nodeHeard', id, incarnation, ends }
}

const suggestionText = ({ leader, group }: Suggestion): string =>
  leader !== null ? `suggests that ${leader} leads` : `suggests the group ${(group ?? []).join(', ')}`
