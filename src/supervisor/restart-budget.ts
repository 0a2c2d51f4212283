import type { Random } from '../kernel/environment.ts'
import type { RestartPolicy } from './child-specification.ts'

const uint32Span = 0x1_0000_0000
/** 2^20 times any sensible initial delay is over every maximum; keeps the power finite. */
const exponentMax = 20

/** When a child may be restarted, and whether it has used up its restarts. Pure but for the randomness given. */
export class RestartBudget {
  readonly #policy: RestartPolicy
  readonly #random: Random
  #restartsAtMs: number[] = []
  #attempt = 0

  constructor(policy: RestartPolicy, random: Random) {
    this.#policy = policy
    this.#random = random
  }

  /**
   * Records a restart that is due now.
   *
   * @param uptimeMs how long the child had been ready when it ended; 0 if it never was.
   * @returns the delay before it, and whether the intensity is exceeded by it.
   */
  spend(nowMs: number, uptimeMs: number): { readonly delayMs: number; readonly exceeded: boolean } {
    const { maxRestarts, periodMs, minimumUptimeMs, maxDelayMs } = this.#policy
    if (uptimeMs >= minimumUptimeMs) this.#attempt = 0
    this.#restartsAtMs = this.#restartsAtMs.filter((atMs) => nowMs - atMs < periodMs)
    this.#restartsAtMs.push(nowMs)
    const exceeded = this.#restartsAtMs.length > maxRestarts
    // At most maxRestarts are remembered, whatever happens (G10): one more within the period is over it again.
    if (exceeded) this.#restartsAtMs.shift()
    return { delayMs: exceeded ? maxDelayMs : this.#nextDelayMs(), exceeded }
  }

  /**
   * Exponential with "equal jitter": half of it fixed, half random, so that children that fell together do not rise together.
   * Formula: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
   */
  #nextDelayMs(): number {
    const { initialDelayMs, maxDelayMs } = this.#policy
    const ceilingMs = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(this.#attempt++, exponentMax))
    return ceilingMs / 2 + (ceilingMs / 2) * (this.#random.uint32() / uint32Span)
  }
}
