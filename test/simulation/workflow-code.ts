import { CommandRejected, defineAggregate, defineApplication, defineWorkflow } from '../../src/index.ts'
import type { Application } from '../../src/sdk/application.ts'
import { TerminalError } from '../../src/sdk/workflow-errors.ts'
import type { AnyWorkflow, EffectContext, WorkflowContext } from '../../src/sdk/workflow-types.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'

/** What a workflow of a simulated history does, one after the other. It is its input, so that its code is one for all. */
export type Step =
  | { readonly do: 'request'; readonly name: string; readonly effect: EffectPlan }
  | { readonly do: 'sleep' | 'sleepUntil'; readonly ms: number }
  | { readonly do: 'signal'; readonly name: string; readonly timeoutMs: number | null }
  | { readonly do: 'command'; readonly ledger: string; readonly isRejected: boolean }
  | { readonly do: 'child'; readonly id: string; readonly steps: readonly Step[]; readonly isCancelled: boolean }
  | { readonly do: 'callback' | 'status' | 'again' }
  | { readonly do: 'both' | 'race'; readonly left: readonly Step[]; readonly right: readonly Step[] }

export interface EffectPlan {
  /** So many attempts fail first. */
  readonly fails: number
  readonly ends: 'well' | 'terminal' | 'poison'
  /** 0: within the call, without a promise. */
  readonly slowMs: number
  readonly timeoutMs: number | null
  readonly retryDelayMs: number
  readonly onExhausted: 'park' | 'fail'
  readonly isUndone: boolean
}

export interface Input {
  readonly steps: readonly Step[]
}

/** What effects of workflows reach. */
export interface Outside {
  effect(context: EffectContext, plan: EffectPlan): unknown
  undo(context: EffectContext): unknown
  callback(id: string): void
}

export const ledger = defineAggregate({
  name: 'ledger',
  initialState: () => ({ bookings: 0 }),
  decide: {
    book: (data: { nonce: string; isRejected: boolean }) => {
      if (data.isRejected) throw new CommandRejected('not_wanted', 'no')
      return { type: 'booked', data: { nonce: data.nonce } }
    },
  },
  evolve: { booked: (state: { bookings: number }) => ({ bookings: state.bookings + 1 }) },
})

/** The application under test; `outside` is the world of the process that it runs in. */
export function flowsOf(outside: Outside): Application {
  const job: AnyWorkflow = defineWorkflow({
    name: 'job',
    run: async (context, input: Input) => {
      const run = new JobRun(context, outside, job)
      await run.steps(input.steps)
      return { steps: run.done }
    },
  })
  return defineApplication({ name: 'flows', aggregates: [ledger], workflows: [job] })
}

class JobRun {
  done = 0
  readonly #context: WorkflowContext
  readonly #outside: Outside
  readonly #job: AnyWorkflow
  #nonces = 0

  constructor(context: WorkflowContext, outside: Outside, job: AnyWorkflow) {
    this.#context = context
    this.#outside = outside
    this.#job = job
  }

  async steps(steps: readonly Step[]): Promise<void> {
    for (const [i, step] of steps.entries()) {
      try {
        await this.#step(step, steps.slice(i + 1))
      } catch (error) {
        // What failed for good is passed over; an interruption is not.
        if (!(error instanceof TerminalError) || error.code === 'cancelled') throw error
      }
      this.done++
    }
  }

  async #step(step: Step, rest: readonly Step[]): Promise<unknown> {
    const context = this.#context
    switch (step.do) {
      case 'request':
        return this.#request(step.name, step.effect)
      case 'sleep':
        return context.sleep(step.ms)
      case 'sleepUntil':
        return context.sleepUntil(new Date(context.now() + step.ms))
      case 'signal':
        return context.signal(step.name, step.timeoutMs === null ? {} : { timeoutMs: step.timeoutMs })
      case 'command': {
        const { id, run } = context.workflow
        const nonce = `${id}/${run}/${++this.#nonces}`
        return context.command(ledger, step.ledger, 'book', { nonce, isRejected: step.isRejected })
      }
      case 'child': {
        const id = `${context.workflow.id}.${context.workflow.run}.${step.id}`
        const child = await context.startChild(this.#job, id, { steps: step.steps } as never)
        if (step.isCancelled) await child.cancel('not wanted any more')
        return child.result()
      }
      case 'callback': {
        const { id, value } = context.awakeable()
        await context.request('tell', () => this.#outside.callback(id))
        return value
      }
      case 'both':
        return context.all([this.steps(step.left), this.steps(step.right)])
      case 'race':
        return context.race([this.steps(step.left), this.steps(step.right)])
      case 'status':
        return context.setStatus({ now: context.now(), random: context.random(), done: this.done })
      default:
        return context.continueAsNew({ steps: rest })
    }
  }

  #request(name: string, effect: EffectPlan): Promise<unknown> {
    const { timeoutMs, retryDelayMs, onExhausted, isUndone } = effect
    return this.#context.request(name, (context) => this.#outside.effect(context, effect), {
      retry: { maxAttempts: 3, initialDelayMs: retryDelayMs, maxDelayMs: Math.max(retryDelayMs, 50), onExhausted },
      ...(timeoutMs === null ? {} : { timeoutMs }),
      ...(isUndone ? { compensate: (_, context) => this.#outside.undo(context) } : {}),
    })
  }
}

/** Steps by chance; deeper ones are fewer. */
export function anySteps(random: SeededRandom, most: number, depth = 0): Step[] {
  const count = random.integer(depth === 0 ? 1 : 0, most)
  return Array.from({ length: count }, () => anyStep(random, depth))
}

const kinds = [
  ...(['request', 'request', 'request', 'request', 'request', 'sleep', 'sleep', 'sleepUntil'] as const),
  ...(['signal', 'command', 'command', 'callback', 'status', 'again', 'child', 'both', 'race'] as const),
]

function anyStep(random: SeededRandom, depth: number): Step {
  const kind = random.pick(kinds)
  switch (kind) {
    case 'sleep':
    case 'sleepUntil':
      return { do: kind, ms: random.pick([0, 3, 40, 300, 2_000]) * random.fraction() }
    case 'signal':
      return { do: kind, name: random.pick(['go', 'stop']), timeoutMs: random.pick([null, null, 5, 200]) }
    case 'command':
      return { do: kind, ledger: String(random.integer(1, 3)), isRejected: random.chance(0.2) }
    case 'child':
      if (depth > 1) return { do: 'status' }
      return {
        do: kind,
        id: random.pick(['x', 'y']),
        steps: anySteps(random, 3, depth + 1),
        isCancelled: random.chance(0.2),
      }
    case 'both':
    case 'race':
      if (depth > 1) return { do: 'status' }
      return { do: kind, left: anySteps(random, 3, depth + 1), right: anySteps(random, 3, depth + 1) }
    case 'again':
      return depth > 0 ? { do: 'status' } : { do: 'again' }
    case 'request':
      return { do: kind, name: random.pick(['pay', 'ship']), effect: anyEffect(random) }
    default:
      return { do: kind }
  }
}

const anyEffect = (random: SeededRandom): EffectPlan => ({
  fails: random.pick([0, 0, 0, 0, 1, 2, 3]),
  ends: random.pick([...new Array<'well'>(14).fill('well'), 'terminal', 'poison']),
  slowMs: random.pick([0, 0, 1, 20, 1_500]) * random.fraction(),
  timeoutMs: random.pick([null, null, null, 50]),
  retryDelayMs: random.pick([0, 5, 5, 6_000]),
  onExhausted: random.pick(['park', 'park', 'fail']),
  isUndone: random.chance(0.3),
})
