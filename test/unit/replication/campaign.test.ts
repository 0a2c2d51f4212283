import { describe, expect, it } from 'vitest'
import { type CampaignEvent, type CampaignState, newCampaign, stepCampaign } from '../../../src/replication/campaign.ts'

function run(...events: readonly CampaignEvent[]): { readonly state: CampaignState; readonly tries: number } {
  let state = newCampaign(1_000)
  let tries = 0
  for (const event of events) {
    const step = stepCampaign(state, event)
    state = step.state
    tries += step.effects.length
  }
  return { state, tries }
}

const gone = (nowMs: number, chance = 0.5): CampaignEvent => ({ kind: 'leaseSeen', isHeld: false, nowMs, chance })
const held: CampaignEvent = { kind: 'leaseSeen', isHeld: true, nowMs: 0, chance: 0 }
const tick = (nowMs: number): CampaignEvent => ({ kind: 'tick', nowMs })

describe('a node', () => {
  it('tries to lead when nobody does, after a moment that is drawn', () => {
    expect(run(gone(0), tick(100)).tries).toBe(0)
    expect(run(gone(0), tick(125)).tries).toBe(1)
    expect(run(gone(0), gone(100), tick(125)).tries).toBe(1)
  })

  it('does not try when somebody leads by then', () => {
    expect(run(gone(0), held, tick(1_000)).tries).toBe(0)
  })

  it('goes first when it was suggested, and never twice at once', () => {
    expect(run({ kind: 'suggested', nowMs: 0 }, { kind: 'suggested', nowMs: 1 }, gone(5), tick(9_000)).tries).toBe(1)
  })

  it('leaves the first try to the one that is suggested, and to the one that it gave the lead to', () => {
    const after: CampaignEvent = { ...gone(0), isAfter: true } as CampaignEvent
    expect([run(after, tick(624)).tries, run(after, tick(625)).tries]).toEqual([0, 1])
    const yielded: CampaignEvent = { kind: 'yielded', nowMs: 0 }
    expect(run({ kind: 'led' }, yielded, gone(1), tick(999)).tries).toBe(0)
    expect(run({ kind: 'led' }, yielded, gone(1), tick(1_000)).tries).toBe(1)
    expect(run({ kind: 'led' }, yielded, held, tick(9_000)).tries).toBe(0)
  })

  it('waits twice as long after each loss, up to a bound', () => {
    const lost = (nowMs: number): CampaignEvent => ({ kind: 'lost', nowMs, chance: 1 })
    const dueAfter = (losses: number): number | null =>
      run(...Array.from({ length: losses }, () => lost(0))).state.dueMs
    expect([1, 2, 3].map(dueAfter)).toEqual([500, 1_000, 2_000])
    expect(dueAfter(50)).toBe(dueAfter(60))
  })

  it('begins anew after it has led', () => {
    expect(run({ kind: 'led' }, gone(0), tick(9_000)).tries).toBe(0)
    const { state, tries } = run(
      { kind: 'lost', nowMs: 0, chance: 1 },
      { kind: 'led' },
      { kind: 'deposed' },
      gone(0),
      tick(250),
    )
    expect([state.losses, tries]).toEqual([0, 1])
  })
})
