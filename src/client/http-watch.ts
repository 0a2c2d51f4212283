import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { HttpNodes } from './http-nodes.ts'
import type { HttpAnswer } from './http-requester.ts'
import { WatchedNode } from './watched-node.ts'

/** The node has not even said that it is there. What it was asked it may do once it goes on. */
export class SilentNodeError extends CommanderError {
  constructor(url: string) {
    super(
      'connection_lost',
      `nothing is heard from ${url}, not even that it is alive; what became of the request is unknown`,
    )
  }
}

/** Somebody waits for a node. */
export interface Visit {
  /** It said something. */
  heard(): void
  /** Nobody waits here any more. */
  leave(): void
}

const sweepMs = 250

/** Where there is no other node, there is nothing to do about one that is silent. */
const unwatched: Visit = { heard() {}, leave() {} }

/**
 * Whether the nodes that are waited for are there: one that stands still keeps its connections. One of several that is silent is
 * asked for a sign of life, which a gateway gives whatever else it does, and left for the next one if none comes.
 */
export class HttpWatch {
  readonly #environment: Environment
  readonly #nodes: HttpNodes
  readonly #headers: Readonly<Record<string, string>>
  readonly #watched = new Map<string, WatchedNode>()
  #sweepTimer: Timer | null = null

  constructor(environment: Environment, nodes: HttpNodes, headers: Readonly<Record<string, string>>) {
    this.#environment = environment
    this.#nodes = nodes
    this.#headers = headers
  }

  /** @param giveUp called when the node is left, before `leave` */
  enter(url: string, giveUp: (error: CommanderError) => void, isFollowing: boolean = false): Visit {
    if (this.#nodes.count === 1) return unwatched
    const node = this.#nodeAt(url)
    const visitor = { isFollowing, giveUp }
    node.enter(visitor, this.#nowMs)
    this.#sweepTimer ??= this.#sweepLater()
    return { heard: () => node.heard(this.#nowMs), leave: () => node.leave(visitor) }
  }

  /** What comes of the answer. */
  async *chunksOf(
    answer: HttpAnswer,
    url: string,
    giveUp: (error: CommanderError) => void,
    isFollowing: boolean,
  ): AsyncGenerator<Uint8Array> {
    const visit = this.enter(url, giveUp, isFollowing)
    try {
      for await (const chunk of answer.chunks()) {
        visit.heard()
        yield chunk
      }
    } finally {
      visit.leave()
    }
  }

  close(): void {
    this.#sweepTimer?.cancel()
    for (const node of this.#watched.values()) node.endAsking()
  }

  get #nowMs(): number {
    return this.#environment.clock.monotonicMs()
  }

  #nodeAt(url: string): WatchedNode {
    const known = this.#watched.get(url)
    if (known !== undefined) return known
    const node = new WatchedNode(this.#nowMs)
    this.#watched.set(url, node)
    return node
  }

  #sweepLater(): Timer {
    return this.#environment.scheduler.after(sweepMs, () => {
      this.#sweepTimer = null
      for (const [url, node] of this.#watched) {
        if (node.isWatched) this.#look(url, node)
      }
      const isAnyWatched = [...this.#watched.values()].some(({ isWatched }) => isWatched)
      if (isAnyWatched) this.#sweepTimer ??= this.#sweepLater()
    })
  }

  #look(url: string, node: WatchedNode): void {
    const life = node.check(this.#nowMs)
    if (life === 'ask') void this.#ask(url, node)
    if (life !== 'gone') return
    const error = new SilentNodeError(url)
    this.#nodes.failed(url, error)
    node.abandon(error, this.#nowMs)
  }

  async #ask(url: string, node: WatchedNode): Promise<void> {
    const signal = node.ask()
    try {
      const request = { method: 'GET', path: '/livez', headers: this.#headers, body: null, signal } as const
      const answer = await this.#nodes.at(url)(request)
      // Whatever it says; and its connection is free again.
      await answer.text()
      if (!signal.aborted) node.heard(this.#nowMs)
    } catch {
      // No sign of life: it still has the rest of its time.
    }
  }
}
