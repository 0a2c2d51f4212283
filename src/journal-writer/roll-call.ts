import type { Channel } from '../ipc/channel.ts'
import { encodePresent, journalFrames } from '../ipc/journal-protocol.ts'

interface Follower {
  readonly channel: Channel
  readonly name: string
}

/**
 * Who of the processes that follow is alive, as far as its answers say. Nobody is asked but when somebody wants to know, and
 * nothing of it is written: a process at whose work nothing comes out of for long may be at work, or be stopped.
 */
export class RollCall {
  /** Asked, and no answer yet. */
  readonly #silent = new Set<Channel>()

  /** Tells `by` who is not silent since the last call, and asks all again. */
  call(by: Follower, followers: Iterable<Follower>): void {
    const present: string[] = []
    for (const { channel, name } of followers) {
      if (channel === by.channel) continue
      if (this.#silent.has(channel)) continue
      present.push(name)
      this.#silent.add(channel)
      channel.send(journalFrames.areYouThere, Buffer.alloc(0))
      channel.flush()
    }
    by.channel.send(journalFrames.present, encodePresent(present))
    by.channel.flush()
  }

  answered(channel: Channel): void {
    this.#silent.delete(channel)
  }
}
