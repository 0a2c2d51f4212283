import type { Environment, Timer } from '../kernel/environment.ts'
import { messageOf } from '../kernel/errors.ts'
import type { ProjectionRunner } from './projection-runner.ts'

const againMs = 5_000

/** Brings back archived events that rebuilds of projections wait for. */
export class ArchivedRebuilds {
  readonly #environment: Environment
  readonly #projections: ProjectionRunner
  readonly #wake: () => void
  #timer: Timer | null = null
  #isStopped = false

  /** @param wake called when a rebuild can go on */
  constructor(environment: Environment, projections: ProjectionRunner, wake: () => void) {
    this.#environment = environment
    this.#projections = projections
    this.#wake = wake
  }

  /** After the slices of a transaction were read. */
  check(): void {
    const bringing = this.#projections.bringBack()
    bringing?.then(
      () => this.#goOn(),
      (error: unknown) => {
        if (this.#isStopped) return
        this.#environment.log.warn({}, `projections wait for archived events: ${messageOf(error)}; asking again`)
        this.#timer = this.#environment.scheduler.after(againMs, () => this.#goOn())
      },
    )
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #goOn(): void {
    if (this.#isStopped) return
    this.#projections.resume()
    this.#wake()
  }
}
