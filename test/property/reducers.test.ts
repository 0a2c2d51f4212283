import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actionCodes } from '../../src/actions/action-codes.ts'
import { codeOf, keyOf, referenceOf, tokenOf } from '../../src/actions/entry-layout.ts'
import { type Lsn, revision, type Token } from '../../src/kernel/identifiers.ts'
import { ownerOf } from '../../src/state/applications.ts'
import { forgetSavedKeys, type KeyLookup } from '../../src/state/idempotency.ts'
import { emptyRoot, type RootOptions, type RootState, reduce } from '../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../src/state/snapshot.ts'
import { TokenGuard } from '../../src/state/token-guard.ts'
import { StubJournal } from '../unit/role-world.ts'
import { History } from '../unit/state/any-history.ts'
import { randomOf } from '../unit/state/random.ts'

const seeds = fc.integer({ min: 1, max: 0x7fffffff })
const none: KeyLookup = () => undefined

const start = (options: Partial<RootOptions> = {}): RootState =>
  emptyRoot({ lookup: none, keepsPayloads: false, ...options })

function fold(state: RootState, entries: readonly Buffer[]): RootState {
  for (const entry of entries) reduce(state, entry, 0)
  return state
}

describe('the same entries', () => {
  it('give the same state in every process, whatever it keeps of payloads', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { entries } = new History(randomOf(seed), 300)
        const hash = stateHash(fold(start(), entries))
        expect(stateHash(fold(start({ keepsPayloads: true }), entries))).toBe(hash)
      }),
      { numRuns: 60 },
    )
  })

  it('give the same state when they go on from a snapshot that was taken anywhere', () => {
    fc.assert(
      fc.property(seeds, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), (seed, share, keepsPayloads) => {
        const { entries, keysAt } = new History(randomOf(seed), 300)
        const cut = Math.floor(share * entries.length)
        const state = fold(start({ keepsPayloads }), entries.slice(0, cut))
        const saved = keysAt[cut] as (typeof keysAt)[number]
        const restored = decodeRoot(encodeRoot(state), { lookup: (key) => saved.get(key), keepsPayloads })
        expect(stateHash(restored)).toBe(stateHash(state))
        for (const entry of entries.slice(cut)) {
          expect(reduce(restored, entry, 0)).toBe(reduce(state, entry, 0))
          expect(stateHash(restored)).toBe(stateHash(state))
        }
        expect(encodeRoot(restored)).toEqual(encodeRoot(state))
      }),
      { numRuns: 60 },
    )
  })

  it('give the same state when keys are forgotten as the store gets them, even from a store that is ahead', () => {
    fc.assert(
      fc.property(seeds, fc.nat(40), (seed, ahead) => {
        const history = new History(randomOf(seed), 300, { expiry: false })
        const { entries, keysAt } = history
        let stored = 0
        const lookup: KeyLookup = (key) => keysAt[stored]?.get(key)
        const plain = start()
        const lean = start({ lookup })
        entries.forEach((entry, i) => {
          stored = Math.min(entries.length, i + ahead)
          forgetSavedKeys(lean.idempotency, stored as never)
          expect(reduce(lean, entry, 0)).toBe(reduce(plain, entry, 0))
        })
        expect(stateHash(lean)).toBe(stateHash(plain))
      }),
      { numRuns: 60 },
    )
  })
})

function loseBatch(guard: TokenGuard, entries: readonly Buffer[]): void {
  guard.begin()
  for (const entry of entries) guard.apply(entry, 0)
  guard.rollback()
}

function stepOf(activation: Lsn, token: Token): Buffer {
  const aggregate = { type: 'workflow:w', id: 'a' }
  const rest = { atMs: 0, baseRevision: revision(0), events: [], messages: [], snapshot: null }
  return new StubJournal().append([{ type: 'workflow/advanced', aggregate, activation, token, ...rest }])
}

const terminal: ReadonlySet<number> = new Set([
  actionCodes['command/completed'],
  actionCodes['command/rejected'],
  actionCodes['command/parked'],
])

describe('the state', () => {
  it('holds exactly the commands that were received and have not ended, each in the queue of its aggregate, in order', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { entries } = new History(randomOf(seed), 300)
        const state = start()
        const pending = new Map<number, string>()
        for (const entry of entries) {
          const code = codeOf(entry, 0)
          const repeats = reduce(state, entry, 0)
          if (code === actionCodes['command/received'] && repeats === 0) pending.set(state.lsn, keyOf(entry, 0))
          if (code === actionCodes['command/retried']) pending.set(referenceOf(entry, 0), keyOf(entry, 0))
          if (terminal.has(code)) pending.delete(referenceOf(entry, 0))
          expect(new Map([...state.commands.byLsn].map(([at, { queue }]) => [at, queue.key]))).toEqual(pending)
        }
        let bytes = 0
        for (const queue of state.commands.byAggregate.values()) {
          const lsns = queue.commands.map((command) => command.lsn)
          expect(lsns).toEqual([...lsns].sort((a, b) => a - b))
          expect(queue.commands.length > 0 || queue.blockedBy !== 0).toBe(true)
          for (const command of queue.commands) {
            expect(state.commands.byLsn.get(command.lsn)).toBe(command)
            bytes += command.bytes
          }
        }
        expect(state.commands.pendingBytes).toBe(bytes)
      }),
      { numRuns: 60 },
    )
  })

  it('names an owner for every aggregate type that is hosted, and only an instance that is registered for it', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 0xffffffff }), (seed, hash) => {
        const { applications } = fold(start(), new History(randomOf(seed), 100).entries)
        for (const type of ['counter', 'other']) {
          const hosts = [...applications.byInstance.values()].filter((one) => one.aggregateTypes.includes(type))
          const owner = ownerOf(applications, type, hash)
          expect(owner === undefined).toBe(hosts.length === 0)
          if (owner !== undefined) expect(hosts).toContain(owner)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('and the guard agree on what may end: the guard admits what the state has assigned', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { entries } = new History(randomOf(seed), 300)
        const state = start()
        const guard = new TokenGuard()
        for (const entry of entries) {
          expect(guard.admits(entry, 0)).toBe(true)
          guard.begin()
          guard.apply(entry, 0)
          reduce(state, entry, 0)
        }
        const assigned = [...state.commands.byLsn.values(), ...state.activations.byLsn.values()]
        expect(TokenGuard.of(state).size).toBe(assigned.filter(({ token }) => token !== 0).length)
      }),
      { numRuns: 60 },
    )
  })

  it('and the guard agree on who works on which workflow, also after the guard took a batch back', () => {
    fc.assert(
      fc.property(seeds, fc.nat(290), (seed, lost) => {
        const { entries } = new History(randomOf(seed), 300)
        const state = start()
        const guard = new TokenGuard()
        /** Steps under every assignment that there ever was. */
        const steps = new Map<string, Buffer>()
        for (const [i, entry] of entries.entries()) {
          if (i === lost) loseBatch(guard, entries.slice(lost, lost + 10))
          guard.begin()
          guard.apply(entry, 0)
          reduce(state, entry, 0)
          for (const { lsn, token } of state.activations.byLsn.values())
            if (token !== 0) steps.set(`${lsn} ${token}`, stepOf(lsn, token))
          for (const guarding of i % 20 === 0 ? [guard, TokenGuard.of(state)] : [guard]) {
            for (const step of steps.values()) {
              const { token } = state.activations.byLsn.get(referenceOf(step, 0)) ?? { token: 0 }
              expect(guarding.admits(step, 0)).toBe(token === tokenOf(step, 0))
            }
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})
