import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { KeyValueStore, WriteBatch } from '../../src/store/key-value-store.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { contractTables, write } from './store-contract.ts'

/** Keys are few, so that they collide; values are from nothing to several pages. */
const key = fc.nat(60).map((n) => Buffer.from([n % 7, ...Buffer.from(`k${n}`)]))
const table = fc.constantFrom('alpha', 'beta')
const change = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('put' as const), table, key, size: fc.nat(9000), fill: fc.nat(255) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), table, key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), table }) },
)
const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), changes: fc.array(change, { maxLength: 30 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('abort' as const), changes: fc.array(change, { maxLength: 30 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
)
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

function apply(batch: WriteBatch, changes: readonly Change[]): void {
  for (const made of changes) {
    if (made.kind === 'put') batch.put(made.table, made.key, Buffer.alloc(made.size, made.fill))
    else if (made.kind === 'delete') batch.delete(made.table, made.key)
    else batch.clear(made.table)
  }
}

function contents(store: KeyValueStore): string[] {
  return contractTables.flatMap((name) => [
    `${name}: ${store.table(name).count()}`,
    ...[...store.table(name).range({})].map(({ key, value }) => `${key.toString('hex')} ${value.length} ${value[0]}`),
    ...[...store.table(name).range({ reverse: true, limit: 5 })].map(({ key }) => key.toString('hex')),
  ])
}

const aborted = new Error('aborted')

async function perform(store: KeyValueStore, kind: 'commit' | 'abort', changes: readonly Change[]): Promise<void> {
  const fill = (batch: WriteBatch): void => {
    apply(batch, changes)
    if (kind === 'abort') throw aborted
  }
  if (kind === 'commit') await write(store, fill)
  else expect(() => store.write(fill, () => {})).toThrow(aborted)
}

describe('the two stores', () => {
  it('hold the same after the same transactions, some of them aborted, whenever LMDB is closed and opened', async () => {
    const environment = createSystemEnvironment()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
        const options = { path: path.join(directory, 'store'), tables: contractTables, environment }
        const memory = openMemoryStore({ tables: contractTables, environment })
        let lmdb = openLmdbStore({ ...options, readOnly: false })
        let reader = openLmdbStore({ ...options, readOnly: true })
        try {
          for (const taken of steps) {
            if (taken.kind === 'reopen') {
              await reader.close()
              await lmdb.close()
              lmdb = openLmdbStore({ ...options, readOnly: false })
              reader = openLmdbStore({ ...options, readOnly: true })
            } else {
              await perform(memory, taken.kind, taken.changes)
              await perform(lmdb, taken.kind, taken.changes)
            }
            const expected = contents(memory)
            expect(contents(lmdb)).toEqual(expected)
            reader.refresh()
            expect(contents(reader)).toEqual(expected)
          }
        } finally {
          await reader.close()
          await lmdb.close()
          fs.rmSync(directory, { recursive: true })
        }
      }),
      { numRuns: 40 },
    )
  })
})
