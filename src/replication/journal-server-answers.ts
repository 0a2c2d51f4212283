import type { BatchHead } from './batch.ts'
import {
  type ServerEffect,
  type ServerEvent,
  type ServerSegment,
  type ServerStream,
  stateOf,
} from './journal-server-state.ts'
import type { Refusal, ServerRequest } from './messages.ts'
import type { Step } from './step.ts'

/** A request that is being handled. */
export type Handled = ServerEvent & { readonly kind: 'request' }

export function refused(state: ServerStream, event: Handled, refusal: Refusal): Step<ServerStream, ServerEffect> {
  const { stream, server, identity } = state
  const { request, from } = event
  const { id, epoch } = request
  const segmentEpoch = segmentOf(request)
  const answer = { kind: 'refused', id, stream, server, identity, epoch, segmentEpoch, refusal } as const
  return { state, effects: [{ do: 'answer', to: from, answer }] }
}

const segmentOf = (request: ServerRequest<BatchHead>) => ('segmentEpoch' in request ? request.segmentEpoch : null)

export function segmentStateAnswer(state: ServerStream, event: Handled, segment: ServerSegment): ServerEffect {
  const { stream, server, identity } = state
  const { id, epoch } = event.request
  const answer = { kind: 'segmentState', id, stream, server, identity, epoch, segment: stateOf(segment) } as const
  return { do: 'answer', to: event.from, answer }
}
