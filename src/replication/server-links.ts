import type { ServerId, ServerRequest } from './messages.ts'

/** Connections to journal servers, as those who carry out the machines' requests need them. */
export interface ServerLinks {
  /** @returns false: it was not sent */
  send(server: ServerId, request: ServerRequest): boolean
  isWritable(server: ServerId): boolean
  /** What was sent goes out now, instead of with all of this turn of the event loop. */
  flush(): void
}
