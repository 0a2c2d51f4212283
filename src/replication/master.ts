import { unreachable } from '../kernel/assert.ts'
import { limits } from '../kernel/limits.ts'
import type {
  MasterEffect,
  MasterEvent,
  MasterOptions,
  MasterState,
  MasterStep,
  StreamView,
  Suggestion,
} from './master-state.ts'
import { byLoad, type Candidate, chooseGroup } from './placement.ts'
import { inTurn } from './step.ts'
import { openSegmentOf, type StreamMeta } from './stream-meta.ts'
import { nothingSuggested } from './suggestion.ts'

export const newMaster = (options: MasterOptions, nowMs: number): MasterState => ({
  options,
  nodes: new Map(),
  servers: new Map(),
  streams: new Map(),
  ordered: 0,
  orderedMs: nowMs,
  startedMs: nowMs,
  nowMs,
})

/**
 * | seen | suggested |
 * |---|---|
 * | the leader was not heard of for a while | another node, the one that has most; a further one after twice the time |
 * | a member of the open group was not heard of | a group with another server in its place |
 * | one member has two segments more than a server that has none of this stream | the latter in its place |
 * | too few servers for the policy and its spares | the orchestrator is asked for more |
 * | more without anything to do than may be | the last of them is given back |
 */
export function stepMaster(state: MasterState, event: MasterEvent): MasterStep {
  switch (event.kind) {
    case 'tick':
      return onTick({ ...state, nowMs: event.nowMs })
    case 'nodeHeard': {
      const { id, incarnation, ends } = event
      return idle({ ...state, nodes: new Map(state.nodes).set(id, { id, incarnation, ends, heardMs: state.nowMs }) })
    }
    case 'serverHeard': {
      const { kind: _, ...server } = event
      const ordered = state.servers.has(server.id) ? state.ordered : Math.max(0, state.ordered - 1)
      const servers = new Map(state.servers).set(server.id, { ...server, heardMs: state.nowMs })
      return idle({ ...state, servers, ordered })
    }
    case 'metaSeen':
      return idle(onMeta(state, event.meta))
    case 'streamDeleted':
      return idle({ ...state, streams: new Map([...state.streams].filter(([name]) => name !== event.stream)) })
    default:
      return unreachable(event)
  }
}

const idle = (state: MasterState): MasterStep => ({ state, effects: [] })

/** What it sees may be old: an epoch never falls. */
function onMeta(state: MasterState, meta: StreamMeta): MasterState {
  const known = state.streams.get(meta.stream)
  if (known !== undefined && known.meta.epoch > meta.epoch) return state
  const isNew = known === undefined || known.meta.epoch < meta.epoch
  const { suggestion, suggestedMs, attempts } = known ?? { suggestion: null, suggestedMs: 0, attempts: 0 }
  const view: StreamView = { meta, suggestion: isNew ? null : suggestion, suggestedMs, attempts }
  return { ...state, streams: new Map(state.streams).set(meta.stream, view) }
}

/** Who has just begun has heard of nobody, and takes nobody for silent. */
function onTick(state: MasterState): MasterStep {
  const { leaderSilenceMs, silenceMs } = state.options
  if (state.nowMs - state.startedMs < Math.max(leaderSilenceMs, silenceMs)) return idle(state)
  const parts = [...state.streams.keys()].map((stream) => (before: MasterState) => watch(before, stream))
  return inTurn(state, ...parts, order)
}

function watch(state: MasterState, stream: string): MasterStep {
  const view = state.streams.get(stream) as StreamView
  return isLed(state, view.meta) ? regroup(state, { ...view, attempts: 0 }) : suggestLeader(state, view)
}

const isLed = ({ nodes, nowMs, options }: MasterState, { leader }: StreamMeta): boolean => {
  const heard = leader === null ? undefined : nodes.get(leader.id)
  return (
    heard !== undefined && heard.incarnation === leader?.incarnation && nowMs - heard.heardMs < options.leaderSilenceMs
  )
}

/** Each waits longer than the one before: two candidates that go on disturbing each other would get nowhere. */
function suggestLeader(state: MasterState, view: StreamView): MasterStep {
  const { nodes, nowMs, options } = state
  const { stream, epoch, leader } = view.meta
  const pauseMs = options.leaseMs * 2 ** Math.min(view.attempts, limits.backoffDoublingsMax)
  if (view.attempts > 0 && nowMs - view.suggestedMs < pauseMs) return idle(state)
  const alive = [...nodes.values()]
    .filter(
      ({ heardMs, incarnation }) => nowMs - heardMs < options.leaderSilenceMs && incarnation !== leader?.incarnation,
    )
    .sort((a, b) => (b.ends.get(stream) ?? 0) - (a.ends.get(stream) ?? 0) || (a.id < b.id ? -1 : 1))
  // Who was asked and does not lead may not be able to: the next one is asked.
  const chosen = alive[view.attempts % Math.max(1, alive.length)]
  if (chosen === undefined) return idle(state)
  return suggest(state, { ...view, attempts: view.attempts + 1 }, { epoch, leader: chosen.id })
}

function regroup(state: MasterState, view: StreamView): MasterStep {
  const open = openSegmentOf(view.meta)
  if (open === null) return idle(withView(state, view))
  const candidates = candidatesOf(state)
  const { mayShareDevice } = state.options
  const whole = chooseGroup(candidates, open.policy.replicas, open.group, mayShareDevice)
  const isWhole = whole === null || sameServers(whole, open.group)
  const group = isWhole ? balanced(candidates, open.group, mayShareDevice) : whole
  if (group === null) return idle(withView(state, view))
  const { suggestion, suggestedMs } = view
  // Again after a while: the leader did not see it, or could not do it.
  const isFresh = state.nowMs - suggestedMs < state.options.silenceMs
  if (isFresh && suggestion?.group != null && sameServers(suggestion.group, group)) return idle(withView(state, view))
  return suggest(state, view, { epoch: view.meta.epoch, group })
}

/** One server less with much to do, one more with little; null where that evens nothing out. */
function balanced(
  candidates: readonly Candidate[],
  group: readonly string[],
  mayShareDevice: boolean,
): readonly string[] | null {
  const alive = candidates.filter(({ isAlive }) => isAlive).sort(byLoad)
  const least = alive.find(({ id }) => !group.includes(id))
  const most = alive.findLast(({ id }) => group.includes(id))
  if (least === undefined || most === undefined || most.segments - least.segments < 2) return null
  const wanted = [...group.filter((id) => id !== most.id), least.id]
  const checked = chooseGroup(candidates, group.length, wanted, mayShareDevice)
  return checked !== null && sameServers(checked, wanted) ? wanted : null
}

function candidatesOf({ servers, streams, nowMs, options }: MasterState): readonly Candidate[] {
  const groups = [...streams.values()].map(({ meta }) => openSegmentOf(meta)?.group ?? [])
  return [...servers.values()].map(({ id, host, device, bytes, heardMs }) => ({
    id,
    host,
    device,
    bytes,
    isAlive: nowMs - heardMs < options.silenceMs,
    segments: groups.filter((group) => group.includes(id)).length,
  }))
}

const sameServers = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((id) => b.includes(id))

const withView = (state: MasterState, view: StreamView): MasterState => ({
  ...state,
  streams: new Map(state.streams).set(view.meta.stream, view),
})

function suggest(
  state: MasterState,
  view: StreamView,
  wanted: Partial<Suggestion> & Pick<Suggestion, 'epoch'>,
): MasterStep {
  const { stream } = view.meta
  const suggestion: Suggestion = { ...nothingSuggested, ...wanted }
  return {
    state: withView(state, { ...view, suggestion, suggestedMs: state.nowMs }),
    effects: [{ do: 'suggest', stream, suggestion }],
  }
}

/** More servers, or fewer, of the orchestrator. One that holds anything, sealed or open, is never given back. */
function order(state: MasterState): MasterStep {
  const { options, streams, nowMs } = state
  const { policy, spares, silenceMs } = options
  if (spares === null) return idle(state)
  const metas = [...streams.values()].map(({ meta }) => meta)
  const replicas = Math.max(policy.replicas, ...metas.map((meta) => openSegmentOf(meta)?.policy.replicas ?? 0))
  const alive = candidatesOf(state).filter(({ isAlive }) => isAlive)
  const missing = replicas + spares.min - alive.length
  // What was ordered long ago and never came is ordered again.
  const ordered = nowMs - state.orderedMs > 10 * silenceMs ? 0 : state.ordered
  if (missing > ordered) {
    const effects: MasterEffect[] = [{ do: 'provision', count: missing - ordered }]
    return { state: { ...state, ordered: missing, orderedMs: nowMs }, effects }
  }
  const used = new Set(metas.flatMap(({ segments }) => segments.flatMap(({ group }) => group)))
  const unused = alive.filter(({ id }) => !used.has(id)).sort(byLoad)
  const last = unused.findLast(({ host }) => spares.host === null || host === spares.host)
  if (last === undefined || unused.length <= spares.max || missing >= 0) return idle({ ...state, ordered })
  const servers = new Map([...state.servers].filter(([id]) => id !== last.id))
  return { state: { ...state, ordered, servers }, effects: [{ do: 'deprovision', server: last.id }] }
}
