import type { ArchiveStatus } from '../archive/archive-target.ts'
import { connectHttp } from '../client/connect-adapter.ts'
import type { NodeComparison } from '../replication/state-comparison.ts'
import type { JournalUse } from '../supervisor/child-report.ts'
import type { DatabaseStatus } from '../supervisor/control-protocol.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { list, table } from './table.ts'
import { findTarget, statusOf, type Target, timeoutOf } from './target.ts'
import type { Terminal } from './terminal.ts'

const mebibyte = 1_048_576

export async function status(terminal: Terminal, flags: Flags): Promise<number> {
  const target = await findTarget(flags)
  const found = target.kind === 'url' ? await statusOfUrl(target, timeoutOf(flags)) : await statusOf(target.dataDir)
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : forPeople(found))
  return exitCodes.done
}

async function statusOfUrl(target: Extract<Target, { kind: 'url' }>, timeoutMs: number): Promise<DatabaseStatus> {
  const db = await connectHttp({ ...target, timeoutMs }).open()
  try {
    return (await db.status()) as DatabaseStatus
  } finally {
    await db.close()
  }
}

function forPeople({
  ready,
  role,
  replication,
  dataDir,
  url,
  lsn,
  journal,
  archive,
  parked,
  storeTrouble,
  attestation,
  processes,
}: DatabaseStatus): string {
  const summary = list([
    ['ready', ready ? 'yes' : 'no'],
    ['role', replication === null ? role : `${role} in epoch ${replication.epoch}${leaderText(replication.leader)}`],
    ['data', dataDir],
    ['url', url],
    ['lsn', `written ${lsn.written}, flushed ${lsn.flushed}, checkpoint ${lsn.checkpoint}`],
    ...(journal === null ? [] : [['journal', useOf(journal)] as const]),
    ...(archive === null ? [] : archiveLines(archive)),
    ...(storeTrouble === null ? [] : [['store', `NOTHING IS APPLIED: ${storeTrouble.message}`] as const]),
    ...(parked === null ? [] : [['parked', parkedText(parked)] as const]),
    ['states', attestationText(attestation)],
    ...(attestation?.nodes ?? []).map((one) => ['', nodeText(one)] as const),
  ])
  const head = ['process', 'pid', 'state', 'restarts', 'memory', 'loop', 'applied', 'behind']
  const rows = processes.map(({ name, pid, state, restarts, rssBytes, eventLoopLagMs, appliedLsn, lag, degraded }) => [
    name,
    pid,
    degraded ? `${state} (degraded)` : state,
    restarts,
    rssBytes === null ? null : `${Math.round(rssBytes / mebibyte)} MiB`,
    eventLoopLagMs === null ? null : `${Math.round(eventLoopLagMs)} ms`,
    appliedLsn,
    lag?.lsns,
  ])
  return `${summary}\n${table(head, rows)}`
}

function leaderText(leader: NonNullable<DatabaseStatus['replication']>['leader']): string {
  return leader === null ? ', no leader known' : `, led by ${leader.id} at ${leader.url ?? leader.address}`
}

/** How far the archive is behind, and why. */
function archiveLines(archive: ArchiveStatus): [string, string][] {
  const { location, archivedLsn, waitingSegments, waitingBytes, failures, error } = archive
  const waiting = `${waitingSegments} ${waitingSegments === 1 ? 'segment' : 'segments'} waiting`
  const lag = waitingSegments === 0 ? 'none waiting' : `${waiting} (${Math.round(waitingBytes / mebibyte)} MiB)`
  const lines: [string, string][] = [['archive', `${location}, up to LSN ${archivedLsn}, ${lag}`]]
  if (error !== null) lines.push(['', `FAILING (${error.code}, ${failures} in a row): ${error.message}`])
  return lines
}

function parkedText({ commands, workflows }: NonNullable<DatabaseStatus['parked']>): string {
  const counts = [
    ...(commands === 0 ? [] : [`${commands} ${commands === 1 ? 'command' : 'commands'} (commanderdb command list)`]),
    ...(workflows === 0
      ? []
      : [`${workflows} ${workflows === 1 ? 'workflow' : 'workflows'} (commanderdb workflow list --status parked)`]),
  ]
  return counts.length === 0 ? 'nothing' : counts.join(', ')
}

function useOf({ firstLsn, bytes, maxBytes, heldBy }: JournalUse): string {
  const mebibytes = (size: number): string => `${Math.round(size / mebibyte)} MiB`
  const held = heldBy === null ? '' : `, older segments held by ${heldBy}`
  return `${mebibytes(bytes)} of at most ${mebibytes(maxBytes)}, from LSN ${firstLsn}${held}`
}

function nodeText({ node, agreedLsn, difference }: NodeComparison): string {
  if (difference === null) return `node ${node} agrees after entry ${agreedLsn}`
  const { lsn, hash, ownHash } = difference
  return `NODE ${node} HAS ANOTHER STATE after entry ${lsn}: ${hash}, here ${ownHash}; see the log`
}

function attestationText(attestation: DatabaseStatus['attestation']): string {
  if (attestation === null || attestation.agreedLsn === 0) return 'not compared yet'
  const { agreedLsn, agreedHash, divergences, quarantined, storeIsSuspect } = attestation
  const found = divergences === 0 ? '' : `; ${divergences} diverged`
  const out = quarantined.length === 0 ? '' : `; quarantined: ${quarantined.join(', ')}`
  return `agreed after entry ${agreedLsn} (${agreedHash})${found}${out}${storeIsSuspect ? '; the store is suspect' : ''}`
}
