import type { Call, Replier } from './call.ts'

/** Calls that wait for workflows to end: by workflow, and by who waits, since whoever is gone waits for nothing. */
export class WorkflowWaits {
  readonly #byKey = new Map<string, Call>()
  readonly #byReplier = new Map<Replier, Map<number, Call>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(key: string): boolean {
    return this.#byKey.has(key)
  }

  /** Whether the call still waits. */
  holds({ replier, request }: Call): boolean {
    return this.#byReplier.get(replier)?.has(request) === true
  }

  add(call: Call, key: string): void {
    call.workflow = key
    call.next = this.#byKey.get(key) ?? null
    this.#byKey.set(key, call)
    const own = this.#byReplier.get(call.replier)
    if (own === undefined) this.#byReplier.set(call.replier, new Map([[call.request, call]]))
    else own.set(call.request, call)
    this.#size++
  }

  /** All that wait for this workflow; they do no longer. */
  take(key: string): Call | null {
    const first = this.#byKey.get(key) ?? null
    if (first === null) return null
    this.#byKey.delete(key)
    for (let call: Call | null = first; call !== null; call = call.next) this.#forgetOwn(call)
    return first
  }

  remove(call: Call): void {
    if (!this.holds(call)) return
    this.#forgetOwn(call)
    const rest: Call[] = []
    for (let other = this.#byKey.get(call.workflow) ?? null; other !== null; other = other.next)
      if (other !== call) rest.push(other)
    this.#byKey.delete(call.workflow)
    for (const other of rest) {
      other.next = this.#byKey.get(call.workflow) ?? null
      this.#byKey.set(call.workflow, other)
    }
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
