import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Badness, checkHistory } from '../../torture/cluster/check-history.ts'
import type { Append, AppendOutcome, History, LogEntry, Read } from '../../torture/cluster/history.ts'

const unknown: AppendOutcome = { kind: 'unknown' }
const not: AppendOutcome = { kind: 'not' }
const ok = (lsn: number): AppendOutcome => ({ kind: 'ok', lsn })

const append = (id: string, startMs: number, endMs: number, outcome: AppendOutcome, key = 'k'): Append => ({
  id,
  key,
  bytes: `bytes of ${id}`,
  startMs,
  endMs,
  outcome,
})
const entry = (id: string, lsn: number, key = 'k'): LogEntry => ({ id, key, lsn, bytes: `bytes of ${id}` })
const read = (startMs: number, entries: readonly LogEntry[], more: Partial<Read> = {}): Read => ({
  session: 's',
  mode: 'known',
  key: 'k',
  startMs,
  endMs: startMs + 1,
  from: 1,
  entries,
  ...more,
})

/** Two acknowledged commands one after the other, one of which nobody knows, one that was refused; another stream beside it. */
const appends = [
  append('a', 0, 10, ok(2)),
  append('b', 20, 30, ok(4)),
  append('c', 40, 90, unknown),
  append('d', 50, 60, not),
  append('e', 20, 35, ok(5), 'other'),
]
const [a, b, c, e] = [entry('a', 2), entry('b', 4), entry('c', 9), entry('e', 5, 'other')]
const log = [a, b, e, c]
const badnesses = (history: Partial<History>, found: readonly LogEntry[] = log): Badness[] =>
  checkHistory({ appends, reads: [], ...history }, found).map(({ badness }) => badness)
const withReads = (...reads: Read[]): Badness[] => badnesses({ reads })

describe('a history', () => {
  it('is good whether or not the log has what nobody knows of, early or late', () => {
    expect(badnesses({})).toEqual([])
    expect(badnesses({}, [a, b, e])).toEqual([])
    expect(badnesses({}, [a, b, e, entry('c', 1000)])).toEqual([])
  })

  it('is bad when an acknowledged command is not in the log', () => {
    expect(badnesses({}, [a, e])).toEqual(['lost'])
  })

  it('is bad when a command has other bytes than were sent, or is in another stream', () => {
    expect(badnesses({}, [a, { ...b, bytes: 'others' }, e])).toEqual(['altered'])
    expect(badnesses({}, [a, { ...b, key: 'other' }, e])).toEqual(['altered'])
    expect(badnesses({}, [a, b, e, { ...c, bytes: 'others' }])).toEqual(['altered'])
  })

  it('is bad when a command is at another place than was acknowledged', () => {
    expect(badnesses({}, [a, { ...b, lsn: 3 }, e])).toEqual(['moved'])
  })

  it('is bad when a command is in the log twice, acknowledged or not', () => {
    expect(badnesses({}, [...log, { ...b, lsn: 11 }])).toEqual(['duplicated'])
    expect(badnesses({}, [...log, { ...c, lsn: 11 }])).toEqual(['duplicated'])
  })

  it('is bad when the log has what nobody sent', () => {
    expect(badnesses({}, [...log, entry('z', 11)])).toEqual(['phantom'])
  })

  it('is bad when the log has what was certainly refused', () => {
    expect(badnesses({}, [...log, entry('d', 11)])).toEqual(['refused'])
  })

  it('is bad when the log is not in order', () => {
    expect(badnesses({}, [b, a, e, c])).toEqual(['unordered'])
    expect(badnesses({}, [a, b, e, { ...c, lsn: 5 }])).toEqual(['unordered', 'overtaken'])
  })

  it('is bad when a command comes before one that had ended when it was begun', () => {
    const swapped = [append('a', 0, 10, ok(4)), append('b', 20, 30, ok(2))]
    const found = [entry('b', 2), entry('a', 4)]
    expect(badnesses({ appends: swapped }, found)).toEqual(['overtaken'])
    const atOnce = [append('a', 0, 21, ok(4)), append('b', 20, 30, ok(2))]
    expect(badnesses({ appends: atOnce }, found)).toEqual([])
    const late = [append('a', 0, 10, ok(4)), append('b', 20, 30, unknown)]
    expect(badnesses({ appends: late }, found)).toEqual(['overtaken'])
    const early = [append('a', 0, 10, unknown), append('b', 20, 30, ok(2))]
    expect(badnesses({ appends: early }, found)).toEqual([])
  })

  it('that has two commands of one name, or a session that reads twice at once, is none', () => {
    expect(() => badnesses({ appends: [...appends, append('a', 0, 1, not)] })).toThrow('one id')
    expect(() => withReads(read(50, [a]), read(50.5, [a]))).toThrow('do not follow each other')
  })
})

describe('reads of what a node knows', () => {
  it('are good when they show beginnings of the log that grow', () => {
    const growing = [read(1, []), read(12, [a]), read(50, [a, b]), read(95, [a, b, c])]
    expect(withReads(...growing, read(98, [c], { from: 3 }), read(100, [], { from: 4 }))).toEqual([])
    expect(withReads(read(50, [a, b]), read(60, [a], { session: 'another' }))).toEqual([])
  })

  it('are bad when they show what is not there in the end, or is something else', () => {
    expect(badnesses({ reads: [read(50, [a, b, c])] }, [a, b, e])).toEqual(['misread'])
    expect(withReads(read(50, [a, { ...b, bytes: 'others' }]))).toEqual(['misread'])
    expect(withReads(read(50, [a, { ...b, lsn: 3 }]))).toEqual(['misread'])
    expect(withReads(read(50, [entry('z', 4)]))).toEqual(['misread'])
  })

  it('are bad when something is missing in the middle', () => {
    expect(withReads(read(50, [b]))).toEqual(['misread'])
    expect(withReads(read(95, [a, c]))).toEqual(['misread'])
  })

  it('are bad when they show what is sent later', () => {
    expect(withReads(read(12, [a, b]))).toEqual(['foreseen'])
  })

  it('are bad when a session sees less than before', () => {
    expect(withReads(read(50, [a, b]), read(60, [a]))).toEqual(['receded'])
    expect(withReads(read(50, [a, b]), read(60, [], { from: 2 }))).toEqual(['receded'])
  })

  it('are bad when a session sees less of one stream than another has shown it', () => {
    const other = read(50, [e], { key: 'other' })
    expect(withReads(other, read(60, [a]))).toEqual(['receded'])
    expect(withReads(other, read(60, [a, b]))).toEqual([])
    expect(withReads(read(60, [a, b]), { ...other, startMs: 70, endMs: 71, entries: [] })).toEqual([])
  })

  it('are good when they are behind', () => {
    expect(withReads(read(80, [a]))).toEqual([])
  })
})

describe('linearizable reads', () => {
  const linearizable = { mode: 'linearizable' } as const

  it('are good with all that was acknowledged before they began, and more or less of what was not', () => {
    expect(withReads(read(25, [a], linearizable), read(50, [a, b], linearizable))).toEqual([])
    expect(withReads(read(50, [a, b, c], linearizable))).toEqual([])
    expect(withReads(read(50, [b], { ...linearizable, from: 2 }))).toEqual([])
  })

  it('are bad without something that was acknowledged before they began', () => {
    expect(withReads(read(31, [a], linearizable))).toEqual(['stale'])
    expect(withReads(read(31, [], { ...linearizable, from: 2 }))).toEqual(['stale'])
  })
})

/** A log that is one, and clients that are told the truth of it. */
const goodHistories = fc.array(
  fc.record({
    key: fc.constantFrom('k', 'l'),
    takesMs: fc.integer({ min: 0, max: 20 }),
    doubt: fc.integer({ min: 0, max: 5 }),
    mode: fc.constantFrom('known' as const, 'linearizable' as const),
    lag: fc.integer({ min: 0, max: 4 }),
  }),
  { maxLength: 40 },
)

function historyOf(steps: readonly (typeof goodHistories extends fc.Arbitrary<readonly (infer S)[]> ? S : never)[]): {
  readonly history: History
  readonly log: readonly LogEntry[]
} {
  const made: LogEntry[] = []
  const appended: Append[] = []
  const reads: Read[] = []
  const known = new Map<string, number>()
  steps.forEach(({ key, takesMs, doubt, mode, lag }, i) => {
    // It takes effect at 10 * i, and its call lies around that.
    const one = entry(`${i}`, 3 * i + 1, key)
    const outcome = doubt === 0 ? unknown : ok(one.lsn)
    made.push(one)
    appended.push(append(one.id, 10 * i - takesMs, 10 * i + takesMs, outcome, key))
    const upTo = mode === 'known' ? Math.max(known.get(mode) ?? 0, made.length - lag) : made.length
    known.set(mode, upTo)
    const shown = made.slice(0, upTo).filter((two) => two.key === key)
    reads.push(read(10 * i + 5, shown, { session: mode, mode, key }))
  })
  return { history: { appends: appended, reads }, log: made }
}

it('a history of one log is good, and bad without any acknowledged command of it', () => {
  fc.assert(
    fc.property(goodHistories, fc.nat(), (steps, pick) => {
      const { history, log: made } = historyOf(steps)
      expect(checkHistory(history, made)).toEqual([])
      const acknowledged = history.appends.filter(({ outcome }) => outcome.kind === 'ok')
      const gone = acknowledged[pick % Math.max(1, acknowledged.length)]
      if (gone === undefined) return
      const without = made.filter(({ id }) => id !== gone.id)
      expect(checkHistory(history, without).map(({ badness }) => badness)).toContain('lost')
    }),
  )
})
