import type { ClusterOverview, ServerOverview, StreamOverview } from '../replication/cluster-overview.ts'
import type { ReplicationPolicy } from '../replication/replication-policy.ts'
import { type Cell, list, table } from './table.ts'

const mebibyte = 1_048_576

export function clusterText(overview: ClusterOverview & { readonly metadata: string }): string {
  const { clusterId, metadata, master, stream, nodes, servers } = overview
  const summary = list([
    ['cluster', clusterId],
    ['metadata', metadata],
    ['master', master ?? 'none is at work'],
    ...(stream === null ? [['journal', 'no node has led yet'] as const] : streamLines(stream)),
  ])
  const nodeRows = nodes.map(({ id, role, state, end, lag, attested, host, url, address }) => [
    id,
    role,
    state,
    end,
    lag,
    attested === null ? null : `${attested.hash.slice(0, 8)} at ${attested.lsn}`,
    host,
    url ?? address,
  ])
  const serverRows = servers.map((server): Cell[] => {
    const { id, state, isInGroup, tail, lag, diskBytes, host } = server
    return [id, state, isInGroup ? 'yes' : 'no', tail, lag, bytesText(diskBytes), host]
  })
  return [
    summary,
    table(['node', 'role', 'state', 'end', 'behind', 'hash', 'host', 'address'], nodeRows),
    table(['server', 'state', 'in group', 'tail', 'behind', 'disk', 'host'], serverRows),
  ].join('\n')
}

function streamLines({ epoch, leader, isLed, committed, trimmed, open, segments }: StreamOverview): [string, string][] {
  const who = leader === null ? 'nobody' : isLed ? leader.id : `${leader.id}, which is silent or not ready`
  return [
    ['leader', `${who}, epoch ${epoch}`],
    ['journal', `committed up to ${committed}, trimmed up to ${trimmed}, ${segments} segments`],
    ...(open === null
      ? []
      : [['open', `segment ${open.epoch} from ${open.base} on ${open.group.join(', ')}`] as [string, string]]),
    ...(open === null ? [] : [['policy', policyText(open.policy)] as [string, string]]),
  ]
}

export const policyText = ({ replicas, ackQuorum, topology }: ReplicationPolicy): string =>
  `${replicas} replicas, ${ackQuorum} acknowledge, ${topology}`

/** A line for each server, and one for each of its segments. */
export function serversText(servers: readonly ServerOverview[]): string {
  const head = ['server', 'state', 'disk', 'free', 'alarms', 'host', 'device', 'address']
  const rows = servers.map(({ id, state, diskBytes, freeBytes, alarms, host, device, address }): Cell[] => [
    id,
    state,
    bytesText(diskBytes),
    bytesText(freeBytes),
    alarms,
    host,
    device,
    address,
  ])
  const segments = servers.flatMap(({ id, segments: held }) =>
    held.map(({ epoch, base, state, isNamed, flushed, damagedRanges }): Cell[] => [
      id,
      epoch,
      isNamed ? state : `${state}, not of its group`,
      base,
      flushed,
      damagedRanges,
    ]),
  )
  return `${table(head, rows)}\n${table(['server', 'segment', 'state', 'from', 'flushed up to', 'damaged'], segments)}`
}

const bytesText = (bytes: number | null): string | null =>
  bytes === null ? null : `${Math.round((bytes / mebibyte) * 10) / 10} MiB`
