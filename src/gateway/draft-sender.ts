import type { Action } from '../actions/action.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { entryFlags, lengthOf } from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import type { Clock } from '../kernel/environment.ts'
import type { Follower } from '../replica/follower.ts'
import { Call, type Replier } from './call.ts'
import { DraftedCalls } from './drafted-calls.ts'
import { sendBytes, sendDrafts } from './gateway-options.ts'

/** Sends calls to the journal writer as drafts, many at once, and knows those that have not come back. */
export class DraftSender {
  readonly drafted: DraftedCalls = new DraftedCalls()
  readonly #origin: number
  readonly #clock: Clock
  readonly #batch: EntryBatch
  #follower: Follower | null = null

  constructor(origin: number, clock: Clock) {
    this.#origin = origin
    this.#clock = clock
    this.#batch = new EntryBatch(origin, 65_536)
  }

  start(follower: Follower): void {
    this.#follower = follower
  }

  /** It leaves with the next `send`, or as soon as there is much to send. */
  draft(call: Call): void {
    assert(this.#follower !== null && call.source !== null, 'the gateway is started and the call is a draft')
    call.sequence = this.#follower.takeSequence()
    const { source, offset, length, sequence, definitionVersion } = call
    this.#batch.addReceived(source, offset, length, sequence, this.#clock.wallMs(), definitionVersion)
    this.drafted.add(call)
    if (this.#batch.count >= sendDrafts || this.#batch.byteLength >= sendBytes) this.send()
  }

  draftAction(replier: Replier, request: number, wait: number, action: Action): Call {
    const alone = new EntryBatch(this.#origin, 512)
    encodeAction(alone, action, 0, entryFlags.flush)
    const source = alone.take()
    const call = new Call(replier, request, wait, false, source, 0, lengthOf(source, 0))
    this.draft(call)
    return call
  }

  send(): void {
    if (this.#batch.count > 0) this.#follower?.sendDrafts(this.#batch.take())
  }
}
