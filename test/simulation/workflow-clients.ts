import { SocketDatabase } from '../../src/client/socket-database.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { AnyAggregate } from '../../src/sdk/aggregate-types.ts'
import { readWorkflowRecord } from '../../src/tables/workflow-index.ts'
import type { SimulatedProcess } from '../../src/testing/simulated-process.ts'
import { workflowAggregate } from '../../src/workflows/workflow-aggregate.ts'
import { awakeablePlace } from '../../src/workflows/workflow-names.ts'
import type { FlowCluster } from './workflow-cluster.ts'
import { anySteps, flowsOf, type Step } from './workflow-code.ts'
import type { OutsideWorld } from './workflow-outside.ts'

type Answer = { readonly outcome: string; readonly code?: string }

const usualRejections: ReadonlySet<string> = new Set([
  'workflow_ended',
  'workflow_unknown',
  'workflow_conflict',
  'workflow_not_parked',
  'awakeable_unknown',
])

export interface ClientSettings {
  readonly workflows: number
  readonly stepsMost: number
  readonly thinkMs: number
}

/** Clients that start workflows, signal, cancel, retry and call back, each call until it has an answer. */
export class FlowClients {
  readonly ids: string[] = []
  readonly plans = new Map<string, readonly Step[]>()
  /** How the starts of each workflow were answered, with the input that each had. */
  readonly starts: { readonly id: string; readonly steps: readonly Step[]; readonly answer: Answer }[] = []
  #open = 0
  #calls = 0
  readonly #process: SimulatedProcess
  readonly #database: SocketDatabase
  readonly #cluster: FlowCluster
  readonly #outside: OutsideWorld
  readonly #settings: ClientSettings
  readonly #bug: (what: string, error: unknown) => void
  readonly #job: AnyAggregate

  constructor(
    cluster: FlowCluster,
    outside: OutsideWorld,
    settings: ClientSettings,
    bug: (what: string, error: unknown) => void,
  ) {
    this.#cluster = cluster
    this.#outside = outside
    this.#settings = settings
    this.#bug = bug
    const { host } = cluster
    this.#process = host.start('client', true)
    const transport = host.transportOf(this.#process)
    const { environment } = this.#process
    this.#database = new SocketDatabase({ environment, transport, addresses: ['gateway'], timeoutMs: 30_000 })
    const nowhere = { effect: () => null, undo: () => null, callback: () => {} }
    const [job] = flowsOf(nowhere).workflows
    this.#job = workflowAggregate(job as never)
  }

  get isDone(): boolean {
    return this.#open === 0 && this.ids.length === this.#settings.workflows
  }

  start(): void {
    const open = (): Promise<unknown> => this.#database.open().catch(() => this.#pause(50).then(open))
    void open().then(() => {
      for (let i = 1; i <= this.#settings.workflows; i++) this.#async(() => this.#live(`w${i}`))
    })
  }

  /** Helps what waits on: signals, callbacks, and a retry of what is parked. */
  help(id: string): void {
    this.#async(async () => {
      const record = readWorkflowRecord(this.#cluster.host.store.now(), `workflow:job/${id}`)
      if (record === null || record.endedAtMs !== null) return
      if (record.status === 'parked') await this.#call(id, 'retry', {})
      else for (const name of ['go', 'stop']) await this.#call(id, 'signal', { name, data: 'help' })
    })
  }

  callBack(): void {
    for (const id of [...this.#outside.callbacks]) {
      const place = awakeablePlace(id)
      if (place === null) continue
      this.#outside.callbacks.delete(id)
      const { workflow, operation } = place
      this.#async(() => this.#call(workflow.id, 'resolve', { operation, value: 'called back' }))
    }
  }

  async #live(id: string): Promise<void> {
    const { random } = this.#cluster.host
    await this.#pause(this.#settings.thinkMs * 3)
    const steps = anySteps(random, this.#settings.stepsMost)
    this.ids.push(id)
    this.plans.set(id, steps)
    const times = random.chance(0.3) ? 2 : 1
    for (let time = 0; time < times; time++) this.#async(() => this.#startOne(id, steps))
    if (random.chance(0.1)) this.#async(() => this.#startOne(id, [{ do: 'status' }, ...steps]))
    const signals = random.integer(0, 3)
    for (let i = 0; i < signals; i++) {
      await this.#pause(this.#settings.thinkMs * 4)
      const name = random.pick(['go', 'stop'])
      // With the same key: it is one signal, however often it is sent.
      const data = `${id} ${i}`
      for (let time = 0; time < random.pick([1, 1, 2]); time++)
        this.#async(() => this.#call(id, 'signal', { name, data }, `signal-${data}`))
    }
    if (random.chance(0.25)) {
      await this.#pause(this.#settings.thinkMs * 10)
      await this.#call(id, 'cancel', random.chance(0.2) ? { force: true } : {})
    }
  }

  async #startOne(id: string, steps: readonly Step[]): Promise<void> {
    await this.#pause(20)
    const answer = await this.#call(id, 'start', { input: { steps } })
    this.starts.push({ id, steps, answer })
  }

  async #call(id: string, command: string, data: object, key?: string): Promise<Answer> {
    const { time, trace } = this.#cluster.host
    const idempotencyKey = key ?? `call-${++this.#calls}`
    trace.note(time.nowMs, 'client', `${command} ${id} ${idempotencyKey}`)
    for (;;) {
      try {
        const answer = (await this.#database.execute(this.#job as never, id, command as never, data as never, {
          idempotencyKey,
        })) as Answer
        if (answer.outcome !== 'completed' && !usualRejections.has(answer.code ?? ''))
          this.#bug(`${command} of ${id} is ${JSON.stringify(answer)}`, null)
        return answer
      } catch (error) {
        if (isCommanderError(error) && usualRejections.has(error.code)) return { outcome: 'rejected', code: error.code }
        if (!isCommanderError(error) || !error.retryable) {
          this.#bug(`${command} of ${id}`, error)
          return { outcome: 'none' }
        }
        await this.#pause(50)
      }
    }
  }

  #async(run: () => Promise<unknown>): void {
    this.#open++
    void run().then(() => this.#open--)
  }

  #pause(mostMs: number): Promise<void> {
    const { random } = this.#cluster.host
    return new Promise((resolve) => this.#process.environment.scheduler.after(random.fraction() * mostMs, resolve))
  }
}
