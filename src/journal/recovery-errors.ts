import { CommanderError } from '../kernel/errors.ts'
import type { JournalScan } from './journal-scan.ts'
import type { RecoveryAction, RecoveryCase } from './recovery-table.ts'

/** Why the journal is not opened; `null` when it is. */
export function refusal({ action, rule, because }: RecoveryCase, scan: JournalScan): CommanderError | null {
  const refusing: { readonly [Action in RecoveryAction]?: () => CommanderError } = {
    refuseForeign: () => foreign(scan),
    refuseNewer: () => newer(scan),
    refuseCorrupt: () => corrupt(rule, scan, because),
    refuseMissing: () => missing(rule, scan),
  }
  return refusing[action]?.() ?? null
}

function foreign({ segments }: JournalScan): CommanderError {
  const segment = segments[0]?.name
  return new CommanderError(
    'foreign_database',
    `the journal belongs to another database: segment ${segment} has another journal or server id; point dataDir at the right directory`,
    { details: { segment } },
  )
}

function newer({ newerVersion }: JournalScan): CommanderError {
  return new CommanderError(
    'unsupported_version',
    `the journal has format version ${newerVersion}; use the CommanderDB release that wrote it`,
    { details: { version: newerVersion } },
  )
}

function corrupt(rule: string, { bad, end, floorLsn }: JournalScan, because: string): CommanderError {
  const place = bad ?? {
    segment: end.segment?.name ?? '',
    offset: end.position,
    lsn: end.nextLsn,
    reason: 'the journal ends',
  }
  return new CommanderError(
    'journal_corrupt',
    `the journal is damaged in segment ${place.segment} at byte ${place.offset}, where LSN ${place.lsn} should be: ${place.reason} (${rule}: ${because}). ` +
      `Put that segment back from the archive or a replica, or start once with --accept-loss to give up LSN ${place.lsn} and everything after it`,
    { details: { segment: place.segment, offset: place.offset, lsn: place.lsn, rule, floorLsn } },
  )
}

function missing(rule: string, { bad, end, floorLsn, chain }: JournalScan): CommanderError {
  const segment = bad?.segment ?? end.segment?.name ?? null
  const details = { segment, offset: bad?.offset ?? end.position, lsn: bad?.lsn ?? end.nextLsn, rule, floorLsn }
  if (chain === 'startMissing')
    return new CommanderError(
      'journal_corrupt',
      `entries from LSN ${details.lsn} on are needed, but ${bad?.reason} (${rule}): put the older segments back from the archive, or restore a backup`,
      { details },
    )
  return new CommanderError(
    'journal_corrupt',
    `the journal ends at LSN ${end.nextLsn - 1}, but entries up to LSN ${floorLsn} had been flushed (${rule}): acknowledged entries are missing. ` +
      `Put the segments back from the archive or a replica, or start once with --accept-loss to go on from LSN ${end.nextLsn}`,
    { details },
  )
}
