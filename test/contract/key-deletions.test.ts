import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Action } from '../../src/actions/action.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ProjectionApplier } from '../../src/projection-applier/projection-applier.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { putKey, readKey, WriterKeyLookup } from '../../src/tables/idempotency-keys.ts'
import { readRoot } from '../../src/tables/meta.ts'
import { allTables, tableNames } from '../../src/tables/table-names.ts'
import { mark, StubFollower, StubJournal } from '../unit/role-world.ts'
import { write } from './store-contract.ts'

const environment = createSystemEnvironment()
const expired = 100_000
const lasting = 1000
const expiresAtMs = 1_700_000_000_000

let directory: string
let store: KeyValueStore
let journal: StubJournal
let applier: ProjectionApplier

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-keys-'))
  journal = new StubJournal()
  openStore()
})

afterEach(async () => {
  applier.stop()
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

function openStore(): void {
  store = openLmdbStore({ path: path.join(directory, 'store'), tables: allTables, readOnly: false, environment })
}

/** Handed the whole journal, as by its follower. */
function startApplier(): void {
  const keys = new WriterKeyLookup(store)
  const state = readRoot(store, { lookup: keys.lookup, keepsPayloads: true })
  const failed = (error: Error): void => expect.unreachable(error.message)
  const options = { environment, store, applications: [], origin: 3, state, keys, reset: failed, failed }
  applier = new ProjectionApplier(options)
  applier.start(new StubFollower().asFollower)
  applier.connected()
  for (const { payload, firstLsn, lastLsn } of journal.batches)
    if (firstLsn > state.lsn) applier.apply(payload, 0, firstLsn, lastLsn)
  applier.watermark(mark(journal.written))
}

/** As many clients make them: in no order. */
const nameOf = (i: number): string => `${((i * 2_654_435_761) % 4_294_967_296).toString(16)}-${i}`

async function saveKeys(count: number, from: number, atMs: number): Promise<void> {
  for (let start = from; start < from + count; start += 20_000) {
    await write(store, (batch) => {
      for (let i = start; i < Math.min(start + 20_000, from + count); i++)
        putKey(batch, nameOf(i), { lsn: lsn(1), digest: Buffer.alloc(16), expiresAtMs: atMs })
    })
  }
}

function left(): number {
  store.refresh()
  return store.table(tableNames.expiries).count()
}

async function untilLeft(most: number): Promise<void> {
  while (left() > most) await new Promise((resolve) => setTimeout(resolve, 5))
}

const untilMs = expiresAtMs
const over: Action[] = [
  { type: 'idempotency-key/expired', untilMs },
  { type: 'idempotency-key/deleted', untilMs },
]

describe('keys that expire in large numbers at once', () => {
  it('all go in the end, over a crash in the middle too, and those that have not expired stay', async () => {
    await saveKeys(expired, 0, expiresAtMs)
    await saveKeys(lasting, expired, expiresAtMs + 1)
    for (const action of over) journal.append([action])
    startApplier()
    await untilLeft(lasting + expired / 2)
    applier.stop()
    await store.close()
    openStore()
    expect(left()).toBeGreaterThan(lasting)
    startApplier()
    await untilLeft(lasting)
    await new Promise((resolve) => setImmediate(resolve))
    expect(left()).toBe(lasting)
    expect(store.table(tableNames.keys).count()).toBe(lasting)
    for (let i = 0; i < 100; i++) expect(readKey(store, nameOf(i))).toBeUndefined()
    for (let i = 0; i < lasting; i++) expect(readKey(store, nameOf(expired + i))?.expiresAtMs).toBe(expiresAtMs + 1)
  })
})
