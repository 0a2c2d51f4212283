import { checkReads } from './check-reads.ts'
import type { Append, History, LogEntry } from './history.ts'

export type Badness =
  /** H1 Acknowledged, and not in the log. */
  | 'lost'
  /** H1 In the log with other bytes, or in another stream, than were sent. */
  | 'altered'
  /** H1 In the log at another place than the acknowledgement said. */
  | 'moved'
  /** H2 In the log more than once. */
  | 'duplicated'
  /** H3 In the log, and nobody sent it. */
  | 'phantom'
  /** H3 In the log, though its sender was told that it certainly is not. */
  | 'refused'
  /** H4 LSNs of the log do not rise. */
  | 'unordered'
  /** H4 Before a command that had ended before this one was begun. */
  | 'overtaken'
  /** H5 Read, and not in the log, or there as something else or elsewhere. */
  | 'misread'
  /** H6 Read before anybody had sent it. */
  | 'foreseen'
  /** H7 A session saw less than it had seen before. */
  | 'receded'
  /** H8 A linearizable read without a command that was acknowledged before it began. */
  | 'stale'

export interface Finding {
  readonly badness: Badness
  readonly text: string
}

/**
 * Holds what clients did and were told against the log as it is in the end: acknowledged commands are there once and as they were
 * sent (H1, H2), nothing else is but what may be (H3), the order is one that real time allows (H4), and reads show nothing but a
 * beginning of that log (H5), of what had been sent (H6), which grows (H7) and, where it is to be, is up to date (H8).
 *
 * @param log in the order in which the database tells it
 */
export function checkHistory(history: History, log: readonly LogEntry[]): readonly Finding[] {
  const { appends } = history
  const findings: Finding[] = []
  const note = (badness: Badness, text: string): void => void findings.push({ badness, text })
  const sent = new Map(appends.map((append) => [append.id, append]))
  if (sent.size < appends.length) throw new Error('two commands of the history have one id')
  const found = checkLog(log, sent, note)
  for (const append of appends) checkAppend(append, found.get(append.id), note)
  checkOrder(appends, found, note)
  checkReads(history, log, note)
  return findings
}

export type Note = (badness: Badness, text: string) => void

/** H2, H3, H4: @returns the first entry of each id. */
function checkLog(
  log: readonly LogEntry[],
  sent: ReadonlyMap<string, Append>,
  note: Note,
): ReadonlyMap<string, LogEntry> {
  const found = new Map<string, LogEntry>()
  let lastLsn = 0
  for (const entry of log) {
    const { id, lsn } = entry
    if (lsn <= lastLsn) note('unordered', `${id} at ${lsn} comes behind ${lastLsn}`)
    lastLsn = lsn
    const first = found.get(id)
    if (first !== undefined) note('duplicated', `${id} is at ${first.lsn} and at ${lsn}`)
    else found.set(id, entry)
    if (!sent.has(id)) note('phantom', `${id} at ${lsn} was sent by nobody`)
  }
  return found
}

function checkAppend({ id, key, bytes, outcome }: Append, entry: LogEntry | undefined, note: Note): void {
  if (entry === undefined) {
    if (outcome.kind === 'ok') note('lost', `${id} was acknowledged at ${outcome.lsn} and is not there`)
    return
  }
  if (entry.bytes !== bytes || entry.key !== key)
    note('altered', `${id} was sent as ${bytes} of ${key} and is ${entry.bytes} of ${entry.key} at ${entry.lsn}`)
  if (outcome.kind === 'not') note('refused', `${id} is at ${entry.lsn}, and its sender was told that it is not`)
  if (outcome.kind === 'ok' && outcome.lsn !== entry.lsn)
    note('moved', `${id} was acknowledged at ${outcome.lsn} and is at ${entry.lsn}`)
}

/** H4: whatever had ended before a command was begun has a lower LSN. Of those that had, one with the highest tells. */
function checkOrder(appends: readonly Append[], found: ReadonlyMap<string, LogEntry>, note: Note): void {
  const ended = appends.filter(({ outcome }) => outcome.kind === 'ok').sort((a, b) => a.endMs - b.endMs)
  let next = 0
  let highest: LogEntry | undefined
  for (const { id, startMs } of [...appends].sort((a, b) => a.startMs - b.startMs)) {
    for (; next < ended.length && (ended[next] as Append).endMs < startMs; next++) {
      const entry = found.get((ended[next] as Append).id)
      if (entry !== undefined && entry.lsn > (highest?.lsn ?? 0)) highest = entry
    }
    const entry = found.get(id)
    if (entry !== undefined && highest !== undefined && entry.lsn <= highest.lsn)
      note('overtaken', `${id} is at ${entry.lsn}, and ${highest.id}, which had ended before, at ${highest.lsn}`)
  }
}
