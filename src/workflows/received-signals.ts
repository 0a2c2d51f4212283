/** Signals that came before anybody waited for them, by name, in their order. */
export class ReceivedSignals {
  readonly #byName = new Map<string, unknown[]>()

  add(name: string, data: unknown): void {
    const came = this.#byName.get(name)
    if (came === undefined) this.#byName.set(name, [data])
    else came.push(data)
  }

  /** null: there is none. */
  take(name: string): { readonly data: unknown } | null {
    const came = this.#byName.get(name)
    return came === undefined || came.length === 0 ? null : { data: came.shift() }
  }
}
