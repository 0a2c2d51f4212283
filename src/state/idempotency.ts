import type { IdempotencyKey } from '../actions/action.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { NumberMap } from '../kernel/number-map.ts'

/** What is known of a key that was used. */
export interface KeyRecord {
  /** The command that the key was saved with. */
  readonly lsn: Lsn
  readonly digest: Uint8Array
  readonly expiresAtMs: number
}

/** Keys that are in the store already. */
export interface KeyLookup {
  /**
   * What the store has of the key from before `at`, whoever has used it since. `expiredUntilMs`: keys with an expiry up
   * to here no longer count for the reader, and need not be there any more.
   * @throws CommanderError `stale_state` when the store has forgotten what the reader would have to know
   */
  (key: string, at: Lsn, expiredUntilMs: number): KeyRecord | undefined
  /** Sees all that is in the store by now; without it a reader may be a millisecond behind. */
  readonly refresh?: () => void
}

interface Session {
  lastLsn: Lsn
  answeredBelow: number
  /** Calls from `answeredBelow` on, by their number. */
  readonly calls: NumberMap<Lsn>
}

export interface IdempotencySlice {
  readonly sessions: Map<number, Session>
  /** Keys with an expiry up to here no longer count. */
  expiredUntilMs: number
  /** How many keys expire in which minute; says when the next expiry is due without keeping the keys. */
  readonly expiriesByMinute: Map<number, number>
  /** Keys too new to be sure that the store has them. A cache, not part of the state: see `forgetSavedKeys`. */
  readonly recentKeys: Map<string, KeyRecord>
  readonly lookup: KeyLookup
}

export const emptyIdempotency = (lookup: KeyLookup): IdempotencySlice => ({
  sessions: new Map(),
  expiredUntilMs: 0,
  expiriesByMinute: new Map(),
  recentKeys: new Map(),
  lookup,
})

const minuteMs = 60_000

/** A call that the client says it had answered already; it has no use for the outcome. */
export const answeredLongAgo: Lsn = lsn(-1)

/**
 * The command that this call repeats, or 0 when it is new, which is then remembered as the command that it `became`;
 * `null`: it became none, and is decided again should it come once more.
 * A client numbers its calls and says below which number it has all answers, so that a session never holds more than
 * what is under way (as in RIFL: Lee et al., "Implementing Linearizability at Large Scale and Low Latency", SOSP 2015).
 */
export function rememberCall(
  slice: IdempotencySlice,
  sessionId: number,
  sequence: number,
  answeredBelow: number,
  at: Lsn,
  became: Lsn | null = at,
): Lsn {
  let session = slice.sessions.get(sessionId)
  if (session === undefined) {
    session = { lastLsn: at, answeredBelow, calls: new NumberMap() }
    slice.sessions.set(sessionId, session)
    if (slice.sessions.size > limits.sessionsMax) forgetOldestSession(slice)
  }
  session.lastLsn = at
  if (sequence < session.answeredBelow) return answeredLongAgo
  const known = session.calls.get(sequence)
  if (known !== undefined) return known
  forgetAnswered(session, answeredBelow)
  if (became === null) return lsn(0)
  // Only a client that does not keep to its window gets here. It loses all its calls and not its oldest: which those are
  // would depend on the order in which the map was filled, and the state must not.
  if (session.calls.size >= limits.sessionWindowMax) session.calls.clear()
  if (sequence >= session.answeredBelow) session.calls.set(sequence, became)
  return lsn(0)
}

function forgetAnswered(session: Session, answeredBelow: number): void {
  const { calls } = session
  if (answeredBelow - session.answeredBelow > calls.size) {
    for (const sequence of calls.keys()) if (sequence < answeredBelow) calls.delete(sequence)
  } else {
    for (let sequence = session.answeredBelow; sequence < answeredBelow; sequence++) calls.delete(sequence)
  }
  if (answeredBelow > session.answeredBelow) session.answeredBelow = answeredBelow
}

function forgetOldestSession(slice: IdempotencySlice): void {
  let oldest = 0
  let oldestLsn: number = Number.POSITIVE_INFINITY
  for (const [id, session] of slice.sessions) {
    if (session.lastLsn >= oldestLsn) continue
    oldest = id
    oldestLsn = session.lastLsn
  }
  slice.sessions.delete(oldest)
}

/**
 * What is known of the key before `at`, as every process decides it that has applied the entries before `at`.
 * @throws CommanderError `stale_state` when this process is so far behind that it cannot tell
 */
export function findKey(slice: IdempotencySlice, key: string, at: Lsn): KeyRecord | undefined {
  const record = slice.recentKeys.get(key) ?? slice.lookup(key, at, slice.expiredUntilMs)
  if (record === undefined || record.lsn >= at || record.expiresAtMs <= slice.expiredUntilMs) return undefined
  return record
}

/** The key was used before for something else. */
export const isConflict = (key: IdempotencyKey, record: KeyRecord): boolean =>
  Buffer.compare(key.digest, record.digest) !== 0

/**
 * The key counts up to the first `idempotency-key/expired` that is `ttlMs` or more later. By a clock that was set back
 * it would count for less than that, or not at all: its time begins no earlier than the last expiry.
 */
export function saveKey(slice: IdempotencySlice, key: IdempotencyKey, at: Lsn, receivedAtMs: number): KeyRecord {
  const expiresAtMs = Math.ceil(Math.max(receivedAtMs, slice.expiredUntilMs)) + key.ttlMs
  const record = { lsn: at, digest: key.digest, expiresAtMs }
  slice.recentKeys.set(key.key, record)
  const minute = Math.ceil(expiresAtMs / minuteMs)
  slice.expiriesByMinute.set(minute, (slice.expiriesByMinute.get(minute) ?? 0) + 1)
  return record
}

/** A key whose time ends at `untilMs` is over, too. */
export function expireKeys(slice: IdempotencySlice, untilMs: number): void {
  if (untilMs <= slice.expiredUntilMs) return
  slice.expiredUntilMs = untilMs
  for (const minute of slice.expiriesByMinute.keys()) {
    if (minute * minuteMs <= untilMs) slice.expiriesByMinute.delete(minute)
  }
}

/** The next wall time at which keys expire, or null when there is none. */
export function nextExpiryMs(slice: IdempotencySlice): number | null {
  let next = Number.POSITIVE_INFINITY
  for (const minute of slice.expiriesByMinute.keys()) if (minute < next) next = minute
  return next === Number.POSITIVE_INFINITY ? null : next * minuteMs
}

/** The store has applied up to `applied`: keys up to there are found by look-up from now on. */
export function forgetSavedKeys(slice: IdempotencySlice, applied: Lsn): void {
  if (slice.recentKeys.size > 0) slice.lookup.refresh?.()
  for (const [key, record] of slice.recentKeys) {
    if (record.lsn > applied) return
    slice.recentKeys.delete(key)
  }
}
