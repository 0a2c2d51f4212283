import { assert } from '../kernel/assert.ts'
import { headerBytes } from './wire-format.ts'

/**
 * Both ends of one direction count the same bytes: 8 for the header and the body of every frame of a role. So empty
 * frames are bounded too. The header's 8 count as released as soon as the frame is handed up.
 */

/** The sender's end: what the peer's window still allows. */
export class Allowance {
  windowBytes: number
  /** Written and not yet released by the peer. */
  unreleasedBytes = 0

  constructor(windowBytes: number) {
    this.windowBytes = windowBytes
  }

  /** At 0 or below nothing may be written; above 0 at least one frame may, however long. */
  get leftBytes(): number {
    return this.windowBytes - this.unreleasedBytes
  }

  /** False when the peer grants more than it was sent. */
  grant(bytes: number): boolean {
    if (bytes > this.unreleasedBytes) return false
    this.unreleasedBytes -= bytes
    return true
  }
}

/** The receiver's end: what it was sent, holds, and has released without having said so yet. */
export class Window {
  readonly bytes: number
  readonly #grantBytesMin: number
  #heldBytes = 0
  #releasedBytes = 0

  constructor(bytes: number) {
    this.bytes = bytes
    this.#grantBytesMin = Math.max(1, bytes >>> 2)
  }

  /** False when the peer should have waited for credit before this frame. */
  admit(bodyBytes: number): boolean {
    if (this.#heldBytes + this.#releasedBytes >= this.bytes) return false
    this.#heldBytes += bodyBytes
    this.#releasedBytes += headerBytes
    return true
  }

  release(bodyBytes: number): void {
    assert(bodyBytes >= 0 && bodyBytes <= this.#heldBytes, 'more bytes are released than are held')
    this.#heldBytes -= bodyBytes
    this.#releasedBytes += bodyBytes
  }

  /** Enough is released to be worth a credit frame. */
  get grantIsDue(): boolean {
    return this.#releasedBytes >= this.#grantBytesMin
  }

  /** What to grant now: 0 while it is not due. */
  takeGrant(): number {
    if (!this.grantIsDue) return 0
    const bytes = this.#releasedBytes
    this.#releasedBytes = 0
    return bytes
  }
}
