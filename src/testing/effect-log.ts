import type { Application } from '../sdk/application.ts'
import type { AnyWorkflow, Effect, EffectContext, RequestOptions, WorkflowContext } from '../sdk/workflow-types.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/** One call of an effect of a workflow's request, or of its compensation. */
export interface EffectCall {
  /** Name and id of the workflow: `order/17`. */
  readonly workflow: string
  /** As in the history: `request/charge#1`, `compensation/charge#1`. */
  readonly operation: string
  readonly attempt: number
  readonly effectKey: string
  /** When it began, by the database's clock, in milliseconds since 1970. */
  readonly atMs: number
  /** lost: its process died under it. */
  outcome: 'running' | 'completed' | 'failed' | 'lost'
}

/** Places in an effect's life at which the process may die. */
export type EffectPlace = 'before' | 'during' | 'after'

export interface EffectLogOptions {
  readonly wallMs: () => number
  /** The process that the application's code runs in now. */
  readonly processOf: (application: Application) => SimulatedProcess | null
  /** May kill the process. */
  readonly reached: (call: EffectCall, place: EffectPlace) => void
}

interface Running {
  readonly call: EffectCall
  readonly process: SimulatedProcess | null
  readonly settled: Promise<void>
  /** Nobody has waited for it in real time yet. */
  isFresh: boolean
}

/** What a dead process waits for. */
const never = new Promise<never>(() => {})

/** Sees every effect of the applications' workflows, and knows which of them are running. */
export class EffectLog {
  readonly calls: EffectCall[] = []
  readonly #o: EffectLogOptions
  readonly #running = new Set<Running>()

  constructor(options: EffectLogOptions) {
    this.#o = options
  }

  /** The same application, seen. */
  observed(application: Application): Application {
    const workflows = application.workflows.map((workflow) => this.#observedWorkflow(application, workflow))
    return Object.freeze({ ...application, workflows })
  }

  /** Effects that have begun and whose promises did not settle at once: they wait for something in real time. */
  get fresh(): readonly Promise<void>[] {
    return [...this.#running].filter(({ isFresh }) => isFresh).map(({ settled }) => settled)
  }

  /** They have been waited for: virtual time goes on without them. */
  waited(): void {
    for (const running of this.#running) running.isFresh = false
  }

  killed(process: SimulatedProcess): void {
    for (const running of this.#running) {
      if (running.process !== process) continue
      running.call.outcome = 'lost'
      this.#running.delete(running)
    }
  }

  #observedWorkflow(application: Application, workflow: AnyWorkflow): AnyWorkflow {
    const run: AnyWorkflow['run'] = (context, input) => workflow.run(this.#observedContext(application, context), input)
    return Object.freeze({ ...workflow, run })
  }

  #observedContext(application: Application, context: WorkflowContext): WorkflowContext {
    const { name, id, run } = context.workflow
    const observe = <Result>(effect: Effect<Result>): Effect<Result> => {
      return (effectContext) => {
        const { effectKey } = effectContext
        // The first part says the database.
        const operation = effectKey.slice(effectKey.indexOf('/') + `/${name}/${id}/${run}/`.length)
        return this.#call(application, `${name}/${id}`, operation, effectContext, () => effect(effectContext))
      }
    }
    const request = <Result>(
      requestName: string,
      effect: Effect<Result>,
      options?: RequestOptions<Result>,
    ): Promise<Result> => {
      if (typeof effect !== 'function') return context.request(requestName, effect, options)
      const compensate = options?.compensate
      if (compensate === undefined) return context.request(requestName, observe(effect), options)
      const undo = (result: Result, undoContext: EffectContext): unknown =>
        observe((effectContext) => compensate(result, effectContext))(undoContext)
      return context.request(requestName, observe(effect), { ...options, compensate: undo })
    }
    return new Proxy(context, {
      get(target, property) {
        if (property === 'request') return request
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  async #call<Result>(
    application: Application,
    workflow: string,
    operation: string,
    { attempt, effectKey }: EffectContext,
    effect: () => Result | Promise<Result>,
  ): Promise<Result> {
    const process = this.#o.processOf(application)
    const call: EffectCall = { workflow, operation, attempt, effectKey, atMs: this.#o.wallMs(), outcome: 'running' }
    const reached = (place: EffectPlace): boolean => {
      this.#o.reached(call, place)
      return process?.isAlive !== false
    }
    if (!reached('before')) return never
    this.calls.push(call)
    const ended = Promise.withResolvers<void>()
    const running: Running = { call, process, settled: ended.promise, isFresh: true }
    this.#running.add(running)
    const end = (outcome: EffectCall['outcome']): void => {
      if (this.#running.delete(running)) call.outcome = outcome
      ended.resolve()
    }
    try {
      const result = effect()
      if (!reached('during')) return never
      const value = await result
      if (!reached('after')) return never
      end('completed')
      return value
    } catch (error) {
      end('failed')
      throw error
    } finally {
      ended.resolve()
    }
  }
}
