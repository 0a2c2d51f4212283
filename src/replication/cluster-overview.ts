import type { ClusterFacts } from './cluster-facts.ts'
import type { SegmentState, ServerId } from './messages.ts'
import type { SurveyedNode } from './node-survey.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import type { SurveyedServer } from './server-survey.ts'
import { commonStates } from './state-comparison.ts'
import { openSegmentOf, type StreamMeta, sealedEndOf } from './stream-meta.ts'

/** What `commanderdb cluster status --json` prints. LSNs are numbers; null: not known, or nobody. */
export interface ClusterOverview {
  readonly clusterId: string | null
  /** The node whose master is at work. */
  readonly master: string | null
  readonly stream: StreamOverview | null
  readonly nodes: readonly NodeOverview[]
  readonly servers: readonly ServerOverview[]
}

export interface StreamOverview {
  readonly name: string
  readonly epoch: number
  readonly leader: { readonly id: string; readonly address: string } | null
  /** A leader is recorded, has opened its segment, its lease lasts, and it is up. */
  readonly isLed: boolean
  /** As far as those who answer know. */
  readonly committed: number
  readonly trimmed: number
  readonly segments: number
  readonly open: {
    readonly epoch: number
    readonly base: number
    readonly group: readonly ServerId[]
    readonly policy: ReplicationPolicy
  } | null
}

export interface NodeOverview {
  readonly id: string
  readonly role: 'leader' | 'follower'
  /** `silent`: no connection to it could be made. */
  readonly state: 'up' | 'silent'
  /** Of what it has of the stream, as of the last second or so. */
  readonly end: number
  /** Entries behind what is committed. */
  readonly lag: number
  readonly host: string
  readonly address: string
  readonly url: string | null
  readonly incarnation: string
  /** Its state after the newest entry of which all nodes say theirs, by its hash: where these differ, something is wrong. */
  readonly attested: { readonly lsn: number; readonly hash: string } | null
  /** Why it is silent; null: it is not. */
  readonly error: string | null
}

export interface ServerOverview {
  readonly id: ServerId
  /** `silent`: it did not answer. `leaving`: an operator takes it out of the cluster. */
  readonly state: 'up' | 'silent' | 'leaving'
  readonly isInGroup: boolean
  /** What it has flushed of the open segment. */
  readonly tail: number | null
  readonly lag: number | null
  readonly diskBytes: number | null
  readonly freeBytes: number | null
  /** Since it started; each is in its log. */
  readonly alarms: number | null
  readonly host: string
  readonly device: string
  readonly address: string
  readonly identity: string
  readonly segments: readonly SegmentOverview[]
  /** Why it did not answer; null: it did. */
  readonly error: string | null
}

/** A segment that names the server, or that it has. */
export interface SegmentOverview {
  readonly epoch: number
  readonly base: number
  readonly state: 'open' | 'sealed' | 'unknown'
  /** The record names it in the segment's group. */
  readonly isNamed: boolean
  /** null: it did not say, or has nothing of it. */
  readonly flushed: number | null
  readonly damagedRanges: number
}

/** What journal servers and nodes said; null: nothing. */
export interface Surveyed {
  readonly server: (id: ServerId) => SurveyedServer | null
  readonly node: (id: string) => SurveyedNode | null
  /** Of those that said nothing: why. */
  readonly serverError: (server: RegisteredServer) => string
  readonly nodeError: (id: string) => string | null
}

export function overviewOf(
  facts: ClusterFacts,
  stream: string,
  { server: said, node: heard, serverError, nodeError }: Surveyed,
): ClusterOverview {
  const { clusterId, meta, master, nodes, servers } = facts
  const statesOf = (id: ServerId): readonly SegmentState[] => said(id)?.streams.get(stream)?.segments ?? []
  const states = servers.flatMap(({ id }) => statesOf(id))
  const tails = nodes.map(({ id }) => heard(id)?.committed ?? 0)
  const committed = meta === null ? 0 : Math.max(committedOf(meta, states), ...tails)
  const open = meta === null ? null : openSegmentOf(meta)
  const attested = commonStates(nodes)
  return {
    clusterId,
    master: master?.id ?? null,
    stream: meta === null ? null : streamOverview(facts, meta, committed, heard),
    nodes: nodes
      .map(({ id, incarnation, host, address, url, end }) => {
        const role = meta?.leader?.incarnation === incarnation ? ('leader' as const) : ('follower' as const)
        const state = heard(id) === null ? ('silent' as const) : ('up' as const)
        const error = state === 'silent' ? nodeError(id) : null
        const lag = Math.max(0, committed - end)
        const hash = attested.get(id) ?? null
        return { id, role, state, end, lag, host, address, url, incarnation, attested: hash, error }
      })
      .sort(byId),
    servers: servers
      .map((server): ServerOverview => {
        const { id, host, device, address, identity } = server
        const found = said(id)
        const state = server.state === 'leaving' ? 'leaving' : found === null ? 'silent' : 'up'
        const tail = statesOf(id).find(({ segmentEpoch }) => segmentEpoch === open?.epoch)?.flushed ?? null
        return {
          id,
          state,
          isInGroup: open?.group.includes(id) === true,
          tail,
          lag: tail === null ? null : Math.max(0, committed - tail),
          diskBytes: found?.report.diskBytes ?? null,
          freeBytes: found?.report.freeBytes ?? null,
          alarms: found?.report.alarms ?? null,
          host,
          device,
          address,
          identity,
          segments: segmentsOf(id, meta, statesOf(id)),
          error: found === null ? serverError(server) : null,
        }
      })
      .sort(byId),
  }
}

function streamOverview(
  { isLeased }: ClusterFacts,
  meta: StreamMeta,
  committed: number,
  heard: Surveyed['node'],
): StreamOverview {
  const open = openSegmentOf(meta)
  const { stream, epoch, leader, trimLsn, segments } = meta
  return {
    name: stream,
    epoch,
    leader: leader === null ? null : { id: leader.id, address: leader.address },
    isLed: leader !== null && isLeased && open?.epoch === epoch && heard(leader.id) !== null,
    committed,
    trimmed: trimLsn,
    segments: segments.length,
    open: open === null ? null : { epoch: open.epoch, base: open.base, group: open.group, policy: open.policy },
  }
}

/** Servers are told what is committed; the sealed end is, whoever says so. */
function committedOf(meta: StreamMeta, states: readonly SegmentState[]): number {
  const known = meta.segments.map(({ epoch }) => epoch)
  const hints = states.filter(({ segmentEpoch }) => known.includes(segmentEpoch)).map(({ committed }) => committed)
  return Math.max(sealedEndOf(meta).tail, ...hints)
}

function segmentsOf(
  id: ServerId,
  meta: StreamMeta | null,
  states: readonly SegmentState[],
): readonly SegmentOverview[] {
  const named = (meta?.segments ?? []).filter(({ group }) => group.includes(id))
  const all = new Set([...named.map(({ epoch }) => epoch), ...states.map(({ segmentEpoch }) => segmentEpoch)])
  return [...all]
    .sort((a, b) => a - b)
    .map((epoch) => {
      const record = meta?.segments.find((one) => one.epoch === epoch)
      const state = states.find(({ segmentEpoch }) => segmentEpoch === epoch)
      return {
        epoch,
        base: record?.base ?? state?.base ?? 0,
        state: record?.state ?? 'unknown',
        isNamed: named.some((one) => one.epoch === epoch),
        flushed: state?.flushed ?? null,
        damagedRanges: state?.damaged.length ?? 0,
      }
    })
}

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)
