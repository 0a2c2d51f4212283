import type { Channel } from '../ipc/channel.ts'
import { encodeReplicates, journalFrames } from '../ipc/journal-protocol.ts'
import { type CommanderError, toWireError } from '../kernel/errors.ts'

/** Tells those who follow whether it can be promised that what is flushed is replicated, as the policy wants it. */
export class ReplicationPromise {
  /** Why not; null: it can. */
  readonly #refusal: () => CommanderError | null
  /** To all of them. */
  #told: string | null | undefined

  constructor(refusal: () => CommanderError | null) {
    this.#refusal = refusal
  }

  /** Whether the process takes it or not: it is short and rare. */
  tell(channel: Channel): void {
    send(channel, this.#refusal())
  }

  /** All of them, if it is another answer than the last one. */
  look(followers: Iterable<{ readonly channel: Channel }>): void {
    const refusal = this.#refusal()
    const message = refusal?.message ?? null
    if (message === this.#told) return
    this.#told = message
    for (const { channel } of followers) send(channel, refusal)
  }
}

function send(channel: Channel, refusal: CommanderError | null): void {
  channel.send(journalFrames.replicates, encodeReplicates({ refusal: refusal === null ? null : toWireError(refusal) }))
  channel.flush()
}
