import { SeededRandom } from '../../src/testing/seeded-random.ts'

/** Call `n` of a load. */
export interface Movement {
  readonly n: number
  readonly account: string
  readonly amount: number
  /** The application always rejects it: it must have no effect. */
  readonly isRefused: boolean
  /** Without a key a call is made once; what became of it is unknown when the call fails. */
  readonly idempotencyKey: string | null
  readonly wait: 'received' | 'completed' | 'applied'
}

const accounts = 100
const busyAccounts = 4

/** The same for a seed and a number, so that nobody has to keep it. */
export function movementOf(seed: number, n: number): Movement {
  const random = new SeededRandom(seed ^ Math.imul(n + 1, 0x9e3779b1))
  const account = random.integer(0, (random.chance(0.3) ? busyAccounts : accounts) - 1)
  return {
    n,
    account: `account-${account}`,
    amount: random.integer(-1_000_000, 1_000_000),
    isRefused: random.chance(0.03),
    idempotencyKey: random.chance(0.8) ? `movement-${seed}-${n}` : null,
    wait: random.chance(0.9) ? 'completed' : random.pick(['received', 'applied'] as const),
  }
}
