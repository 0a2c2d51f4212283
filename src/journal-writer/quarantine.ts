import type { Log } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { applierName, type Divergence } from './attestation.ts'

const originsKept = 64

/** Process incarnations whose state diverged: none of them gets on again, whatever it sends. */
export class Quarantine {
  readonly #log: Log
  readonly #reasons = new Map<number, CommanderError>()

  constructor(log: Log) {
    this.#log = log
  }

  /** @returns why, for the process itself; not retryable when it is to stay out. */
  add(origin: number, divergence: Divergence): CommanderError {
    const { name, at, hash, agreedHash, after, isFinal } = divergence
    const reason = new CommanderError('state_diverged', messageOf(divergence), { retryable: !isFinal })
    this.#log.error({ name, lsn: at, hash, agreedHash, after, isFinal }, reason.message)
    if (name === applierName) {
      const range = after === 0 ? `up to ${at}` : `from ${after + 1} to ${at}`
      this.#log.error(
        { after, lsn: at },
        `the store is suspect: it may hold what was folded wrongly of the entries ${range}; rebuild projections, or stop ` +
          'the database and remove the directory store, which is built again where the journal begins at entry 1, or restore a backup',
      )
    }
    this.#reasons.set(origin, reason)
    const oldest = this.#reasons.keys().next()
    if (this.#reasons.size > originsKept && !oldest.done) this.#reasons.delete(oldest.value)
    return reason
  }

  reasonFor(origin: number): CommanderError | undefined {
    return this.#reasons.get(origin)
  }
}

function messageOf({ name, at, hash, agreedHash, isFinal }: Divergence): string {
  const what = `after entry ${at} the state of ${name} has the hash ${hash}, that of the others ${agreedHash}`
  return isFinal
    ? `${what}, again, after it was built anew: it stays out; report this as a bug, and restart the process to try once more`
    : `${what}: it is quarantined and built anew from store and journal`
}
