import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { contractTables, type StoreFixture, storeContract } from './store-contract.ts'

const environment = createSystemEnvironment()

async function lmdbFixture(): Promise<StoreFixture> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  const options = { path: path.join(directory, 'store'), tables: contractTables, environment }
  const writer = openLmdbStore({ ...options, readOnly: false })
  const handles: KeyValueStore[] = [writer]
  return {
    writer,
    reader() {
      const reader = openLmdbStore({ ...options, readOnly: true })
      handles.push(reader)
      return reader
    },
    async remove() {
      for (const handle of handles.reverse()) await handle.close()
      fs.rmSync(directory, { recursive: true })
    },
  }
}

async function memoryFixture(commitDelayMs?: () => number): Promise<StoreFixture> {
  const options = { tables: contractTables, environment }
  const writer = openMemoryStore(commitDelayMs === undefined ? options : { ...options, commitDelayMs })
  return { writer, reader: () => writer.reader(), remove: async () => writer.close() }
}

storeContract('LMDB store', lmdbFixture)
storeContract('memory store', () => memoryFixture())
storeContract('memory store with slow commits', () => memoryFixture(() => 2))
