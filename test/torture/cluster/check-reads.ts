import type { Note } from './check-history.ts'
import type { Append, History, LogEntry, Read } from './history.ts'

/** H5 to H8: see `checkHistory`. */
export function checkReads({ appends, reads }: History, log: readonly LogEntry[], note: Note): void {
  const streams = Map.groupBy(log, ({ key }) => key)
  const sentMs = new Map(appends.map(({ id, startMs }) => [id, startMs]))
  for (const read of reads) {
    checkEntries(read, streams.get(read.key) ?? [], note)
    checkForesight(read, sentMs, note)
  }
  for (const [session, ofSession] of Map.groupBy(reads, (read) => read.session))
    checkSession(session, ofSession, streams, note)
  checkFreshness(reads, appends, streams, note)
}

const nameOf = ({ session, mode, key }: Read): string => `${session} (${mode}) of ${key}`

/** How many entries of the stream the reader knows of by this read. */
const countOf = ({ from, entries }: Read): number => (entries.length === 0 ? 0 : from - 1 + entries.length)

/** H5: from the number that was asked for on, without gaps, as the log has them in the end. */
function checkEntries(read: Read, stream: readonly LogEntry[], note: Note): void {
  for (const [i, { id, lsn, bytes, key }] of read.entries.entries()) {
    const place = read.from + i
    const is = stream[place - 1]
    if (is !== undefined && is.id === id && is.lsn === lsn && is.bytes === bytes && is.key === key) continue
    const now = is === undefined ? 'nothing' : `${is.id} at ${is.lsn} (${is.bytes})`
    note('misread', `${nameOf(read)} has ${id} at ${lsn} (${bytes}) as number ${place}, where ${now} is`)
    return
  }
}

/** H6 */
function checkForesight(read: Read, sentMs: ReadonlyMap<string, number>, note: Note): void {
  const early = read.entries.find(({ id }) => (sentMs.get(id) ?? Number.NEGATIVE_INFINITY) > read.endMs)
  if (early !== undefined) note('foreseen', `${nameOf(read)} has ${early.id}, which was sent when the read was over`)
}

/** H7: of every stream a session goes on seeing all up to the highest LSN that it has seen in any of them. */
function checkSession(
  session: string,
  reads: readonly Read[],
  streams: ReadonlyMap<string, readonly LogEntry[]>,
  note: Note,
): void {
  let seenLsn = 0
  let endMs = Number.NEGATIVE_INFINITY
  for (const read of reads) {
    if (read.startMs < endMs) throw new Error(`reads of session ${session} do not follow each other`)
    endMs = read.endMs
    const least = countUpTo(streams.get(read.key) ?? [], seenLsn)
    if (least >= read.from && countOf(read) < least)
      note('receded', `${nameOf(read)} shows ${countOf(read)} entries, and had seen LSN ${seenLsn}: ${least} of them`)
    seenLsn = Math.max(seenLsn, ...read.entries.map(({ lsn }) => lsn))
  }
}

/** H8: an entry before the first one that was asked for is not shown, and does not have to be. */
function checkFreshness(
  reads: readonly Read[],
  appends: readonly Append[],
  streams: ReadonlyMap<string, readonly LogEntry[]>,
  note: Note,
): void {
  const endedMs = new Map(appends.flatMap(({ id, endMs, outcome }) => (outcome.kind === 'ok' ? [[id, endMs]] : [])))
  for (const read of reads) {
    if (read.mode !== 'linearizable') continue
    const unseen = (streams.get(read.key) ?? []).slice(read.from - 1 + read.entries.length)
    const missing = unseen.find(({ id }) => (endedMs.get(id) ?? Number.POSITIVE_INFINITY) < read.startMs)
    if (missing !== undefined) note('stale', `${nameOf(read)} is without ${missing.id}, acknowledged before it began`)
  }
}

/** Of entries in the order of their LSNs. */
function countUpTo(stream: readonly LogEntry[], lsn: number): number {
  let low = 0
  let high = stream.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((stream[middle] as LogEntry).lsn <= lsn) low = middle + 1
    else high = middle
  }
  return low
}
