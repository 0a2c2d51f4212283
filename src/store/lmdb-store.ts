import { open } from 'lmdb'
import { assert } from '../kernel/assert.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import type { KeyValueStore } from './key-value-store.ts'
import { flushData, inspectData, prepareDirectory, requireData } from './lmdb-directory.ts'
import { LmdbEnvironment, type OpenRoot } from './lmdb-environment.ts'
import { storeFailure } from './lmdb-errors.ts'
import { LmdbGate } from './lmdb-gate.ts'
import { LmdbHandle } from './lmdb-handle.ts'
import type { LmdbStoreOptions } from './lmdb-options.ts'
import { tablesMax } from './store-limits.ts'

/**
 * The store over LMDB, through lmdb-js. One process writes; any number read, through memory maps, without locks.
 * Within one process the writing handle is opened before the reading ones.
 *
 * @throws CommanderError `not_ready` (read-only, and no writer has made the store or one of its tables yet),
 * `foreign_database`, `unsupported_version`, `store_failed`
 */
export function openLmdbStore(options: LmdbStoreOptions): KeyValueStore {
  assert(options.tables.length <= tablesMax, `a store has at most ${tablesMax} tables`)
  const openRoot = open as unknown as OpenRoot
  if (options.readOnly) requireData(options.path)
  else prepareDirectory(options.path, (path) => new LmdbEnvironment({ ...options, path }, openRoot).close())
  return new LmdbHandle(options, openRoot)
}

/**
 * Copies the store as of one transaction into a new directory, while another process writes it: its data file, free
 * pages and all. The copy is flushed.
 *
 * @throws CommanderError `not_ready`, `foreign_database`, `unsupported_version`, `store_failed`
 */
export async function copyLmdbStore(options: Omit<LmdbStoreOptions, 'readOnly'>, to: string): Promise<void> {
  requireData(options.path)
  inspectData(options.path, true)
  const openRoot = open as unknown as OpenRoot
  const gate = new LmdbGate(options.path)
  try {
    const environment = gate.hold(() => new LmdbEnvironment({ ...options, readOnly: true }, openRoot))
    await copyFrom(environment, to).finally(() => gate.hold(() => environment.close()))
  } finally {
    gate.close()
  }
}

async function copyFrom(environment: LmdbEnvironment, to: string): Promise<void> {
  try {
    makeDirectoryNow(to)
    await environment.copy(to)
    flushData(to)
  } catch (error) {
    throw storeFailure('copy', to, error).error
  }
}
