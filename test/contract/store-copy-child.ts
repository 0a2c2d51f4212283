import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { copyLmdbStore, openLmdbStore } from '../../src/store/lmdb-store.ts'

/** Fills a store, copies it while it is open, and goes on writing in the copy: `store-copy-child.ts STORE COPY`. A damaged copy aborts the process. */
const [path = '', copy = ''] = process.argv.slice(2)
const environment = createSystemEnvironment()
const tables = ['numbers', 'others']
const rows = 20_000

const keyOf = (n: number): Buffer => {
  const key = Buffer.alloc(8)
  key.writeUInt32BE(Math.imul(n, 2_654_435_761) >>> 0)
  key.writeUInt32BE(n, 4)
  return key
}

async function rewrite(at: string, rounds: number): Promise<void> {
  const store = openLmdbStore({ path: at, tables, readOnly: false, environment })
  for (let round = 0; round < rounds; round++) {
    await new Promise<void>((resolve, reject) =>
      store.write(
        (batch) => {
          for (let n = round % 3; n < rows; n += 3)
            for (const table of tables)
              batch.put(table, keyOf(n), Buffer.alloc(40 + ((n * 7 + round * 13) % 200), round + 1))
        },
        (error) => (error === null ? resolve() : reject(error)),
      ),
    )
  }
  await store.close()
}

await rewrite(path, 12)
await copyLmdbStore({ path, tables, environment }, copy)
await rewrite(copy, 24)
const store = openLmdbStore({ path: copy, tables, readOnly: true, environment })
for (const table of tables)
  for (let n = 0; n < rows; n++) if (store.table(table).get(keyOf(n)) === undefined) throw new Error(`row ${n} is gone`)
await store.close()
process.stdout.write('sound\n')
