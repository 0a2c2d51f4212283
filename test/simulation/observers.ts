import type { ClientEvent } from '../../src/ipc/call-codec.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { Cluster } from './cluster.ts'
import { type Bug, Visitor } from './visitor.ts'

export interface StateRead {
  readonly key: string
  readonly revision: number
  readonly balance: number
}

/** Clients that send no commands: an operator, a reader of everything, a subscriber. */
export class Observers {
  /** Every event that a reader was shown, with who it was. */
  readonly read: { readonly what: string; readonly event: ClientEvent }[] = []
  readonly states: StateRead[] = []
  subscribed: ClientEvent[] = []
  #isOver = false
  #subscriber: Visitor | null = null
  readonly #cluster: Cluster
  readonly #accounts: number
  readonly #bug: Bug

  constructor(cluster: Cluster, accounts: number, bug: Bug) {
    this.#cluster = cluster
    this.#accounts = accounts
    this.#bug = bug
  }

  start(): void {
    const operator = new Visitor('operator', this.#cluster, this.#bug)
    operator.start(() => this.#operate(operator))
    const reader = new Visitor('reader', this.#cluster, this.#bug)
    reader.start(() => this.#readOn(reader))
    this.#subscribe()
  }

  /** The reader reads no more; the operator goes on, for somebody has to. */
  stop(): void {
    this.#isOver = true
  }

  /** What is behind this entry is lost: who went on from it would pass over what takes its place. */
  lost(endLsn: number): void {
    this.#subscriber?.process.kill('entries are lost')
    for (const event of this.subscribed) if (event.lsn > endLsn) this.read.push({ what: 'the subscriber', event })
    this.subscribed = this.subscribed.filter(({ lsn }) => lsn <= endLsn)
    this.#subscribe()
  }

  #subscribe(): void {
    const subscriber = new Visitor('subscriber', this.#cluster, this.#bug)
    this.#subscriber = subscriber
    const after = this.subscribed.at(-1)?.globalPosition ?? 0
    subscriber.start(async () => {
      for (;;) {
        const isLost = await subscriber.attempt('the subscriber', async () => {
          const from = this.subscribed.at(-1)?.globalPosition ?? after
          for await (const event of subscriber.database.subscribe({ after: from })) this.subscribed.push(event)
        })
        if (isLost) return
        await subscriber.pause(100)
      }
    })
  }

  async #operate(operator: Visitor): Promise<void> {
    const { random } = this.#cluster.host
    const { database } = operator
    for (;;) {
      await operator.pause(600)
      await operator.attempt('the operator', async () => {
        if (random.chance(0.1)) await database.rebuildProjection('balances')
        for (const { id } of await database.commands('parked', 10)) {
          if (random.chance(0.3)) await this.#retryOrSkip(operator, id)
          else await database.skipCommand(id)
        }
      })
    }
  }

  async #retryOrSkip({ database }: Visitor, id: string): Promise<void> {
    try {
      await database.retryCommand(id)
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'stream_deleted') throw error
      await database.skipCommand(id)
    }
  }

  async #readOn(reader: Visitor): Promise<void> {
    const { random } = this.#cluster.host
    const { database } = reader
    while (!this.#isOver) {
      await reader.pause(200)
      const type = random.pick(['account', 'account', 'voucher'])
      const id = String(random.integer(1, this.#accounts))
      const kind = random.pick(['events', 'stream', 'state'])
      await reader.attempt(`the reader of ${kind}`, async () => {
        if (kind === 'events') {
          for await (const event of database.events({ after: random.integer(0, 50) }))
            this.read.push({ what: 'events', event })
        } else if (kind === 'stream') {
          const { events } = await database.stream(type, id)
          for (const event of events) this.read.push({ what: `stream of ${type}/${id}`, event })
        } else {
          const { revision, state } = (await database.read(type, id)) as {
            revision: number
            state: { balance: number }
          }
          this.states.push({ key: `${type}/${id}`, revision, balance: state.balance })
        }
      })
    }
  }
}
