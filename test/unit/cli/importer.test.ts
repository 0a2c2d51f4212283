import { describe, expect, it } from 'vitest'
import { LineError } from '../../../src/cli/csv-adapter.ts'
import type { ImportRow } from '../../../src/cli/import-row.ts'
import { readNdjson } from '../../../src/cli/import-source.ts'
import { Importer, type ImporterOptions } from '../../../src/cli/importer.ts'
import type { ClientOutcome } from '../../../src/client.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'

interface Call {
  readonly id: string
  readonly data: unknown
  readonly key: string
}

/** Rows are `[account, data]`; the line and the key follow from their place. */
async function* rowsOf(rows: readonly (readonly [id: string, data: unknown])[]): AsyncGenerator<ImportRow> {
  for (const [i, [id, data]] of rows.entries()) {
    const command = { aggregate: 'account', id, command: 'deposit', data, idempotencyKey: `k${i + 1}` }
    yield { line: i + 1, bytes: 100 * (i + 1), command }
  }
}

const outcome = (fields: object = {}): ClientOutcome =>
  ({
    outcome: 'completed',
    id: '1',
    lsn: 1,
    durability: 'flushed',
    duplicate: false,
    events: [],
    ...fields,
  }) as ClientOutcome

function importerOf(
  execute: (call: Call, attempt: number) => Promise<ClientOutcome> | ClientOutcome,
  options: Partial<ImporterOptions> = {},
): { importer: Importer; calls: Call[]; mostAtOnce: () => number } {
  const calls: Call[] = []
  let underWay = 0
  let most = 0
  let nowMs = 0
  const importer = new Importer({
    execute: async ({ id, data }, key) => {
      calls.push({ id, data, key })
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay--
      return execute({ id, data, key }, calls.filter((call) => call.key === key).length)
    },
    newKey: () => 'made',
    concurrency: 4,
    timeoutMs: 1000,
    nowMs: () => nowMs,
    sleep: async (delayMs) => {
      nowMs += delayMs
    },
    progress: () => {},
    ...options,
  })
  return { importer, calls, mostAtOnce: () => most }
}

const many = Array.from({ length: 200 }, (_, i) => [String((i * 7) % 13), i] as const)

describe('an importer', () => {
  it('sends the rows of one aggregate one after the other, in order, and those of others meanwhile', async () => {
    const done = new Map<string, number[]>()
    const { importer, mostAtOnce } = importerOf(({ id, data }) => {
      done.set(id, [...(done.get(id) ?? []), data as number])
      return outcome()
    })
    await importer.run(rowsOf(many))
    for (const [id, order] of done) expect(order).toEqual(many.filter((row) => row[0] === id).map(([, data]) => data))
    expect(mostAtOnce()).toBe(4)
    expect(importer.counts).toEqual({ read: 200, completed: 200, rejected: 0, parked: 0, delayed: 0, duplicates: 0 })
  })

  it('asks a row again under the same key while the database is away, and lets none of its aggregate pass', async () => {
    const away = ['connection_lost', 'timeout', 'not_ready', 'no_database'] as const
    const { importer, calls } = importerOf((_, attempt) => {
      const code = away[attempt - 1]
      if (code !== undefined) throw new CommanderError(code, 'away')
      return outcome()
    })
    await importer.run(
      rowsOf([
        ['a', 1],
        ['a', 2],
      ]),
    )
    expect(calls.map(({ key }) => key)).toEqual([...new Array(5).fill('k1'), ...new Array(5).fill('k2')])
    expect(importer.counts.completed).toBe(2)
  })

  it('gives a row up when its time is over, and names its line', async () => {
    const { importer } = importerOf(({ id }) => {
      if (id === 'b') throw new CommanderError('not_ready', 'starting')
      return outcome()
    })
    const failing = importer.run(
      rowsOf([
        ['a', 1],
        ['b', 2],
      ]),
    )
    await expect(failing).rejects.toMatchObject({ line: 2, message: 'not_ready: starting' })
    expect(importer.counts.completed).toBe(1)
  })

  it('gives a row without a key one of its own, and keeps it', async () => {
    const { importer, calls } = importerOf((_, attempt) => {
      if (attempt === 1) throw new CommanderError('timeout', 'late')
      return outcome()
    })
    const command = { aggregate: 'account', id: 'a', command: 'deposit' }
    async function* rows(): AsyncGenerator<ImportRow> {
      yield { line: 1, bytes: 10, command }
    }
    await importer.run(rows())
    expect(calls.map(({ key }) => key)).toEqual(['made', 'made'])
  })

  it('counts what came of the rows; what was done before is a duplicate, however it ended', async () => {
    const outcomes = [
      outcome(),
      outcome({ outcome: 'rejected' }),
      outcome({ outcome: 'parked' }),
      outcome({ duplicate: true }),
      outcome({ outcome: 'rejected', duplicate: true }),
    ]
    const { importer } = importerOf(({ data }) => outcomes[data as number] as ClientOutcome)
    await importer.run(rowsOf(outcomes.map((_, i) => [String(i), i])))
    expect(importer.counts).toEqual({ read: 5, completed: 1, rejected: 1, parked: 1, delayed: 0, duplicates: 2 })
  })

  it('does every row before one that is refused, and none behind it on the same aggregate', async () => {
    const rows = [...many.slice(0, 100), ['bad', 0] as const, ['bad', 1] as const, ...many.slice(100)]
    const { importer, calls } = importerOf(({ id }) => {
      if (id === 'bad') throw new CommanderError('schema_violation', 'wrong')
      return outcome()
    })
    await expect(importer.run(rowsOf(rows))).rejects.toMatchObject({ line: 101, message: 'schema_violation: wrong' })
    const sent = new Set(calls.map(({ key }) => Number(key.slice(1))))
    expect([...sent].filter((line) => line <= 101)).toHaveLength(101)
    expect(sent.has(102)).toBe(false)
    expect(sent.size).toBeLessThan(202)
  })

  it('takes no more rows once it is stopped, and waits for those under way', async () => {
    const { importer, calls } = importerOf(({ data }) => {
      if (data === 20) importer.stop()
      return outcome()
    })
    await importer.run(rowsOf(many))
    expect(importer.counts.completed).toBe(calls.length)
    expect(calls.length).toBeLessThan(40)
  })

  it('reads no further ahead than its bounds while an aggregate is busy', async () => {
    let taken = 0
    async function* rows(): AsyncGenerator<ImportRow> {
      for await (const row of rowsOf(new Array(50).fill(['hot', 1]))) {
        taken++
        // A megabyte each: 32 of them are the bound.
        yield { ...row, bytes: row.line * 1_048_576 }
      }
    }
    let mostAhead = 0
    const { importer } = importerOf(() => {
      mostAhead = Math.max(mostAhead, taken - importer.counts.read)
      return outcome()
    })
    await importer.run(rows())
    expect(importer.counts.completed).toBe(50)
    expect(mostAhead).toBeGreaterThan(10)
    expect(mostAhead).toBeLessThanOrEqual(34)
  })
})

describe('NDJSON', () => {
  const read = async (...chunks: readonly string[]): Promise<ImportRow[]> => {
    const rows: ImportRow[] = []
    async function* source(): AsyncGenerator<Buffer> {
      for (const chunk of chunks) yield Buffer.from(chunk, 'latin1')
    }
    for await (const row of readNdjson(source())) rows.push(row)
    return rows
  }
  const row = '{"aggregate":"a","id":"1","command":"c"}'

  it('is read line by line, over the borders of chunks, with empty lines and any line ends', async () => {
    const rows = await read(row.slice(0, 5), `${row.slice(5)}\r\n\r\n  \n`, row)
    expect(rows.map(({ line, bytes }) => [line, bytes])).toEqual([
      [1, row.length + 2],
      [4, 2 * row.length + 8],
    ])
    expect(rows[0]?.command).toEqual({ aggregate: 'a', id: '1', command: 'c' })
  })

  it.each<[string, string, RegExp]>([
    ['that is not JSON', '{', /JSON/],
    ['that is not UTF-8', '"\xff"', /encoded/i],
    ['that is null', 'null', /null.*object/],
    ['with an empty key', '{"aggregate":"a","id":"1","command":"c","idempotencyKey":""}', /idempotencyKey/],
  ])('%s fails with its line', async (_, text, message) => {
    await expect(read(`${row}\n${text}\n`)).rejects.toThrow(message)
    await expect(read(`${row}\n${text}\n`)).rejects.toMatchObject({ line: 2 })
    await expect(read(`${row}\n${text}\n`)).rejects.toBeInstanceOf(LineError)
  })

  it('without line ends does not fill the memory', async () => {
    const chunk = 'x'.repeat(1_000_000)
    await expect(read(`${row}\n`, ...new Array(10).fill(chunk))).rejects.toMatchObject({
      line: 2,
      message: expect.stringMatching(/8388608/),
    })
  })
})
