import type { StreamArchived } from '../actions/action.ts'
import { aggregateKey } from '../actions/aggregate-key.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { pendingBefore } from '../state/commands.ts'
import type { StreamVault } from '../tables/archived-streams.ts'
import type { ApplyWaiter } from './apply-waiter.ts'
import type { Replier } from './call.ts'
import type { Gateway } from './gateway.ts'
import type { StreamAction } from './operations.ts'
import type { Queries, StreamView } from './queries.ts'
import { StreamArchiver } from './stream-archiver.ts'
import { assertEnded } from './workflow-reads.ts'
import { wrongId } from './wrong-id.ts'

export interface StreamOperationsOptions {
  readonly environment: Environment
  readonly gateway: Gateway
  readonly queries: Queries
  readonly waiter: ApplyWaiter
  /** Null without an archive. */
  readonly vault: StreamVault | null
}

/** For the store to have applied what was answered before. */
const readWaitMs = 10_000
/** How long a deletion waits for commands from before the close, and how often it looks. */
const drainMs = 10_000
const lookMs = 20

/**
 * What operators decide on streams. Each is asked again without harm: what is done already is answered as done. All of
 * it is answered once the store has applied it, so that whoever reads next sees it.
 */
export class StreamOperations {
  readonly #o: StreamOperationsOptions
  readonly #archiver: StreamArchiver
  /** By key: one at a time, since each goes on where the one before ended. */
  readonly #archiving = new Map<string, Promise<StreamView>>()

  constructor(options: StreamOperationsOptions) {
    this.#o = options
    this.#archiver = new StreamArchiver(options.environment, options.queries, options.vault)
  }

  /** @throws CommanderError `unknown_aggregate`, `invalid_input` */
  async life(type: string, id: string): Promise<StreamView> {
    this.#o.gateway.admission.aggregate(type)
    const wrong = wrongId(type, id)
    if (wrong !== null) throw new CommanderError('invalid_input', wrong)
    await this.#stored()
    return this.#o.queries.life(type, id)
  }

  /**
   * No command that is received from now on is decided.
   * @throws CommanderError `not_found` for a stream without events or commands, `stream_deleted`, `workflow_running`
   */
  async close(type: string, id: string): Promise<StreamView> {
    const before = await this.life(type, id)
    if (before.status === 'closed') return before
    const key = aggregateKey(type, id)
    if (before.status === 'deleted') throw deleted(key)
    const { gateway } = this.#o
    if (before.revision === 0 && !gateway.state.commands.byAggregate.has(key)) throw neverThere(key)
    // Its timers and answers come as commands: closed, it would wait for ever.
    assertEnded(this.#o.queries.workflow(key), key, 'closed')
    await this.#propose({ type: 'stream/closed', aggregate: { type, id }, atMs: this.#nowMs })
    return this.life(type, id)
  }

  /**
   * Closes the stream where it is not closed yet, waits for the commands from before, and removes its events.
   * @throws CommanderError as `close`, and `stream_busy` where a command from before does not end
   */
  async delete(type: string, id: string): Promise<StreamView> {
    const before = await this.life(type, id)
    if (before.status === 'deleted') return before
    assertEnded(this.#o.queries.workflow(aggregateKey(type, id)), aggregateKey(type, id), 'deleted')
    const { closedLsn } = before.status === 'closed' ? before : await this.close(type, id)
    const startedMs = this.#o.environment.clock.monotonicMs()
    for (;;) {
      const busy = this.#busy(aggregateKey(type, id), lsn(closedLsn ?? 0))
      if (busy === null) {
        const action = { type: 'stream/deleted', aggregate: { type, id }, closedLsn: lsn(closedLsn ?? 0) } as const
        const isDone = await this.#proposed({ ...action, atMs: this.#nowMs })
        if (isDone) return this.life(type, id)
      }
      if (busy !== null && this.#o.environment.clock.monotonicMs() - startedMs > drainMs) throw busy
      await this.#pause()
    }
  }

  /**
   * Puts events into the archive and removes them from the store; they are read back from there. The aggregate goes on.
   * @param upTo the last revision to be archived; what one command decided on stays together, so it may be less.
   *   Default: all
   * @throws CommanderError `unknown_aggregate`, `not_found`, `stream_deleted`, `invalid_config` without an archive,
   *   `invalid_input`, `archive_unavailable`, `archive_corrupt`
   */
  archive(type: string, id: string, upTo?: number): Promise<StreamView> {
    const key = aggregateKey(type, id)
    const before = this.#archiving.get(key) ?? Promise.resolve()
    const archiving = before.then(
      () => this.#archive(type, id, upTo),
      () => this.#archive(type, id, upTo),
    )
    this.#archiving.set(key, archiving)
    const end = (): void => {
      if (this.#archiving.get(key) === archiving) this.#archiving.delete(key)
    }
    archiving.then(end, end)
    return archiving
  }

  async #archive(type: string, id: string, upTo?: number): Promise<StreamView> {
    const key = aggregateKey(type, id)
    let life = await this.life(type, id)
    if (life.status === 'deleted') throw deleted(key)
    if (life.revision === 0) throw neverThere(key)
    if (this.#o.gateway.state.migrations.byType.has(type)) throw migrating(type)
    if (upTo !== undefined && upTo > life.revision) throw tooFar(key, upTo, life.revision)
    const most = upTo ?? life.revision
    let snapshot: StreamArchived['snapshot'] = await this.#archiver.snapshot(type, id)
    while (life.archivedUpTo < most) {
      const action = await this.#archiver.put(type, id, life.archivedUpTo + 1, most)
      if (action === null) break
      await this.#propose({ ...action, snapshot })
      snapshot = null
      life = await this.life(type, id)
      if (life.status === 'deleted') throw deleted(key)
    }
    return life
  }

  #busy(key: string, closedLsn: Lsn): CommanderError | null {
    const { commands } = this.#o.gateway.state
    const pending = pendingBefore(commands, key, closedLsn)
    if (pending === 0) return null
    const { blockedBy = 0 } = commands.byAggregate.get(key) ?? {}
    const advice =
      blockedBy === 0
        ? 'try again when they have ended'
        : `command ${blockedBy} is parked and blocks them: retry or skip it, and try again`
    return new CommanderError('stream_busy', `${pending} commands from before ${key} was closed are pending; ${advice}`)
  }

  /** @returns false when it took no effect because a command came in between */
  async #proposed(action: StreamAction): Promise<boolean> {
    try {
      await this.#propose(action)
      return true
    } catch (error) {
      if (isCommanderError(error) && error.code === 'stream_busy') return false
      throw error
    }
  }

  #propose(action: StreamAction): Promise<Lsn> {
    return new Promise((resolve, reject) => {
      const replier: Replier = {
        completed: (_request, { endLsn }) => resolve(endLsn),
        failed: (_request, error) => reject(error),
        flush: () => {},
      }
      this.#o.gateway.propose(replier, action)
    })
  }

  #stored(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#o.waiter.wait(undefined, readWaitMs, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#o.environment.scheduler.after(lookMs, resolve))
  }

  get #nowMs(): number {
    return this.#o.environment.clock.wallMs()
  }
}

const deleted = (key: string): CommanderError =>
  new CommanderError('stream_deleted', `${key} was deleted, and its id is not used again`)

const tooFar = (key: string, upTo: number, revision: number): CommanderError =>
  new CommanderError('invalid_input', `${key} is at revision ${revision}; revision ${upTo} is not there to be archived`)

const migrating = (type: string): CommanderError =>
  new CommanderError('stream_busy', `streams of ${type} are being migrated; finalise or abandon that first`)

const neverThere = (key: string): CommanderError =>
  new CommanderError('not_found', `${key} has no events and no pending commands; is the id right?`)
