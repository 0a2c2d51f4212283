import { SocketDatabase } from '../../src/client/socket-database.ts'
import type { ClientOutcome } from '../../src/client.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { SimulatedProcess } from '../../src/testing/simulated-process.ts'
import type { Movement } from './bank.ts'
import type { Cluster } from './cluster.ts'

export interface Call {
  readonly number: number
  readonly client: string
  readonly aggregate: 'account' | 'voucher'
  readonly id: string
  readonly command: string
  readonly data: Movement
  readonly key: string | null
  readonly wait: 'received' | 'completed' | 'applied'
  readonly durability: 'written' | 'flushed'
  readonly expectedRevision: number | null
  readonly startedMs: number
  /** The client that made it is gone: nobody waits for the answer. */
  isAbandoned: boolean
  outcome: ClientOutcome | null
  errorCode: string | null
  error: unknown
  /** When it was made, in power failures. */
  readonly powerEpoch: number
}

export interface WorkloadSettings {
  readonly clients: number
  readonly workers: number
  readonly callsPerClient: number
  readonly thinkMs: number
  readonly accounts: number
  readonly padding: number
  /** How many of the calls have an idempotency key, and how many repeat one. */
  readonly keyed: number
  readonly repeated: number
  readonly timeoutMs: number
  /** Many commands fail until they are parked. */
  readonly isStubborn: boolean
}

interface Client {
  readonly name: string
  readonly process: SimulatedProcess
  readonly database: SocketDatabase
  readonly budget: { left: number }
}

/** Clients that send commands and write down every answer. */
export class Workload {
  readonly calls: Call[] = []
  powerEpoch = 0
  /** Told of each call before it is made. */
  calling: (count: number) => void = () => {}
  readonly #cluster: Cluster
  readonly #settings: WorkloadSettings
  readonly #bug: (what: string, error: unknown) => void
  readonly #clients = new Map<string, Client>()
  readonly #budgets: { left: number }[] = []
  /** By key, how many streams of that id came before: the one in use has another id since. */
  readonly #retired = new Map<string, number>()
  #number = 0
  #incarnations = 0

  constructor(cluster: Cluster, settings: WorkloadSettings, bug: (what: string, error: unknown) => void) {
    this.#cluster = cluster
    this.#settings = settings
    this.#bug = bug
  }

  /** Mostly clients go on with another stream from now on. */
  retire(type: string, id: string): void {
    const [name, generation = '0'] = id.split('.')
    const key = `${type}/${name}`
    this.#retired.set(key, Math.max(this.#retired.get(key) ?? 0, Number(generation) + 1))
  }

  /** The id of the stream that is in use, or, now and then, of one that was. */
  idOf(type: string, name: string): string {
    const generations = this.#retired.get(`${type}/${name}`)
    if (generations === undefined) return name
    const { random } = this.#cluster.host
    const generation = random.chance(0.2) ? random.integer(0, generations) : generations
    return generation === 0 ? name : `${name}.${generation}`
  }

  /** Everything was called, and everything has its answer. */
  get isDone(): boolean {
    return this.#budgets.every(({ left }) => left === 0) && this.unanswered === 0
  }

  /** Calls that all clients together will make. */
  get planned(): number {
    return this.#settings.clients * this.#settings.callsPerClient
  }

  get unanswered(): number {
    return this.calls.filter(isOpen).length
  }

  get clientNames(): string[] {
    return [...this.#clients.keys()]
  }

  start(): void {
    for (let client = 1; client <= this.#settings.clients; client++) {
      const budget = { left: this.#settings.callsPerClient }
      this.#budgets.push(budget)
      this.#startClient(`client-${client}`, budget)
    }
  }

  /** The client dies without a word, and another one goes on with what it had to do. */
  crashClient(name: string): void {
    const client = this.#clients.get(name)
    if (client === undefined) return
    this.#clients.delete(name)
    for (const call of this.calls) if (call.client === name && isOpen(call)) call.isAbandoned = true
    client.process.kill('killed')
    this.#startClient(`${name.split('.')[0]}.${++this.#incarnations}`, client.budget)
  }

  client(name: string): Client {
    return this.#clients.get(name) as Client
  }

  /** No more calls: those under way get their answers. */
  stop(): void {
    for (const budget of this.#budgets) budget.left = 0
  }

  #startClient(name: string, budget: { left: number }): void {
    const { host } = this.#cluster
    const process = host.start(name, true)
    const database = new SocketDatabase({
      environment: process.environment,
      transport: host.transportOf(process),
      addresses: ['gateway'],
      timeoutMs: this.#settings.timeoutMs,
    })
    const client = { name, process, database, budget }
    this.#clients.set(name, client)
    const opened = this.#open(client)
    for (let worker = 0; worker < this.#settings.workers; worker++) void this.#work(client, opened)
  }

  async #open({ process, database }: Client): Promise<void> {
    for (;;) {
      try {
        await database.open()
        return
      } catch (error) {
        if (!process.isAlive) return
        if (
          !isCommanderError(error) ||
          (error.code !== 'no_database' && error.code !== 'timeout' && error.code !== 'connection_lost')
        ) {
          this.#bug('a client cannot connect', error)
          return
        }
        await this.#pause(process, 50)
      }
    }
  }

  #pause(process: SimulatedProcess, mostMs: number): Promise<void> {
    const { random } = this.#cluster.host
    return new Promise((resolve) => process.environment.scheduler.after(random.fraction() * mostMs, resolve))
  }

  /** The promises of a client that died never go on. */
  async #work({ name, process, database, budget }: Client, opened: Promise<void>): Promise<void> {
    await opened
    while (budget.left > 0 && process.isAlive) {
      budget.left--
      const call = this.#make(name)
      this.calls.push(call)
      this.calling(this.calls.length)
      await this.#execute(database, call)
      await this.#pause(process, this.#settings.thinkMs)
    }
  }

  #make(client: string): Call {
    const { random, time } = this.#cluster.host
    const { accounts, padding, keyed, repeated, isStubborn } = this.#settings
    const number = ++this.#number
    const earlier = random.chance(repeated) ? this.calls.filter(({ key }) => key !== null) : []
    const recent = random.chance(0.5) ? earlier.slice(-4) : earlier
    const again = recent.length === 0 ? null : random.pick(recent)
    const isSame = again !== null && random.chance(0.7)
    const command = random.pick([
      'deposit',
      'deposit',
      'deposit',
      'withdraw',
      'withdraw',
      'withdraw',
      'adjust',
      'look',
      'flaky',
    ])
    const rare = random.chance(0.02) ? 'poison' : command
    const own: Movement = {
      amount: random.integer(1, 100),
      nonce: `n${number}`,
      ...(padding === 0 ? {} : { padding: 'x'.repeat(random.integer(0, padding)) }),
    }
    const aggregate = random.chance(0.7) ? ('account' as const) : ('voucher' as const)
    const fresh = {
      aggregate,
      id: this.idOf(aggregate, String(random.integer(1, accounts))),
      command: rare,
      data: own,
    }
    const what = isSame ? { aggregate: again.aggregate, id: again.id, command: again.command, data: again.data } : fresh
    if (!isSame && rare === 'flaky')
      this.#cluster.failuresLeft.set(own.nonce, random.pick(isStubborn ? [0, 1, 10, 10, 10, 10] : [0, 1, 1, 2, 3, 10]))
    return {
      number,
      client,
      ...what,
      key: again?.key ?? (random.chance(keyed) ? `key-${number}` : null),
      wait: random.pick(['completed', 'completed', 'completed', 'received', 'applied']),
      durability: random.chance(0.15) ? 'written' : 'flushed',
      expectedRevision: random.chance(0.08) ? random.integer(0, 6) : null,
      startedMs: time.nowMs,
      isAbandoned: false,
      outcome: null,
      errorCode: null,
      error: null,
      powerEpoch: this.powerEpoch,
    }
  }

  /** Read your writes: with the answer's LSN a read sees at least what the answer says. */
  async #readBack(
    database: SocketDatabase,
    call: Call,
    outcome: Extract<ClientOutcome, { outcome: 'completed' }>,
  ): Promise<void> {
    try {
      const { revision } = (await database.read(call.aggregate, call.id, { minLsn: outcome.lsn })) as {
        revision: number
      }
      const answered = outcome.events.at(-1)?.revision ?? 0
      if (revision < answered && !this.#cluster.hasLostSince(call.startedMs))
        this.#bug(`call #${call.number} was answered revision ${answered} and reads ${revision}`, null)
    } catch (error) {
      const usual = ['connection_lost', 'not_ready', 'stream_deleted', 'archive_unavailable']
      if (this.#cluster.hasLostSince(call.startedMs)) usual.push('timeout')
      if (!isCommanderError(error) || !usual.includes(error.code)) this.#bug('a client cannot read', error)
    }
  }

  async #execute(database: SocketDatabase, call: Call): Promise<void> {
    const { trace, time, random } = this.#cluster.host
    trace.note(
      time.nowMs,
      call.client,
      `calls #${call.number} ${call.command} ${call.aggregate}/${call.id} ${call.data.nonce} ${call.key} ${call.wait} ${call.durability} ${call.expectedRevision}`,
    )
    const aggregate = this.#cluster.clientApplication.aggregates.find(({ name }) => name === call.aggregate)
    try {
      const outcome = (await database.execute(aggregate as never, call.id, call.command as never, call.data as never, {
        wait: call.wait,
        durability: call.durability,
        ...(call.key === null ? {} : { idempotencyKey: call.key }),
        ...(call.expectedRevision === null ? {} : { expectedRevision: call.expectedRevision }),
      })) as ClientOutcome
      if (call.isAbandoned) return
      call.outcome = outcome
      if (outcome.outcome === 'completed' && outcome.durability !== 'written' && random.chance(0.2))
        await this.#readBack(database, call, outcome)
      trace.note(time.nowMs, call.client, `answer #${call.number} ${JSON.stringify(outcome)}`)
    } catch (error) {
      if (call.isAbandoned) return
      call.error = error
      call.errorCode = isCommanderError(error) ? error.code : 'none'
      trace.note(time.nowMs, call.client, `error #${call.number} ${call.errorCode} ${String(error)}`)
    }
  }
}

const isOpen = ({ isAbandoned, outcome, errorCode }: Call): boolean =>
  !isAbandoned && outcome === null && errorCode === null
