import { describe, expect, test } from 'vitest'
import {
  decide,
  decideFollower,
  type Observation,
  type RecoveryAction,
  recoveryTable,
  rowsFor,
} from '../../../src/journal/recovery-table.ts'

const identities = ['own', 'foreign', 'newer'] as const
const chains = ['whole', 'broken', 'brokenBefore', 'startMissing'] as const
const tails = ['clean', 'remains', 'unwritten', 'damaged', 'misplaced'] as const
const floors = ['reached', 'missed'] as const

const everyObservation: Observation[] = identities.flatMap((identity) =>
  chains.flatMap((chain) =>
    tails.flatMap((tail) =>
      floors.flatMap((floor) =>
        [false, true].map((acceptLoss): Observation => ({ identity, chain, tail, floor, acceptLoss })),
      ),
    ),
  ),
)

const fine: Observation = { identity: 'own', chain: 'whole', tail: 'clean', floor: 'reached', acceptLoss: false }

describe('the recovery table', () => {
  test('has exactly one row for every combination of observations', () => {
    expect(everyObservation).toHaveLength(3 * 4 * 5 * 2 * 2)
    const wrong = everyObservation.filter((observation) => rowsFor(observation).length !== 1)
    expect(wrong).toEqual([])
  })

  test('has no row that nothing leads to', () => {
    const used = new Set(everyObservation.map(decide))
    expect(recoveryTable.filter((row) => !used.has(row))).toEqual([])
  })

  test('opens a journal without repair only when all is well', () => {
    const opening = everyObservation.filter((observation) => decide(observation).action === 'open')
    expect(opening).toEqual([fine, { ...fine, acceptLoss: true }])
  })

  test('never cuts anything off by itself that had been flushed, or that is damaged in the middle', () => {
    const cutting = everyObservation.filter((observation) => decide(observation).action === 'truncate')
    expect(cutting.length).toBeGreaterThan(0)
    for (const { floor, chain, tail, identity } of cutting) {
      expect({ floor, chain, identity }).toEqual({ floor: 'reached', chain: 'whole', identity: 'own' })
      expect(['remains', 'unwritten']).toContain(tail)
    }
  })

  test('gives up entries only when an operator accepted the loss', () => {
    const givingUp: RecoveryAction[] = ['giveUp', 'giveUpOlder']
    for (const observation of everyObservation)
      if (givingUp.includes(decide(observation).action)) expect(observation.acceptLoss).toBe(true)
  })

  test('never touches another database or a newer format, whatever was accepted', () => {
    for (const observation of everyObservation.filter(({ identity }) => identity !== 'own'))
      expect(decide(observation).rule).toBe('R0')
  })

  test.each([
    [{}, 'R8', 'open'],
    [{ tail: 'remains' }, 'R5', 'truncate'],
    [{ tail: 'unwritten' }, 'R5', 'truncate'],
    [{ tail: 'remains', floor: 'missed' }, 'R6', 'refuseCorrupt'],
    [{ tail: 'unwritten', floor: 'missed' }, 'R6', 'refuseCorrupt'],
    [{ tail: 'damaged' }, 'R6', 'refuseCorrupt'],
    [{ tail: 'misplaced' }, 'R6', 'refuseCorrupt'],
    [{ chain: 'broken' }, 'R6', 'refuseCorrupt'],
    [{ chain: 'brokenBefore', acceptLoss: true }, 'R6', 'giveUpOlder'],
    [{ floor: 'missed' }, 'R7', 'refuseMissing'],
    [{ floor: 'missed', acceptLoss: true }, 'R7', 'giveUp'],
    [{ chain: 'startMissing', acceptLoss: true }, 'R7', 'refuseMissing'],
    [{ identity: 'foreign' }, 'R0', 'refuseForeign'],
  ] as const)('%j is %s %s', (changes, rule, action) => {
    expect(decide({ ...fine, ...changes })).toMatchObject({ rule, action })
  })
})

describe('a follower of the journal (R9)', () => {
  test.each([
    [{ applied: 'within', digest: 'same' }, 'keep'],
    [{ applied: 'within', digest: 'unknown' }, 'keep'],
    [{ applied: 'within', digest: 'different' }, 'discard'],
    [{ applied: 'aboveEnd', digest: 'same' }, 'discard'],
    [{ applied: 'aboveEnd', digest: 'unknown' }, 'discard'],
    [{ applied: 'aboveEnd', digest: 'different' }, 'discard'],
  ] as const)('with %j has to %s its state', (observation, decision) => {
    expect(decideFollower(observation)).toBe(decision)
  })
})
