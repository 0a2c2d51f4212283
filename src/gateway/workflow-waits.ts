import type { Call, Replier } from './call.ts'

const nobody: readonly Call[] = []

/** Calls that wait for workflows to end: by workflow, and by who waits, since whoever is gone waits for nothing. */
export class WorkflowWaits {
  /** Mostly one waits. */
  readonly #byKey = new Map<string, Call | Set<Call>>()
  readonly #byReplier = new Map<Replier, Map<number, Call>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(key: string): boolean {
    return this.#byKey.has(key)
  }

  /** Whether the call still waits. */
  holds(call: Call): boolean {
    return this.#byReplier.get(call.replier)?.get(call.request) === call
  }

  add(call: Call, key: string): void {
    // Asked twice under one number: the later one counts.
    this.forget(call.replier, call.request)
    call.workflow = key
    const known = this.#byKey.get(key)
    if (known === undefined) this.#byKey.set(key, call)
    else if (known instanceof Set) known.add(call)
    else this.#byKey.set(key, new Set([known, call]))
    const own = this.#byReplier.get(call.replier)
    if (own === undefined) this.#byReplier.set(call.replier, new Map([[call.request, call]]))
    else own.set(call.request, call)
    this.#size++
  }

  /** All that wait for this workflow; they do no longer. */
  take(key: string): Iterable<Call> {
    const known = this.#byKey.get(key)
    if (known === undefined) return nobody
    this.#byKey.delete(key)
    const calls = known instanceof Set ? known : [known]
    for (const call of calls) this.#forgetOwn(call)
    return calls
  }

  remove(call: Call): void {
    if (!this.holds(call)) return
    this.#forgetOwn(call)
    const known = this.#byKey.get(call.workflow)
    if (known instanceof Set && known.size > 1) known.delete(call)
    else this.#byKey.delete(call.workflow)
  }

  /** One request of theirs, or all, is asked no longer. */
  forget(replier: Replier, request?: number): void {
    const own = this.#byReplier.get(replier)
    if (own === undefined) return
    const gone = request === undefined ? [...own.values()] : [own.get(request)]
    for (const call of gone) if (call !== undefined) this.remove(call)
  }

  #forgetOwn({ replier, request }: Call): void {
    this.#size--
    const own = this.#byReplier.get(replier)
    own?.delete(request)
    if (own?.size === 0) this.#byReplier.delete(replier)
  }
}
