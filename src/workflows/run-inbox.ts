import type { WorkflowEvent } from './workflow-events.ts'

/** What came to a run and was not taken by its code: signals that nobody waited for yet, interruptions after its end. */
export class RunInbox {
  /** By name, in the order in which they came. */
  readonly #signals = new Map<string, unknown[]>()
  readonly #missed: WorkflowEvent[] = []

  keep(name: string, data: unknown): void {
    const came = this.#signals.get(name)
    if (came === undefined) this.#signals.set(name, [data])
    else came.push(data)
  }

  /** The oldest signal of a name. */
  take(name: string): { readonly data: unknown } | null {
    const came = this.#signals.get(name)
    return came === undefined || came.length === 0 ? null : { data: came.shift() }
  }

  /** The code had ended before it could hear of it. */
  miss(event: WorkflowEvent): void {
    this.#missed.push(event)
  }

  /** For the run that comes after this one: what was acknowledged is not lost with the run. */
  leftOver(atMs: number): WorkflowEvent[] {
    const signals = [...this.#signals].flatMap(([name, came]) =>
      came.map((data): WorkflowEvent => ({ type: 'signal/received', data: { name, data, atMs } })),
    )
    return [...signals, ...this.#missed.map((event) => ({ ...event, data: { ...event.data, atMs } }) as WorkflowEvent)]
  }
}
