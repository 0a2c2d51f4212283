import { describe, expect, it } from 'vitest'
import type { Environment } from '../../../src/kernel/environment.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { type MemoryStore, openMemoryStore } from '../../../src/store/memory-store.ts'

const key = (text: string): Buffer => Buffer.from(text)

/** A store whose commits finish only when told to. */
function manualStore(): { store: MemoryStore; turn: () => void } {
  const waiting: (() => void)[] = []
  const scheduler = {
    soon: (run: () => void) => void waiting.push(run),
    after: (_delayMs: number, run: () => void) => {
      waiting.push(run)
      return { cancel: () => {} }
    },
  }
  const environment: Environment = { ...createSystemEnvironment(), scheduler }
  return { store: openMemoryStore({ tables: ['t'], environment }), turn: () => waiting.shift()?.() }
}

const put = (store: MemoryStore, name: string, log: string[]): void =>
  store.write(
    (batch) => batch.put('t', key(name), key(name)),
    () => log.push(name),
  )

const keysOf = (store: MemoryStore): string[] => [...store.table('t').range({})].map((entry) => entry.key.toString())

describe('the memory store', () => {
  it('shows a transaction when it is done and not before', () => {
    const { store, turn } = manualStore()
    const log: string[] = []
    put(store, 'a', log)
    expect(keysOf(store)).toEqual([])
    expect(log).toEqual([])
    turn()
    expect(keysOf(store)).toEqual(['a'])
    expect(log).toEqual(['a'])
  })

  it('falls back to the last finished flush when the power fails, whatever was put, deleted or cleared since', () => {
    const { store, turn } = manualStore()
    const log: string[] = []
    put(store, 'a', log)
    put(store, 'b', log)
    store.flush(() => log.push('flushed'))
    turn()
    turn()
    turn()
    put(store, 'c', log)
    store.write(
      (batch) => {
        batch.delete('t', key('a'))
        batch.put('t', key('b'), key('changed'))
      },
      () => log.push('changed'),
    )
    store.write(
      (batch) => batch.clear('t'),
      () => log.push('cleared'),
    )
    turn()
    turn()
    turn()
    expect(keysOf(store)).toEqual([])
    put(store, 'd', log)
    store.flush(() => log.push('never'))
    store.crash()
    turn()
    turn()
    expect(keysOf(store)).toEqual(['a', 'b'])
    expect(store.table('t').get(key('b'))).toEqual(key('b'))
    expect(log).toEqual(['a', 'b', 'flushed', 'c', 'changed', 'cleared'])
  })

  it('keeps what is committed when the process is killed, loses what is under way, and takes new writes', () => {
    const { store, turn } = manualStore()
    const log: string[] = []
    put(store, 'a', log)
    turn()
    put(store, 'b', log)
    store.crashProcess()
    put(store, 'c', log)
    turn()
    turn()
    expect(keysOf(store)).toEqual(['a', 'c'])
    expect(log).toEqual(['a', 'c'])
    store.crash()
    expect(keysOf(store)).toEqual([])
  })

  it('can be opened again after it was closed, and had been flushed by closing', async () => {
    const store = openMemoryStore({ tables: ['t'], environment: createSystemEnvironment() })
    put(store, 'a', [])
    await store.close()
    store.reopen()
    store.crash()
    expect(keysOf(store)).toEqual(['a'])
  })
})
