import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Log, LogFields } from '../../../src/kernel/environment.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { type CommanderError, isCommanderError } from '../../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../../src/store/key-value-store.ts'
import { numberKey } from '../../../src/store/keys.ts'
import { openLmdbStore } from '../../../src/store/lmdb-store.ts'
import { write } from '../../contract/store-contract.ts'

let directory: string
let store: string
let warnings: LogFields[]

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  store = path.join(directory, 'store')
  warnings = []
})

afterEach(() => fs.rmSync(directory, { recursive: true }))

function open(
  options: { readOnly?: boolean; tables?: string[]; path?: string; mapBytesMax?: number } = {},
): KeyValueStore {
  const log: Log = { ...silentLog, warn: (fields) => void warnings.push(fields) }
  const environment = createSystemEnvironment(log)
  return openLmdbStore({ path: store, tables: ['t'], readOnly: false, environment, ...options })
}

function refusal(run: () => KeyValueStore): CommanderError {
  try {
    void run().close()
  } catch (error) {
    if (isCommanderError(error)) return error
    throw error
  }
  return expect.unreachable('it was opened')
}

/** 20,000 entries over some 600 pages. Returns the data file. */
async function fillAndClose(): Promise<string> {
  const whole = open()
  await write(whole, (batch) => {
    for (let i = 0; i < 20_000; i++) batch.put('t', numberKey(i), Buffer.alloc(100, i))
  })
  await whole.close()
  return path.join(store, 'data.mdb')
}

function answerOf(reader: KeyValueStore, i: number): string {
  try {
    const value = reader.table('t').get(numberKey(i))
    return value?.equals(Buffer.alloc(100, i)) ? 'right' : 'wrong'
  } catch (error) {
    return (error as CommanderError).code
  }
}

describe('opening the LMDB store', () => {
  it('makes it where there is none, and finds it again as it was left', async () => {
    const first = open()
    await write(first, (batch) => batch.put('t', numberKey(1), numberKey(2)))
    await first.close()
    expect(fs.readdirSync(directory)).toEqual(['store'])
    const second = open()
    expect(second.table('t').get(numberKey(1))).toEqual(numberKey(2))
    await second.close()
  })

  it('takes an empty directory, and clears away what an interrupted making has left', async () => {
    fs.mkdirSync(store)
    fs.mkdirSync(`${store}.new`)
    fs.writeFileSync(path.join(`${store}.new`, 'data.mdb'), 'half')
    await open().close()
    expect(fs.readdirSync(directory)).toEqual(['store'])
  })

  it('adds tables that are new to it, and tells a reader that comes before them to wait', async () => {
    await open().close()
    const early = refusal(() => open({ readOnly: true, tables: ['t', 'u'] }))
    expect(early).toMatchObject({ code: 'not_ready', retryable: true })
    expect(early.message).toContain('no table u yet')
    await open({ tables: ['t', 'u'] }).close()
    const reader = open({ readOnly: true, tables: ['t', 'u'] })
    expect(reader.table('u').count()).toBe(0)
    await reader.close()
  })

  it('tells a reader to wait while there is no store', () => {
    const error = refusal(() => open({ readOnly: true }))
    expect(error).toMatchObject({ code: 'not_ready', retryable: true })
    expect(error.message).toContain(store)
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('names the missing parent directory and makes nothing', () => {
    const error = refusal(() => open({ path: path.join(directory, 'absent', 'store') }))
    expect(error.code).toBe('store_failed')
    expect(error.message).toContain(`there is no directory ${path.join(directory, 'absent')}; make it`)
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('refuses a directory of something else and leaves it alone', () => {
    fs.mkdirSync(store)
    fs.writeFileSync(path.join(store, 'holiday.jpg'), 'x')
    const error = refusal(() => open())
    expect(error.code).toBe('foreign_database')
    expect(error.message).toContain('holiday.jpg')
    expect(fs.readdirSync(store)).toEqual(['holiday.jpg'])
  })

  it('refuses a file in the place of the directory', () => {
    fs.writeFileSync(store, 'x')
    expect(refusal(() => open()).code).toBe('foreign_database')
    expect(fs.readFileSync(store, 'utf8')).toBe('x')
  })

  it('does not take a store whose data file has gone for a new one', async () => {
    await open().close()
    fs.rmSync(path.join(store, 'data.mdb'))
    expect(refusal(() => open())).toMatchObject({ code: 'foreign_database' })
    expect(fs.existsSync(path.join(store, 'data.mdb'))).toBe(false)
  })

  it('refuses a data file that is not one of LMDB, for writing and for reading', async () => {
    await open().close()
    fs.writeFileSync(path.join(store, 'data.mdb'), Buffer.alloc(65_536, 'no database '))
    for (const readOnly of [false, true]) {
      const error = refusal(() => open({ readOnly }))
      expect(error.code).toBe('foreign_database')
      expect(error.message).toContain('data.mdb is not a store')
    }
  })

  it('survives a file that was cut short, and says that it is damaged', async () => {
    const file = await fillAndClose()
    const wholeBytes = fs.statSync(file).size
    fs.truncateSync(file, 100 * 4096)
    const error = refusal(() => open())
    expect(error.code).toBe('store_failed')
    expect(error.message).toMatch(/damaged: restore a backup/)
    expect(warnings).toMatchObject([{ path: store, missingBytes: wholeBytes - 100 * 4096 }])
  })

  it('reports pages that were overwritten as damage instead of answering, and goes on with the others', async () => {
    const file = await fillAndClose()
    const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, Buffer.alloc(100 * 4096), 0, 100 * 4096, 100 * 4096)
    fs.closeSync(fd)
    const reader = open({ readOnly: true })
    const answers = new Map<string, number>()
    for (let i = 0; i < 20_000; i++) {
      const answer = answerOf(reader, i)
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
    expect([...answers.keys()].sort()).toEqual(['right', 'store_failed'])
    expect(answers.get('right')).toBeGreaterThan(10_000)
    await reader.close()
  })

  it('lets only one handle of a process write, and that one first', async () => {
    const writer = open()
    expect(() => open()).toThrow(/open for writing already/)
    await writer.close()
    const reader = open({ readOnly: true })
    expect(() => open()).toThrow(/before the reading ones/)
    await reader.close()
    await open().close()
  })
})

describe('an LMDB store that reaches its limit', () => {
  it('refuses to grow, stays readable for every handle, and takes deletes and then writes again', async () => {
    const writer = open({ mapBytesMax: 2 << 20 })
    const reader = open({ readOnly: true, mapBytesMax: 2 << 20 })
    const value = Buffer.alloc(3000, 1)
    let n = 0
    const putMore = async (): Promise<CommanderError | null> => {
      const put = write(writer, (batch) => batch.put('t', numberKey(n), value))
      return put.then(
        () => null,
        (error) => error as CommanderError,
      )
    }
    let failures = 0
    while (failures < 3 && n < 5000) {
      const failure = await putMore()
      if (failure === null) n++
      else failures++
      if (failure !== null)
        expect(failure).toMatchObject({ code: 'store_failed', retryable: true, details: { reason: 'full' } })
    }
    expect(n).toBeGreaterThan(300)
    expect(n).toBeLessThan(700)
    expect(writer.table('t').count()).toBe(n)
    reader.refresh()
    expect(reader.table('t').count()).toBe(n)
    expect(reader.table('t').get(numberKey(5))).toEqual(value)
    for (let i = 0; i < 5; i++) {
      await write(writer, (batch) => {
        for (let k = 0; k < 20; k++) batch.delete('t', numberKey(i * 20 + k))
      })
    }
    expect(await putMore()).toBeNull()
    expect(writer.table('t').count()).toBe(n - 99)
    await reader.close()
    await writer.close()
    expect(fs.statSync(path.join(store, 'data.mdb')).size).toBeLessThan(3 << 20)
  })
})
