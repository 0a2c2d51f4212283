import { isWellFormed, lengthOf, padded, sequenceOf, variantOf } from '../actions/entry-layout.ts'
import type { Channel } from '../ipc/channel.ts'
import { CommanderError } from '../kernel/errors.ts'
import { Queue } from '../kernel/queue.ts'

export type SubmitCall = (request: number, wait: number, body: Buffer, at: number) => void

/**
 * Calls of one client. While it takes no more of its answers they wait as they came, and its own window, which they fill,
 * keeps it from sending more: some would be refused at once, and refusals fill memory as answers do (G10).
 */
export class HeldCalls {
  readonly #channel: Channel
  readonly #submit: SubmitCall
  readonly #frames = new Queue<Buffer>()
  /** Of the first frame, taken up to here. */
  #at = 0
  #isTaking = false

  constructor(channel: Channel, submit: SubmitCall) {
    this.#channel = channel
    this.#submit = submit
  }

  /** @param body calls one behind the other, not released yet */
  add(body: Buffer): void {
    this.#frames.push(body)
    this.take()
  }

  /** As many as the client takes answers to. */
  take(): void {
    if (this.#isTaking) return
    this.#isTaking = true
    for (let body = this.#frames.peek(); body !== undefined && this.#channel.writable; body = this.#frames.peek()) {
      if (this.#at < body.length && !this.#takeOne(body)) break
      if (this.#at < body.length) continue
      this.#frames.shift()
      this.#at = 0
      this.#channel.release(body.length)
    }
    this.#isTaking = false
  }

  clear(): void {
    this.#frames.takeAll()
    this.#at = 0
  }

  #takeOne(body: Buffer): boolean {
    const at = this.#at
    if (!isWellFormed(body, at, body.length)) {
      const message = `a client sent a call that is not well formed at byte ${at}`
      this.#channel.close(new CommanderError('protocol_violation', message))
      this.clear()
      return false
    }
    this.#at += padded(lengthOf(body, at))
    this.#submit(sequenceOf(body, at), variantOf(body, at), body, at)
    return true
  }
}
