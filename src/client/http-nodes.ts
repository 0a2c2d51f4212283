import { isCommanderError } from '../kernel/errors.ts'
import type { HttpRequester } from './http-requester.ts'
import { leaderNamedBy } from './named-leader.ts'

/**
 * The nodes of a database, one of which is asked at a time: the one that leads, as far as is known. A node that does not answer is
 * left for the next one, and one that names the leader for that.
 */
export class HttpNodes {
  readonly #requesterOf: (url: string) => HttpRequester
  readonly #requesters = new Map<string, HttpRequester>()
  readonly #urls: string[]
  #at = 0

  /** @param urls at least one, without slashes at their ends */
  constructor(urls: readonly string[], requesterOf: (url: string) => HttpRequester) {
    this.#requesterOf = requesterOf
    this.#urls = [...urls]
  }

  get count(): number {
    return this.#urls.length
  }

  /** Who is asked now. */
  get current(): string {
    return this.#urls[this.#at] as string
  }

  /** Over the connections to this node. */
  at(url: string): HttpRequester {
    let requester = this.#requesters.get(url)
    if (requester === undefined) {
      requester = this.#requesterOf(url)
      this.#requesters.set(url, requester)
    }
    return requester
  }

  /**
   * A request to this node failed.
   * @returns whether another node is asked from now on
   */
  failed(url: string, error: unknown): boolean {
    if (url !== this.current) return true
    const leader = leaderNamedBy(error)?.url?.replace(/\/+$/, '')
    if (leader !== undefined && leader !== url) {
      this.#goTo(leader)
      return true
    }
    if (!isElsewhere(error) || this.#urls.length === 1) return false
    this.#at = (this.#at + 1) % this.#urls.length
    return true
  }

  #goTo(url: string): void {
    const known = this.#urls.indexOf(url)
    this.#at = known === -1 ? this.#urls.push(url) - 1 : known
  }
}

/** Another node may answer where this one did not. */
const isElsewhere = (error: unknown): boolean =>
  isCommanderError(error) &&
  ['no_database', 'connection_lost', 'not_leader', 'indeterminate', 'not_ready'].includes(error.code)
