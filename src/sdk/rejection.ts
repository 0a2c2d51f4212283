import { hasBrand } from '../kernel/brand.ts'

const brand = Symbol.for('commanderdb.rejected')

/**
 * Thrown by `decide` to say no: the command ends as rejected, changes nothing and is not retried.
 * Anything else that `decide` throws counts as a failure, is retried, and is parked in the end.
 *
 * Known by a symbol and not by its class, because two copies of the package may be loaded.
 *
 * @example
 * throw new CommandRejected('insufficient_funds', 'the balance is too low', { balanceCents: state.balanceCents })
 */
export class CommandRejected extends Error {
  /** For programs; chosen by the application, for example `insufficient_funds`. */
  readonly code: string
  /** Values for programs; must survive JSON. */
  readonly details: unknown

  constructor(code: string, message: string = code, details?: unknown) {
    super(message)
    this.name = 'CommandRejected'
    this.code = code
    this.details = details
    Object.defineProperty(this, brand, { value: true })
  }
}

export function isCommandRejected(value: unknown): value is CommandRejected {
  return hasBrand(value, brand)
}
