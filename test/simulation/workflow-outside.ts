import { TerminalError } from '../../src/sdk/workflow-errors.ts'
import type { EffectContext } from '../../src/sdk/workflow-types.ts'
import type { FlowCluster, FlowProcess } from './workflow-cluster.ts'
import type { EffectPlan, Outside } from './workflow-code.ts'

/** An effect that was carried out, as the world outside the database saw it. */
export interface EffectCall {
  readonly key: string
  readonly attempt: number
  readonly process: string
  /** What the process had heard of by then. */
  readonly knownLsn: number
  /** What nothing could lose any more. */
  readonly flushedLsn: number
}

/** What effects did. Nothing of it is in the database. */
export class OutsideWorld {
  readonly calls: EffectCall[] = []
  /** Callbacks that somebody has been told of. */
  readonly callbacks = new Set<string>()
  /** Whose effects do well from now on, whatever was planned: a person has had a look. */
  isHealed = false
  flushedLsn = 0
  readonly #attempts = new Map<string, number>()
  readonly #cluster: FlowCluster

  constructor(cluster: FlowCluster) {
    this.#cluster = cluster
  }

  /** As one process reaches it. */
  of(process: FlowProcess): Outside {
    return {
      effect: (context, plan) => this.#effect(process, context, plan),
      undo: (context) => this.#called(process, context),
      callback: (id) => {
        this.callbacks.add(id)
        return null
      },
    }
  }

  #called({ process, state }: FlowProcess, { effectKey: key, attempt }: EffectContext): string {
    const { time, trace } = this.#cluster.host
    trace.note(time.nowMs, process.name, `carries out ${key}, attempt ${attempt}`)
    this.calls.push({ key, attempt, process: process.name, knownLsn: state()?.lsn ?? 0, flushedLsn: this.flushedLsn })
    return key
  }

  #effect(process: FlowProcess, context: EffectContext, plan: EffectPlan): unknown {
    const result = this.#called(process, context)
    const end = (): string => this.#end(process, context, plan, result)
    if (plan.slowMs === 0) return end()
    const { scheduler } = process.process.environment
    return new Promise((resolve, reject) => {
      scheduler.after(this.isHealed ? Math.min(plan.slowMs, 10) : plan.slowMs, () => {
        try {
          resolve(end())
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  }

  #end({ crash }: FlowProcess, { effectKey }: EffectContext, plan: EffectPlan, result: string): string {
    const attempts = (this.#attempts.get(effectKey) ?? 0) + 1
    this.#attempts.set(effectKey, attempts)
    if (this.isHealed) return result
    if (plan.ends === 'poison') crash()
    if (plan.ends === 'terminal') throw new TerminalError('not_possible', 'never')
    if (attempts <= plan.fails) {
      const error = new Error(`fails on purpose, ${attempts} of ${plan.fails}`)
      // The stack goes into the journal: a history must not depend on where the project lies.
      error.stack = `${error.name}: ${error.message}`
      throw error
    }
    return result
  }
}
