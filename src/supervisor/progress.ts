import type { ReportFields } from './child-report.ts'

interface Followed {
  readonly applied: number
  readonly attested: { readonly at: number; readonly hash: string } | null
}

/** How far a process is that follows the journal, and what it said of its state. */
export function progressOf({ applied, attested }: Followed): ReportFields {
  if (attested === null) return { appliedLsn: applied }
  return { appliedLsn: applied, attested: { lsn: attested.at, hash: attested.hash } }
}
