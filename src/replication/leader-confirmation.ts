import { limits } from '../kernel/limits.ts'
import {
  type Confirmation,
  epochOf,
  isRolling,
  type LeaderEffect,
  type LeaderState,
  type LeaderStep,
} from './leader-state.ts'
import type { ConfirmedAnswer } from './messages.ts'
import { rules } from './rules.ts'

/** I12: begins a round for the reads that wait, or asks again whoever has not answered. */
export function resumeConfirmation(state: LeaderState): LeaderStep {
  if (!rules.mayConfirm(isRolling(state)) || !rules.mayCount(state.isGroupConfirmed)) return { state, effects: [] }
  const { confirmation } = state
  if (confirmation !== null) {
    const isLate = state.nowMs - confirmation.askedMs >= limits.replicationRetryMs
    return isLate ? ask(state, confirmation) : { state, effects: [] }
  }
  if (state.readers.length === 0) return { state, effects: [] }
  const [id, lsn, readers] = [state.nextId, state.committed.lsn, state.readers]
  const begun: Confirmation = { id, lsn, readers, answered: new Set(), askedMs: state.nowMs }
  return ask({ ...state, nextId: id + 1, readers: [] }, begun)
}

function ask(state: LeaderState, confirmation: Confirmation): LeaderStep {
  const { id, answered } = confirmation
  const { stream, open } = state
  const left = [...open.members.values()].filter(({ member }) => !answered.has(member.id))
  const request = { kind: 'confirm', id, stream, epoch: epochOf(state) } as const
  return {
    state: { ...state, confirmation: { ...confirmation, askedMs: state.nowMs } },
    effects: left.map(({ member }): LeaderEffect => ({ do: 'send', to: member, request })),
  }
}

export function confirmedBy(state: LeaderState, answer: ConfirmedAnswer): LeaderStep {
  const { confirmation, open } = state
  const { server, id, epoch } = answer
  const isOfRound = confirmation !== null && confirmation.id === id && epoch === epochOf(state)
  if (!isOfRound || !rules.isRegistered(open.members.get(server)?.member, answer)) return { state, effects: [] }
  const answered = new Set(confirmation.answered).add(server)
  if (answered.size < rules.confirmQuorum(open.policy))
    return { state: { ...state, confirmation: { ...confirmation, answered } }, effects: [] }
  const effects = confirmation.readers.map(
    (reader): LeaderEffect => ({ do: 'confirmed', reader, lsn: confirmation.lsn }),
  )
  return { state: { ...state, confirmation: null }, effects }
}
