import type { Journal } from '../journal/journal.ts'
import type { Environment, Timer } from '../kernel/environment.ts'

export interface RoomListener {
  /** There is none: whoever can make some should hear of it. */
  readonly full: () => void
  /** It has been awaited long enough. */
  readonly over: () => void
}

/** How long drafts wait at the journal's limit before they are refused. */
const waitMsMax = 2000

/**
 * At its limit the journal usually waits for nothing but a checkpoint, which is under way: drafts are held back in the
 * writer's inbox meanwhile, which credit bounds, and refused only when it does not come.
 */
export class Room {
  readonly #journal: Journal
  readonly #environment: Environment
  readonly #listener: RoomListener
  #fullSinceMs: number | null = null
  #timer: Timer | null = null

  constructor(journal: Journal, environment: Environment, listener: RoomListener) {
    this.#journal = journal
    this.#environment = environment
    this.#listener = listener
  }

  /** False when there is room for so many bytes, and when waiting for it has become pointless. */
  isAwaited(bytes: number): boolean {
    const { clock, scheduler } = this.#environment
    if (this.#journal.failed !== null || this.#journal.hasRoomFor(bytes)) {
      this.#fullSinceMs = null
      return false
    }
    const nowMs = clock.monotonicMs()
    this.#fullSinceMs ??= nowMs
    if (nowMs - this.#fullSinceMs >= waitMsMax) return false
    this.#listener.full()
    this.#timer ??= scheduler.after(waitMsMax, () => {
      this.#timer = null
      this.#listener.over()
    })
    return true
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
