import type { Channel } from '../ipc/channel.ts'
import { journalFrames } from '../ipc/journal-protocol.ts'
import type { Log } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Drafts } from './draft-inbox.ts'
import type { Subscriber } from './subscriber.ts'

export interface WantOfRoom {
  readonly cause: CommanderError
  /** Of the journal, and not of the disk. */
  readonly isOfLimit: boolean
}

/**
 * A time in which drafts are refused for want of room. It is logged when it begins and when it is over, and not for every
 * draft; who was refused one waits until it is told that it is over, instead of trying again and again.
 */
export class FullSpell {
  readonly #log: Log
  readonly #told = new Set<Channel>()
  #refusals = 0
  #leastBytes = 0
  #isOfLimit = false

  constructor(log: Log) {
    this.#log = log
  }

  get isOn(): boolean {
    return this.#refusals > 0
  }

  /** The smallest batch that was refused. */
  get leastBytes(): number {
    return this.#leastBytes
  }

  /** The journal had reached its limit, and knows by itself when it no longer has; a full disk is only found out by trying. */
  get isOfLimit(): boolean {
    return this.#isOfLimit
  }

  refused(followers: Iterable<Subscriber>, bytes: number, { cause, isOfLimit }: WantOfRoom): void {
    if (!this.isOn) this.#log.warn({ code: cause.code }, `drafts are refused: ${cause.message}`)
    this.#leastBytes = this.isOn ? Math.min(this.#leastBytes, bytes) : bytes
    this.#isOfLimit = isOfLimit
    this.#refusals++
    for (const { channel } of followers) this.#told.add(channel)
  }

  /** A batch was appended: there is room, if it is for as much as was refused, or for one who was. */
  appended(bytes: number, senders: Iterable<Subscriber>): void {
    if (!this.isOn) return
    if (bytes >= this.#leastBytes) return this.over()
    for (const { channel } of senders) if (this.#told.has(channel)) return this.over()
  }

  over(): void {
    this.#log.info({ refusedBatches: this.#refusals }, 'there is room in the journal again')
    this.#refusals = 0
    const told = [...this.#told]
    this.#told.clear()
    for (const channel of told) {
      channel.send(journalFrames.room, Buffer.alloc(0))
      channel.flush()
    }
  }

  gone(channel: Channel): void {
    this.#told.delete(channel)
  }
}

export const sendersOf = (drafts: readonly Drafts[]): ReadonlySet<Subscriber> => new Set(drafts.map(({ from }) => from))
