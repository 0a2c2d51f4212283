import { SocketDatabase } from '../../src/client/socket-database.ts'
import type { ClientEvent } from '../../src/ipc/call-codec.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { SimulatedProcess } from '../../src/testing/simulated-process.ts'
import type { Cluster } from './cluster.ts'

type Bug = (what: string, error: unknown) => void

interface StateRead {
  readonly key: string
  readonly revision: number
  readonly balance: number
}

/** Clients that send no commands: an operator, a reader of everything, a subscriber. */
export class Observers {
  /** Every event that a reader was shown, with who it was. */
  readonly read: { readonly what: string; readonly event: ClientEvent }[] = []
  readonly states: StateRead[] = []
  readonly subscribed: ClientEvent[] = []
  #isOver = false
  readonly #cluster: Cluster
  readonly #accounts: number
  readonly #bug: Bug

  constructor(cluster: Cluster, accounts: number, bug: Bug) {
    this.#cluster = cluster
    this.#accounts = accounts
    this.#bug = bug
  }

  start(): void {
    this.#client('operator', (process, database) => this.#operate(process, database))
    this.#client('reader', (process, database) => this.#readOn(process, database))
    this.#client('subscriber', async (_process, database) => {
      for await (const event of database.subscribe()) this.subscribed.push(event)
    })
  }

  /** The reader reads no more; the operator goes on, for somebody has to. */
  stop(): void {
    this.#isOver = true
  }

  #client(name: string, run: (process: SimulatedProcess, database: SocketDatabase) => Promise<void>): void {
    const process = this.#cluster.host.start(name, true)
    const transport = this.#cluster.host.transportOf(process)
    const { environment } = process
    const database = new SocketDatabase({ environment, transport, address: 'gateway', timeoutMs: 5_000 })
    const open = async (): Promise<void> => {
      for (;;) {
        try {
          await database.open()
          break
        } catch {
          await this.#pause(process, 100)
        }
      }
      await run(process, database)
    }
    open().catch((error: unknown) => this.#bug(name, error))
  }

  #pause(process: SimulatedProcess, mostMs: number): Promise<void> {
    const { random } = this.#cluster.host
    return new Promise((resolve) => process.environment.scheduler.after(random.fraction() * mostMs, resolve))
  }

  async #operate(process: SimulatedProcess, database: SocketDatabase): Promise<void> {
    const { random } = this.#cluster.host
    for (;;) {
      await this.#pause(process, 600)
      await this.#attempt('the operator', async () => {
        if (random.chance(0.1)) await database.rebuildProjection('balances')
        for (const { id } of await database.commands('parked', 10)) {
          if (random.chance(0.3)) await database.retryCommand(id)
          else await database.skipCommand(id)
        }
      })
    }
  }

  async #readOn(process: SimulatedProcess, database: SocketDatabase): Promise<void> {
    const { random } = this.#cluster.host
    while (!this.#isOver) {
      await this.#pause(process, 200)
      const type = random.pick(['account', 'account', 'voucher'])
      const id = String(random.integer(1, this.#accounts))
      const kind = random.pick(['events', 'stream', 'state'])
      await this.#attempt(`the reader of ${kind}`, async () => {
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

  async #attempt(who: string, run: () => Promise<void>): Promise<void> {
    const usual = [
      'timeout',
      'connection_lost',
      'not_ready',
      'no_database',
      'overloaded',
      'journal_full',
      'invalid_input',
    ]
    try {
      await run()
    } catch (error) {
      if (!isCommanderError(error) || !usual.includes(error.code)) this.#bug(who, error)
    }
  }
}
