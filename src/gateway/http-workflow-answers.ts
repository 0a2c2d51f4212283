import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { entryFlags, flagsOf, keyOf } from '../actions/entry-layout.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { endOf } from '../workflows/workflow-end.ts'
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
  #read(
    exchange: HttpExchange,
    { name, id, isMinimal, runningStatus }: WorkflowQuestion,
    lsn: number | undefined,
  ): void {
    const { waiter, workflows } = this.#context
    const read = async (): Promise<void> => {
      const known = isMinimal ? workflows.record(name, id) : await workflows.view(name, id)
      const headers = { location: `/v1/workflows/${encodeURIComponent(name)}/${encodeURIComponent(id)}` }
      exchange.json(known.endedAt === null ? runningStatus : 200, known, runningStatus === 202 ? headers : {})
    }
    waiter.wait(lsn, httpLimits.readWaitMs, (error) => {
      if (error !== null) exchange.fail(error)
      else read().catch((failure: unknown) => exchange.fail(failure))
    })
  }
}

/** null: the entry ends no workflow. */
function endIn({ entry, offset }: CallOutcome): WorkflowEnd | null {
  if (entry === null || (flagsOf(entry, offset) & entryFlags.ends) === 0) return null
  return endOf(parseAggregateKey(keyOf(entry, offset)), eventsOf(entry, offset))
}
