/** An operation that has not ended, as far as signals go. */
interface Pending {
  readonly kind: string
  hasCome?: true
}

const prefix = 'signal/'

/**
 * A signal has come: of those of its name that are waited for, the code takes it for the one that it began first, which is
 * that of the lowest number. Without a time limit that is its end; with one the code ends it, by `timer/cancelled`.
 */
export function signalCame(operations: Record<string, Pending>, name: string): void {
  let first: string | null = null
  let hasPatient = false
  for (const operation in operations) {
    const pending = operations[operation]
    if (pending?.hasCome === true || !isSignal(operation, name)) continue
    hasPatient ||= pending?.kind === 'signal'
    if (first === null || numberOf(operation) < numberOf(first)) first = operation
  }
  // Those with a limit alone need no mark: nothing else follows from which of them it was.
  if (first === null || !hasPatient) return
  const pending = operations[first]
  if (pending?.kind === 'signal') delete operations[first]
  else if (pending !== undefined) pending.hasCome = true
}

/** By its name in the history, `signal/NAME#1`; NAME may be anything. */
const isSignal = (operation: string, name: string): boolean =>
  operation.startsWith(prefix) && operation.slice(prefix.length, operation.lastIndexOf('#')) === name

const numberOf = (operation: string): number => Number(operation.slice(operation.lastIndexOf('#') + 1))
