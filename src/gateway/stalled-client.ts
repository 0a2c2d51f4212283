import type { Channel } from '../ipc/channel.ts'
import type { Log } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

/** In the time that a client may take nothing. That it took something in between two of them is told. */
export const stalledLooks = 4

/** A client that takes nothing holds what waits for it, which its window bounds, for a time, and is then cut off (G10). */
export class StalledClient {
  readonly #channel: Channel
  readonly #log: Log
  /** Looks in a row at which it had taken nothing since the one before. */
  #looks = 0

  constructor(channel: Channel, log: Log) {
    this.#channel = channel
    this.#log = log
  }

  /** It takes more. */
  took(): void {
    this.#looks = 0
  }

  cutOffIfStalled(stalledMs: number): void {
    this.#looks = this.#channel.writable ? 0 : this.#looks + 1
    if (this.#looks <= stalledLooks) return
    const { peer, outstandingBytes } = this.#channel
    const message = `the client has taken nothing for ${stalledMs} ms of ${outstandingBytes} bytes that wait for it; connect again and read on`
    this.#log.warn({ peer, outstandingBytes, stalledMs }, `connection closed: ${message}`)
    this.#channel.close(new CommanderError('overloaded', message))
  }
}

export const tooManyConnections = (): CommanderError =>
  new CommanderError('overloaded', `${limits.clientConnectionsMax} clients are connected already; close some of them`)
