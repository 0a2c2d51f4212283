import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { entryFlags, flagsOf, keyOf } from '../actions/entry-layout.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { endOf, unknownWorkflow } from '../workflows/workflow-end.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import type { WorkflowEnd } from '../workflows/workflow-view.ts'
import type { CallOutcome } from './call.ts'
import { httpLimits } from './http-limits.ts'
import { answerOutcome, outcomeOf } from './http-outcome.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'
import type { WaitedFor } from './http-workflow-waits.ts'

export interface WorkflowQuestion {
  readonly name: string
  readonly id: string
  /** Only how far it is, and how it ended. */
  readonly isMinimal: boolean
  /** Status of the answer while the workflow has not ended. */
  readonly runningStatus: 200 | 202
}

/** Answers about one workflow: by what its ending entry says, or as the store has it. */
export class WorkflowAnswers {
  readonly #context: HttpContext

  constructor(context: HttpContext) {
    this.#context = context
  }

  /** @param came null when nobody waited, or the time was over */
  answer(exchange: HttpExchange, question: WorkflowQuestion, came: WaitedFor): void {
    const { name, id, isMinimal, runningStatus } = question
    if (came === null) return this.#read(exchange, question, undefined)
    if (isCommanderError(came)) {
      if (came.code !== 'workflow_parked') return exchange.fail(came)
      if (!isMinimal) return this.#read(exchange, question, undefined)
      return exchange.json(runningStatus, { name, id, status: 'parked', result: null, error: came.details })
    }
    const end = endIn(came)
    if (end === null) answerOutcome(exchange, outcomeOf(this.#context.gateway, came), {}, true)
    else if (isMinimal) exchange.json(200, end)
    else this.#read(exchange, question, came.endLsn)
  }

  /** Once the store has applied `lsn`; undefined: all that anybody here was told is done. */
  #read(exchange: HttpExchange, question: WorkflowQuestion, lsn: number | undefined): void {
    const { gateway, queries, waiter, workflows } = this.#context
    const { name, id, isMinimal, runningStatus } = question
    const asOf = gateway.state.lsn
    const start = queries.pendingStart(`${workflowType(name)}/${id}`)
    const read = async (): Promise<void> => {
      const known = isMinimal ? workflows.record(name, id) : await workflows.view(name, id)
      exchange.json(known.endedAt === null ? runningStatus : 200, known, runningStatus === 202 ? at(name, id) : {})
    }
    const failed = (failure: unknown): void => {
      if (!isCommanderError(failure) || failure.code !== 'workflow_unknown') return exchange.fail(failure)
      if (start !== null && runningStatus === 202) return this.pending(exchange, name, id, start.command)
      if (start !== null) return exchange.fail(unknownWorkflow(name, id, start))
      // It may have been started by now, and not be in the store yet.
      if (lsn === undefined && gateway.marks.applied < asOf) this.#read(exchange, question, asOf)
      else exchange.fail(failure)
    }
    waiter.wait(lsn, httpLimits.readWaitMs, (error) => {
      if (error === null) read().catch(failed)
      else exchange.fail(error)
    })
  }

  /** It will be started by this command. */
  pending(exchange: HttpExchange, name: string, id: string, command: string): void {
    exchange.json(202, { name, id, status: 'pending', command }, at(name, id))
  }
}

const at = (name: string, id: string): Record<string, string> => ({
  location: `/v1/workflows/${encodeURIComponent(name)}/${encodeURIComponent(id)}`,
})

/** null: the entry ends no workflow. */
function endIn({ entry, offset }: CallOutcome): WorkflowEnd | null {
  if (entry === null || (flagsOf(entry, offset) & entryFlags.ends) === 0) return null
  return endOf(parseAggregateKey(keyOf(entry, offset)), eventsOf(entry, offset))
}
