import { limits } from '../kernel/limits.ts'
import type { Step } from './step.ts'

/**
 * When a node tries to lead. A lease is only a hint (O1): it says when it is worth trying, never that it is allowed. The one that the master
 * suggests goes first, the others after a time that is drawn, and doubles with every try that was lost, so that candidates that
 * disturb each other come apart.
 */
export interface CampaignState {
  readonly leaseMs: number
  /** Tries lost in a row. */
  readonly losses: number
  /** When to try; null while somebody leads. */
  readonly dueMs: number | null
  readonly isRunning: boolean
}

export type CampaignEvent =
  /** What is known of the lease; `chance` in [0, 1) is drawn for it. */
  | {
      readonly kind: 'leaseSeen'
      readonly isHeld: boolean
      readonly nowMs: number
      readonly chance: number
      /** Another one is suggested. Default false. */
      readonly isAfter?: boolean
    }
  /** The master wants this node, or somebody called `campaign`. */
  | { readonly kind: 'suggested'; readonly nowMs: number }
  | { readonly kind: 'lost'; readonly nowMs: number; readonly chance: number }
  | { readonly kind: 'led' }
  | { readonly kind: 'deposed' }
  /** It gave up the lead to another one, who goes first. */
  | { readonly kind: 'yielded'; readonly nowMs: number }
  | { readonly kind: 'tick'; readonly nowMs: number }

export interface CampaignEffect {
  readonly do: 'campaign'
}

type CampaignStep = Step<CampaignState, CampaignEffect>

export const newCampaign = (leaseMs: number): CampaignState => ({ leaseMs, losses: 0, dueMs: null, isRunning: false })

export function stepCampaign(state: CampaignState, event: CampaignEvent): CampaignStep {
  const { isRunning, dueMs, losses } = state
  switch (event.kind) {
    case 'leaseSeen':
      if (event.isHeld) return idle({ ...state, dueMs: null, losses: isRunning ? losses : 0 })
      if (isRunning || dueMs !== null) return idle(state)
      return idle({
        ...state,
        dueMs: event.nowMs + pauseMs(state, event.chance) + (event.isAfter === true ? state.leaseMs / 2 : 0),
      })
    case 'suggested':
      return isRunning ? idle(state) : begin(state)
    case 'lost': {
      const after = { ...state, isRunning: false, losses: losses + 1 }
      return idle({ ...after, dueMs: event.nowMs + pauseMs(after, event.chance) })
    }
    case 'led':
      return idle({ ...state, losses: 0, dueMs: null, isRunning: true })
    case 'deposed':
      return idle({ ...state, isRunning: false, dueMs: null })
    case 'yielded':
      return idle({ ...state, isRunning: false, dueMs: event.nowMs + state.leaseMs })
    case 'tick':
      return !isRunning && dueMs !== null && event.nowMs >= dueMs ? begin(state) : idle(state)
  }
}

const idle = (state: CampaignState): CampaignStep => ({ state, effects: [] })

const begin = (state: CampaignState): CampaignStep => ({
  state: { ...state, isRunning: true, dueMs: null },
  effects: [{ do: 'campaign' }],
})

/** From nothing to a quarter of the lease at first, twice that after each loss. */
const pauseMs = ({ leaseMs, losses }: CampaignState, chance: number): number =>
  chance * (leaseMs / 4) * 2 ** Math.min(losses, limits.backoffDoublingsMax)
