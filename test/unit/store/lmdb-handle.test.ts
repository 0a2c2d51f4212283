import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../../src/kernel/environment.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { numberKey } from '../../../src/store/keys.ts'
import type { LmdbRoot, OpenRoot } from '../../../src/store/lmdb-environment.ts'
import { LmdbHandle } from '../../../src/store/lmdb-handle.ts'
import { openLmdbStore } from '../../../src/store/lmdb-store.ts'
import type { LmdbDatabase } from '../../../src/store/lmdb-table.ts'
import { flush, write } from '../../contract/store-contract.ts'

const inputOutputError = 5
const noSpace = 28
const damaged = -30796

let directory: string
/** Code of the failure that the next commit, or the next put, meets. */
let commitFails: number | null
let putFails: number | null
/** So many transactions begin as if another program had opened the store at the wrong moment. */
let setBacks: number
let errors: string[]

function failure(code: number): Error {
  return Object.assign(new Error(`failure ${code}`), { code })
}

/** lmdb-js on a medium that fails when told to. */
const openFailing: OpenRoot = (options) => {
  const root = open(options as never) as unknown as LmdbRoot
  const { transactionSync, openDB, getWriteTxnId } = root
  return Object.assign(root, {
    transactionSync(run: () => void, flags: number): void {
      transactionSync.call(
        root,
        () => {
          run()
          if (commitFails !== null) throw failure(commitFails)
        },
        flags,
      )
    },
    getWriteTxnId: () => (setBacks-- > 0 ? 1 : getWriteTxnId.call(root)),
    openDB(tableOptions: object): LmdbDatabase | undefined {
      const database = openDB.call(root, tableOptions) as LmdbDatabase
      const { put } = database
      return Object.assign(database, {
        put(key: Buffer, value: Buffer): unknown {
          if (putFails !== null) throw failure(putFails)
          return put.call(database, key, value)
        },
      })
    },
  })
}

let handle: LmdbHandle

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  commitFails = null
  putFails = null
  setBacks = 0
  errors = []
  const options = { path: path.join(directory, 'store'), tables: ['t'], readOnly: false }
  const environment = createSystemEnvironment({ ...silentLog, error: (_fields, text) => void errors.push(text) })
  await openLmdbStore({ ...options, environment }).close()
  handle = new LmdbHandle({ ...options, environment }, openFailing)
  await put(1)
})

afterEach(async () => {
  await handle.close()
  fs.rmSync(directory, { recursive: true })
})

const put = (n: number): Promise<void> => write(handle, (batch) => batch.put('t', numberKey(n), numberKey(n)))
const errorOf = (promise: Promise<void>): Promise<CommanderError | null> =>
  promise.then(
    () => null,
    (error) => error,
  )
const keys = (): number => handle.table('t').count()

describe('a handle of the LMDB store on a medium that fails', () => {
  it('writes and flushes no more after an input/output error, says so each time, and goes on reading', async () => {
    commitFails = inputOutputError
    const first = await errorOf(put(2))
    expect(first).toMatchObject({ code: 'store_failed', retryable: false })
    expect(first?.message).toMatch(/cannot write the store .*failure 5; see to the disk/)
    commitFails = null
    expect(await errorOf(put(3))).toBe(first)
    expect(await errorOf(flush(handle))).toBe(first)
    expect(keys()).toBe(1)
    expect(handle.table('t').get(numberKey(1))).toEqual(numberKey(1))
  })

  it('can be used again after there was no room', async () => {
    commitFails = noSpace
    expect(await errorOf(put(2))).toMatchObject({ code: 'store_failed', retryable: true, details: { reason: 'full' } })
    expect(keys()).toBe(1)
    commitFails = null
    await put(2)
    await flush(handle)
    expect(keys()).toBe(2)
  })

  it('takes an input/output error for want of room when the file cannot grow', async () => {
    commitFails = inputOutputError
    const file = path.join(directory, 'store', 'data.mdb')
    fs.renameSync(file, `${file}.away`)
    fs.mkdirSync(file)
    const error = await errorOf(put(2))
    fs.rmdirSync(file)
    fs.renameSync(`${file}.away`, file)
    expect(error).toMatchObject({ retryable: true, details: { reason: 'full' } })
  })

  it('keeps nothing of a transaction in which a call failed, even when its filler caught that', async () => {
    const error = await errorOf(
      write(handle, (batch) => {
        batch.put('t', numberKey(2), numberKey(2))
        putFails = damaged
        expect(() => batch.put('t', numberKey(3), numberKey(3))).toThrow('failure')
        putFails = null
        batch.put('t', numberKey(4), numberKey(4))
      }),
    )
    expect(error?.message).toMatch(/the store is damaged: restore a backup/)
    expect(keys()).toBe(1)
  })
})

describe('a handle of the LMDB store that another program disturbs', () => {
  it('makes no transaction that would undo the one before, opens the store anew, and makes it then, once', async () => {
    let fills = 0
    const putBoth = (): Promise<void> =>
      write(handle, (batch) => {
        fills++
        batch.put('t', numberKey(2), numberKey(2))
        expect(batch.get('t', numberKey(1))).toEqual(numberKey(1))
      })
    setBacks = 1
    await putBoth()
    expect([fills, keys()]).toEqual([1, 2])
    expect(errors).toEqual([expect.stringContaining('another program opened the store while it was written')])
    await put(3)
    expect([errors.length, keys()]).toEqual([1, 3])
  })

  it('writes no more where that does not help', async () => {
    setBacks = 2
    expect(await errorOf(put(2))).toMatchObject({ code: 'store_failed', retryable: false })
    expect(keys()).toBe(1)
  })
})
