import type { Environment } from '../kernel/environment.ts'
import { pendingStartIn } from '../workflows/workflow-end.ts'
import type { WorkflowEnd, WorkflowSummary, WorkflowView } from '../workflows/workflow-view.ts'
import { bodyOrError } from './http-answers.ts'
import { type HttpCalls, waitMsMax } from './http-calls.ts'
import { bodyOf, keyHeader, query, queueingHeaders, segment } from './http-names.ts'
import { notEnded } from './workflow-client.ts'
import type { WorkflowStartOptions, WorkflowsOptions, WorkflowWaitOptions } from './workflow-options.ts'

/** What a client over HTTP asks about workflows. */
export class HttpWorkflows {
  readonly #calls: HttpCalls
  readonly #environment: Environment
  readonly #timeoutMs: number

  constructor(calls: HttpCalls, environment: Environment, timeoutMs: number) {
    this.#calls = calls
    this.#environment = environment
    this.#timeoutMs = timeoutMs
  }

  async run(
    name: string,
    id: string,
    input: unknown,
    { idempotencyKey, timeoutMs = this.#timeoutMs, ...queueing }: WorkflowStartOptions & WorkflowWaitOptions,
  ): Promise<WorkflowEnd> {
    const endsAtMs = this.#environment.clock.monotonicMs() + timeoutMs
    const waitMs = Math.min(timeoutMs, waitMsMax)
    const headers = {
      'content-type': 'application/json',
      prefer: `wait=${Math.floor(waitMs / 1000)}, return=minimal`,
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': keyHeader(idempotencyKey) }),
      ...queueingHeaders(queueing),
    }
    const came = await this.#calls.call({
      method: 'POST',
      path: pathOf(name, id),
      headers,
      body: bodyOf(input ?? null),
      timeoutMs: this.#timeoutMs + waitMs,
      repeat: 'always',
      take: bodyOrError,
    })
    return isEnd(came) ? came : this.#end(name, id, endsAtMs, timeoutMs)
  }

  end(name: string, id: string, { timeoutMs = this.#timeoutMs }: WorkflowWaitOptions): Promise<WorkflowEnd> {
    return this.#end(name, id, this.#environment.clock.monotonicMs() + timeoutMs, timeoutMs)
  }

  view(name: string, id: string): Promise<WorkflowView> {
    return this.#get(pathOf(name, id), this.#timeoutMs, false) as Promise<WorkflowView>
  }

  status(name: string, id: string): Promise<WorkflowSummary> {
    return this.#get(pathOf(name, id), this.#timeoutMs, true) as Promise<WorkflowSummary>
  }

  async list({ name, status, limit, after, waiting }: WorkflowsOptions): Promise<readonly WorkflowSummary[]> {
    const asked = query({ status, limit, after, waiting: waiting === undefined ? undefined : String(waiting) })
    const path = `/v1/workflows${name === undefined ? '' : `/${segment('workflow', name)}`}${asked}`
    const { workflows } = (await this.#get(path, this.#timeoutMs, false)) as { readonly workflows: WorkflowSummary[] }
    return workflows
  }

  async #end(name: string, id: string, endsAtMs: number, timeoutMs: number): Promise<WorkflowEnd> {
    const { clock } = this.#environment
    for (;;) {
      const leftMs = endsAtMs - clock.monotonicMs()
      if (leftMs <= 0) throw notEnded(name, id, timeoutMs)
      const wait = Math.min(leftMs, waitMsMax) / 1000
      const path = `${pathOf(name, id)}${query({ wait })}`
      const came = await this.#get(path, this.#timeoutMs + wait * 1000, true).catch(unlessPending)
      if (isEnd(came)) return came
    }
  }

  #get(path: string, timeoutMs: number, isMinimal: boolean): Promise<unknown> {
    const headers: Readonly<Record<string, string>> = isMinimal ? { prefer: 'return=minimal' } : {}
    return this.#calls.call({ method: 'GET', path, headers, timeoutMs, repeat: 'always', take: bodyOrError })
  }
}

const pathOf = (name: string, id: string): string => `/v1/workflows/${segment('workflow', name)}/${segment('id', id)}`

/** That it is not started yet is no failure. */
function unlessPending(error: unknown): null {
  if (pendingStartIn(error) === null) throw error
  return null
}

/** What says only how far it is has no result. */
const isEnd = (came: unknown): came is WorkflowEnd => typeof came === 'object' && came !== null && 'result' in came
