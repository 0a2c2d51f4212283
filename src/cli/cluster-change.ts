import type { WantedChange } from '../replication/placement-change.ts'
import type { OpenSegment } from '../replication/stream-meta.ts'
import { parseInteger } from './arguments.ts'
import { withCluster } from './cluster-place.ts'
import { policyText } from './cluster-text.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'
import type { Terminal } from './terminal.ts'

export async function seal(terminal: Terminal, flags: Flags): Promise<number> {
  const { before, after } = await withCluster(flags, ({ operator }) => operator.seal())
  const tail = after.base - 1
  const isEmpty = tail < before.base
  const result = { sealed: isEmpty ? null : { epoch: before.epoch, base: before.base, tail }, open: placeOf(after) }
  const what = isEmpty ? `segment ${before.epoch} had no entries` : `sealed segment ${before.epoch} at ${tail}`
  await say(terminal, flags, result, `${what}; segment ${after.epoch} is open on ${after.group.join(', ')}`)
  return exitCodes.done
}

export async function promote(terminal: Terminal, node: string, flags: Flags): Promise<number> {
  const { changed, before, after } = await withCluster(flags, ({ operator }) => operator.promote(node))
  const from = before.leader === null || before.leader === node ? '' : `, after ${before.leader}`
  const text = changed
    ? `${node} leads in epoch ${after.epoch}${from}`
    : `${node} leads already, in epoch ${after.epoch}`
  await say(terminal, flags, { changed, before, after }, text)
  return exitCodes.done
}

export async function reconfigure(terminal: Terminal, flags: Flags): Promise<number> {
  const change = changeOf(flags)
  const { changed, before, after } = await withCluster(flags, ({ operator }) => operator.reconfigure(change))
  const now = `segment ${after.epoch} on ${after.group.join(', ')}: ${policyText(after.policy)}`
  const result = { changed, before: placeOf(before), after: placeOf(after) }
  await say(terminal, flags, result, changed ? now : `nothing to change: ${now}`)
  return exitCodes.done
}

function changeOf({ group, replicas, ackQuorum, topology }: Flags): WantedChange {
  const change: WantedChange = {
    ...(typeof group === 'string' ? { group: groupOf(group) } : {}),
    ...(typeof replicas === 'string' ? { replicas: parseInteger('--replicas', replicas, 1) } : {}),
    ...(typeof ackQuorum === 'string' ? { ackQuorum: parseInteger('--ack-quorum', ackQuorum, 1) } : {}),
    ...(topology === 'fanout' || topology === 'chain' ? { topology } : {}),
  }
  if (Object.keys(change).length > 0) return change
  throw new UsageError('nothing is given to be changed: --group, --replicas, --ack-quorum or --topology')
}

function groupOf(text: string): readonly string[] {
  const ids = text.split(',').map((id) => id.trim())
  if (ids.every((id) => id !== '')) return ids
  throw new UsageError(`--group is "${text}", but must be ids with commas between them, for example a-1,b-1,c-1`)
}

const placeOf = ({ epoch, base, group, policy }: OpenSegment): Omit<OpenSegment, 'state' | 'baseDigest'> => ({
  epoch,
  base,
  group,
  policy,
})

const say = (terminal: Terminal, flags: Flags, result: object, text: string): Promise<void> =>
  terminal.out(`${flags['json'] === true ? JSON.stringify(result) : text}\n`)
