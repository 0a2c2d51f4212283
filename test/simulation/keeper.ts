import { askApplier } from '../../src/ipc/applier-client.ts'
import type { StreamView } from '../../src/ipc/client-views.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { Workload } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { Model } from './model.ts'
import type { Observers } from './observers.ts'
import { type Bug, Visitor } from './visitor.ts'

/** What a keeper may be answered beside what everybody may. */
const answers = ['not_found', 'stream_busy', 'invalid_config', 'archive_conflict'] as const

/** An operator who closes, archives and deletes streams while clients are at work on them, and seals segments. */
export class Keeper {
  /** By what was asked for, how often it went well. */
  readonly counts: Record<string, number> = {}
  /** Every view of a stream that was answered. */
  readonly views: StreamView[] = []
  #isOver = false
  readonly #cluster: Cluster
  readonly #workload: Workload
  readonly #observers: Observers
  readonly #accounts: number
  readonly #bug: Bug

  constructor(cluster: Cluster, workload: Workload, observers: Observers, accounts: number, bug: Bug) {
    this.#cluster = cluster
    this.#workload = workload
    this.#observers = observers
    this.#accounts = accounts
    this.#bug = (what, error) => {
      if (!cluster.hasLostSince(0)) bug(what, error)
    }
  }

  start(): void {
    for (const name of ['keeper-1', 'keeper-2']) {
      const keeper = new Visitor(name, this.#cluster, this.#bug)
      keeper.start(() => this.#keep(keeper))
    }
  }

  stop(): void {
    this.#isOver = true
  }

  async #keep(keeper: Visitor): Promise<void> {
    const { random, archive } = this.#cluster.host
    const kinds = [
      ...['archive', 'archive', 'archive', 'close', 'delete', 'deleteParked', 'deleteParked', 'deleteParked'],
      ...(archive === null ? [] : ['archiveSegments']),
    ]
    while (!this.#isOver) {
      await keeper.pause(random.pick([20, 300]))
      const kind = random.pick(kinds)
      const isDone = await keeper.attempt(`${keeper.process.name}: ${kind}`, () => this.#do(keeper, kind), answers)
      if (isDone) this.counts[kind] = (this.counts[kind] ?? 0) + 1
    }
  }

  #do(keeper: Visitor, kind: string): Promise<void> {
    const { random } = this.#cluster.host
    const type = random.pick(['account', 'account', 'voucher'])
    const id = this.#workload.idOf(type, String(random.integer(1, this.#accounts)))
    switch (kind) {
      case 'archive':
        return this.#archive(keeper, type, id)
      case 'close':
        return this.#close(keeper, type, id)
      case 'delete':
        return this.#delete(keeper, type, id)
      case 'deleteParked':
        return this.#deleteParked(keeper)
      default:
        return this.#archiveSegments(keeper)
    }
  }

  async #archive({ database }: Visitor, type: string, id: string): Promise<void> {
    const { random } = this.#cluster.host
    const upTo = random.chance(0.5) ? random.integer(1, 5) : undefined
    const view = await database.archiveStream(type, id, upTo === undefined ? {} : { upTo })
    this.views.push(view)
    let next = 1
    while (next <= view.archivedUpTo) {
      const page = await database.stream(type, id, { from: next, limit: random.pick([3, 1000]) })
      for (const event of page.events) {
        if (event.revision !== next++)
          this.#bug(`revision ${event.revision} of ${type}/${id} follows ${next - 2}`, null)
        this.#observers.read.push({ what: `the keeper of ${type}/${id}`, event })
      }
      if (page.events.length > 0) continue
      // A store whose last commits went with the power goes back a little.
      const { archivedUpTo } = await database.streamLife(type, id)
      if (archivedUpTo >= view.archivedUpTo)
        this.#bug(`${type}/${id} is archived up to ${view.archivedUpTo}, and ends before ${next}`, null)
      return
    }
  }

  async #close({ database }: Visitor, type: string, id: string): Promise<void> {
    this.#workload.retire(type, id)
    const view = await database.closeStream(type, id)
    this.views.push(view)
    if (view.status === 'open') this.#bug(`${type}/${id} was closed and is open`, null)
  }

  async #delete({ database }: Visitor, type: string, id: string): Promise<void> {
    this.#workload.retire(type, id)
    const view = await database.deleteStream(type, id)
    this.views.push(view)
    if (view.status !== 'deleted') this.#bug(`${type}/${id} was deleted and is ${view.status}`, null)
    for (const read of [() => database.read(type, id), () => database.stream(type, id)]) {
      const found = await read().then(
        () => 'found',
        (error: unknown) => (isCommanderError(error) ? error.code : String(error)),
      )
      if (found !== 'found') continue
      // A store whose last commits went with the power goes back a little.
      const { status } = await database.streamLife(type, id)
      if (status === 'deleted') this.#bug(`${type}/${id} was deleted and can be read`, null)
    }
  }

  /** Puts a command of before the close back just when the stream is to go: whichever is first, no event may be lost. */
  async #deleteParked(keeper: Visitor): Promise<void> {
    const { database } = keeper
    const { random } = this.#cluster.host
    const parked = await database.commands('parked', 20)
    const chosen = parked.length === 0 ? null : random.pick(parked).aggregate
    if (chosen === null) return
    const { type, id } = chosen
    await this.#close(keeper, type, id)
    const here = parked.filter(({ aggregate }) => aggregate?.type === type && aggregate.id === id)
    // A deletion is drafted after about as long as it takes to look at the stream: the others come at that moment.
    const startedMs = this.#cluster.host.time.nowMs
    await database.streamLife(type, id)
    const tookMs = this.#cluster.host.time.nowMs - startedMs
    this.counts['retryAndDelete'] = (this.counts['retryAndDelete'] ?? 0) + 1
    await Promise.all([
      this.#delete(keeper, type, id),
      ...here.map(async (command) => {
        await keeper.pause(tookMs)
        await database.retryCommand(command.id)
      }),
    ])
  }

  /** As `journal archive` does. */
  async #archiveSegments({ process }: Visitor): Promise<void> {
    await askApplier(this.#cluster.host.transportOf(process), 'applier', { ask: 'archive' })
  }
}

/** What a keeper was told of a stream is what the journal says of it. */
export function checkView(view: StreamView, model: Model, violate: (what: string) => void): void {
  const { aggregate, closedLsn, deletedLsn, archivedUpTo } = view
  const { type, id } = aggregate
  const known = model.aggregate(`${type}/${id}`)
  const isSame =
    (closedLsn === null || closedLsn === known.closedLsn) &&
    (deletedLsn === null || deletedLsn === known.deletedLsn) &&
    archivedUpTo <= known.archivedUpTo
  if (isSame) return
  violate(
    `G1: ${type}/${id} was said to be closed by ${closedLsn}, deleted by ${deletedLsn}, archived up to ${archivedUpTo}; ` +
      `the journal has ${known.closedLsn}, ${known.deletedLsn}, ${known.archivedUpTo}`,
  )
}
