import type { CommanderError } from '../kernel/errors.ts'

/** Where the gateways of one database listen, one of which is asked at a time. */
export class GatewayAddresses {
  readonly #addresses: string[]
  #at = 0
  /** How many did not answer, one after the other. */
  #unanswered = 0

  /** @param addresses at least one */
  constructor(addresses: readonly string[]) {
    this.#addresses = [...addresses]
  }

  get current(): string {
    return this.#addresses[this.#at] as string
  }

  /** There is another one to be asked. */
  get isSeveral(): boolean {
    return this.#addresses.length > 1
  }

  answered(): void {
    this.#unanswered = 0
  }

  /**
   * The next one is asked.
   * @returns that nobody listens, once that is so everywhere; other errors as they are
   */
  lost(error: CommanderError | null): CommanderError | null {
    this.#at = (this.#at + 1) % this.#addresses.length
    this.#unanswered = error?.code === 'no_database' ? this.#unanswered + 1 : 0
    return this.#unanswered > 0 && this.#unanswered < this.#addresses.length ? null : error
  }

  /** @returns false: it is asked already */
  goTo(address: string): boolean {
    if (this.current === address) return false
    const known = this.#addresses.indexOf(address)
    this.#at = known === -1 ? this.#addresses.push(address) - 1 : known
    return true
  }
}
