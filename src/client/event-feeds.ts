import { type ClientEvent, decodeEventBlock } from '../ipc/call-codec.ts'
import type { Channel } from '../ipc/channel.ts'
import {
  type Consistency,
  clientFrames,
  encodeQuery,
  encodeRequest,
  eventsFlags,
  eventsFlagsOf,
  requestOf,
} from '../ipc/client-protocol.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { EventFeed } from './event-feed.ts'
import type { EventsOptions } from './options.ts'
import type { ReadSession } from './read-session.ts'

interface Reading {
  readonly feed: EventFeed
  readonly follow: boolean
  readonly types: ReadonlySet<string> | null
  readonly consistency: Consistency | undefined
  /** The last position that was received: after a lost connection the reading goes on behind it. */
  after: number
}

/** The readings of the event log that a client has under way. */
export class EventFeeds {
  readonly #readings = new Map<number, Reading>()
  readonly #session: ReadSession

  constructor(session: ReadSession) {
    this.#session = session
  }

  async *read(
    request: number,
    options: EventsOptions & { readonly follow?: boolean },
    channel: () => Channel | null,
  ): AsyncGenerator<readonly ClientEvent[]> {
    const { after = 0, types, signal, follow = false, consistency } = options
    const feed = new EventFeed()
    const wanted = types === undefined ? null : new Set(types)
    this.#readings.set(request, { feed, follow, after, types: wanted, consistency })
    const abort = (): void => feed.end(null)
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) abort()
    else this.#ask(request, channel())
    try {
      for (let batch = await feed.next(); batch !== null; batch = await feed.next()) if (batch.length > 0) yield batch
    } finally {
      signal?.removeEventListener('abort', abort)
      if (this.#readings.delete(request)) channel()?.send(clientFrames.cancel, encodeRequest(request))
      feed.close()
    }
  }

  /** The connection is there again. */
  askAll(channel: Channel): void {
    for (const request of this.#readings.keys()) this.#ask(request, channel)
  }

  receive(channel: Channel, body: Buffer): void {
    const reading = this.#readings.get(requestOf(body))
    if (reading === undefined) {
      channel.release(body.length)
      return
    }
    const events: ClientEvent[] = []
    reading.after = Math.max(reading.after, decodeEventBlock(body, reading.after, reading.types, events))
    this.#session.saw(events.at(-1)?.lsn ?? 0)
    reading.feed.push(events, body.length, channel)
    if ((eventsFlagsOf(body) & eventsFlags.last) !== 0) reading.feed.end(null)
  }

  fail(request: number, error: CommanderError): void {
    this.#readings.get(request)?.feed.end(error)
  }

  failAll(error: CommanderError): void {
    for (const { feed } of this.#readings.values()) feed.end(error)
    this.#readings.clear()
  }

  #ask(request: number, channel: Channel | null): void {
    const reading = this.#readings.get(request)
    if (reading === undefined) return
    const { after, follow, consistency } = reading
    const floor = { ...this.#session.floorOf({}), ...(consistency === undefined ? {} : { consistency }) }
    const query = { ask: 'events', after, follow, ...floor } as const
    channel?.send(clientFrames.query, encodeQuery(request, query))
  }
}
