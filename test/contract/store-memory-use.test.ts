import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { numberKey } from '../../src/store/keys.ts'
import { mappedBytes } from '../../src/store/lmdb-residency.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { write } from './store-contract.ts'

const mebibyte = 2 ** 20
const entries = 64_000

let directory: string
let handles: KeyValueStore[]

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  handles = []
})

afterEach(async () => {
  for (const handle of handles) await handle.close()
  fs.rmSync(directory, { recursive: true })
})

function open(readOnly: boolean, residentBytesMax: number): KeyValueStore {
  const environment = createSystemEnvironment()
  const options = { path: path.join(directory, 'store'), tables: ['t'], readOnly, residentBytesMax, environment }
  const handle = openLmdbStore(options)
  handles.push(handle)
  return handle
}

/** About 64 MiB. */
async function fillStore(store: KeyValueStore): Promise<void> {
  for (let start = 0; start < entries; start += 4000) {
    await write(store, (batch) => {
      for (let i = start; i < start + 4000; i++) batch.put('t', numberKey(i), Buffer.alloc(900, i))
    })
  }
}

/** Reads everything, a part in each turn; returns the most that was mapped between two turns. */
async function readAll(store: KeyValueStore): Promise<number> {
  let most = 0
  for (let i = 0; i < entries; i++) {
    if (!store.table('t').get(numberKey(i))?.equals(Buffer.alloc(900, i))) expect.unreachable(`wrong value ${i}`)
    if (i % 1000 !== 999) continue
    await new Promise((resolve) => setImmediate(resolve))
    most = Math.max(most, mappedBytes())
  }
  return most
}

describe('the memory that the LMDB store keeps mapped', () => {
  it('stays near its limit for a writer and a reader who touch all of a larger store, and both go on as before', async () => {
    const writer = open(false, 8 * mebibyte)
    const reader = open(true, 8 * mebibyte)
    const baseBytes = mappedBytes()
    await fillStore(writer)
    expect(mappedBytes() - baseBytes).toBeLessThan(24 * mebibyte)
    expect((await readAll(reader)) - baseBytes).toBeLessThan(24 * mebibyte)
    await write(writer, (batch) => batch.put('t', numberKey(7), Buffer.from('new')))
    reader.refresh()
    expect(reader.table('t').get(numberKey(7))).toEqual(Buffer.from('new'))
    expect(reader.table('t').count()).toBe(entries)
  })

  it('would be all of the store without a limit', async () => {
    const writer = open(false, 1024 * mebibyte)
    await fillStore(writer)
    const baseBytes = mappedBytes()
    expect((await readAll(writer)) - baseBytes).toBeGreaterThan(24 * mebibyte)
  })

  it('is not let go of under a snapshot', async () => {
    const writer = open(false, mebibyte)
    const reader = open(true, mebibyte)
    await fillStore(writer)
    reader.snapshot(() => {
      const before = [...reader.table('t').range({ limit: 10 })]
      for (let i = 0; i < entries; i++) reader.table('t').get(numberKey(i))
      writer.write(
        (batch) => batch.delete('t', numberKey(3)),
        () => {},
      )
      expect([...reader.table('t').range({ limit: 10 })]).toEqual(before)
    })
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    expect(reader.table('t').get(numberKey(3))).toBeUndefined()
  })
})
