import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../src/store/key-value-store.ts'
import { openLmdbStore } from '../src/store/lmdb-store.ts'

/**
 * What the store costs, and why it writes as it does: `node bench/store.ts [--json FILE]`, about a minute.
 *
 * Every figure comes from a process of its own, on a new store in this directory. "cpu" is the processor
 * time of the whole process, all threads, for each put, with what the kernel does for its writes and flushes; each
 * run ends with a flush, so that nothing is left for later to pay. "main" is what the calling thread waits.
 *
 * Not measured: the loss of power (test/contract/store-power.test.ts), stores larger than memory, other disks, other
 * processes at the same time, the kernel's threads.
 */
const keyBytes = 24
const valueBytes = 100
const preloaded = 300_000
const hotKeys = 1000
const putsPerFigure = 400_000

/** How a transaction is made, and what keeps it: see `optionsOf`. */
type Call = 'transactionSync' | 'put'
type Sync = 'flushed' | 'noSync' | 'overlappingSync' | 'noSync+writemap' | 'noSync+held' | 'store'
type Keys = 'sequential' | 'append' | 'hot' | 'random'

interface WriteRun {
  readonly kind: 'write'
  readonly call: Call
  readonly sync: Sync
  readonly keys: Keys
  readonly putsPerCommit: number
  readonly valueBytes: number
  readonly commits: number
}

interface WriteFigure {
  readonly mainUs: number
  readonly cpuUs: number
  readonly commitMs: number
  readonly fileMb: number
}

const safe: Readonly<Record<Sync, string>> = {
  store: 'yes',
  flushed: 'yes',
  noSync: 'NO',
  overlappingSync: 'if the writer opens first after a crash',
  'noSync+writemap': 'NO',
  'noSync+held': 'with a recovery of our own',
}

function optionsOf(sync: Sync): object {
  if (sync === 'flushed') return { overlappingSync: false }
  if (sync === 'overlappingSync') return { overlappingSync: true }
  return { overlappingSync: false, noSync: true, useWritemap: sync === 'noSync+writemap' }
}

/** One table of a new store, by lmdb-js alone or by ours. */
class Target {
  readonly directory: string = fs.mkdtempSync(path.join(import.meta.dirname, '.store-'))
  private readonly run: WriteRun
  private readonly store: KeyValueStore | null = null
  private readonly root: RootDatabase<Buffer, Buffer> | null = null
  private readonly table: Database<Buffer, Buffer> | null = null
  private held: { done(): void } | null = null

  constructor(run: WriteRun) {
    this.run = run
    const where = path.join(this.directory, 'store')
    if (run.sync === 'store') {
      this.store = openLmdbStore({
        path: where,
        tables: ['t'],
        readOnly: false,
        environment: createSystemEnvironment(),
      })
      return
    }
    const options = { encoding: 'binary', keyEncoding: 'binary', noMemInit: true, mapSize: 8 * 2 ** 30 } as const
    this.root = open<Buffer, Buffer>({ path: where, noSubdir: false, ...options, ...optionsOf(run.sync) })
    this.table = this.root.openDB<Buffer, Buffer>({ name: 't', ...options })
  }

  /** Returns once the calling thread is free again, and resolves once the transaction is done. */
  commit(puts: number, keyAt: () => Buffer, value: Buffer): Promise<unknown> {
    const { store, root, table } = this
    if (store !== null) {
      return new Promise((resolve) => {
        store.write((batch) => {
          for (let i = 0; i < puts; i++) batch.put('t', keyAt(), value)
        }, resolve)
      })
    }
    const flags = this.run.keys === 'append' ? { append: true } : undefined
    const putAll = (): Promise<boolean> | undefined => {
      let last: Promise<boolean> | undefined
      for (let i = 0; i < puts; i++) last = table?.put(keyAt(), value, flags as never)
      return last
    }
    if (this.run.call === 'put') return putAll() ?? Promise.resolve()
    root?.transactionSync(() => void putAll(), 2)
    return Promise.resolve()
  }

  /** What makes 'noSync+held' safe: the pages of the flushed state are held until the next state is flushed. */
  flushHeld(): Promise<void> {
    this.root?.resetReadTxn()
    const next = this.root?.useReadTransaction() ?? null
    this.root?.resetReadTxn()
    return this.flush().then(() => {
      this.held?.done()
      this.held = next
    })
  }

  flush(): Promise<void> {
    const fd = fs.openSync(this.file, 'r+')
    return new Promise((resolve, reject) => {
      fs.fdatasync(fd, (error) => {
        fs.closeSync(fd)
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  get file(): string {
    return path.join(this.directory, 'store', 'data.mdb')
  }

  async close(): Promise<void> {
    this.held?.done()
    this.held = null
    await this.store?.close()
    await this.root?.close()
  }

  async remove(): Promise<void> {
    await this.close()
    fs.rmSync(this.directory, { recursive: true })
  }
}

function keySource(keys: Keys): () => Buffer {
  let next = 0
  let state = 1
  const space = keys === 'hot' ? hotKeys : preloaded
  return () => {
    const key = Buffer.allocUnsafe(keyBytes).fill(0x41)
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    key.writeUInt32BE(keys === 'hot' || keys === 'random' ? (state >>> 4) % space : next++, 4)
    return key
  }
}

async function measureWrite(run: WriteRun): Promise<WriteFigure> {
  const target = new Target(run)
  const value = Buffer.alloc(run.valueBytes, 7)
  if (run.keys === 'random') {
    const inOrder = keySource('sequential')
    for (let i = 0; i < preloaded; i += 20_000) await target.commit(20_000, inOrder, value)
    await target.flush()
  }
  const key = keySource(run.keys)
  const started = process.cpuUsage()
  let mainMs = 0
  let flushing = run.sync === 'noSync+held' ? target.flushHeld() : Promise.resolve()
  const startedMs = performance.now()
  for (let i = 0; i < run.commits; i++) {
    const beforeMs = performance.now()
    const done = target.commit(run.putsPerCommit, key, value)
    mainMs += performance.now() - beforeMs
    await done
    if (run.sync === 'noSync+held' && i % 20 === 19) {
      await flushing
      flushing = target.flushHeld()
    }
  }
  await flushing
  const wallMs = performance.now() - startedMs
  await target.flush()
  const { user, system } = process.cpuUsage(started)
  const puts = run.commits * run.putsPerCommit
  const fileMb = (fs.statSync(target.file).blocks * 512) / 2 ** 20
  await target.remove()
  return { mainUs: (mainMs * 1000) / puts, cpuUs: (user + system) / puts, commitMs: wallMs / run.commits, fileMb }
}

interface ReadFigure {
  readonly name: string
  readonly cpuUs: number
}

function timed(name: string, times: number, perCall: number, read: () => void): ReadFigure {
  for (let i = 0; i < Math.min(times, 20_000); i++) read()
  const started = process.cpuUsage()
  for (let i = 0; i < times; i++) read()
  const { user, system } = process.cpuUsage(started)
  return { name, cpuUs: (user + system) / times / perCall }
}

/** A new store of `preloaded` entries; the caller removes the target. */
async function filledTarget(): Promise<Target> {
  const target = new Target(writeRun('transactionSync', 'store', 'sequential', 20_000))
  const inOrder = keySource('sequential')
  for (let i = 0; i < preloaded; i += 20_000) await target.commit(20_000, inOrder, Buffer.alloc(valueBytes, 7))
  return target
}

/** The entries are more than the processor's caches hold, and fewer than may stay mapped. */
async function measureReads(): Promise<readonly ReadFigure[]> {
  const target = await filledTarget()
  const where = path.join(target.directory, 'store')
  const reader = openLmdbStore({ path: where, tables: ['t'], readOnly: true, environment: createSystemEnvironment() })
  const table = reader.table('t')
  const raw = open<Buffer, Buffer>({ path: where, noSubdir: false, readOnly: true, keyEncoding: 'binary' })
  const rawTable = raw.openDB<Buffer, Buffer>({ name: 't', encoding: 'binary', keyEncoding: 'binary' })
  const random = keySource('random')
  const inOrder = keySource('sequential')
  const refreshed = (): void => {
    reader.refresh()
    table.get(random())
  }
  const scan = (entries: () => Iterable<unknown>) => (): void => {
    for (const _ of entries());
  }
  const figures = [
    timed('making a key, no read', 200_000, 1, () => void random()),
    timed('lmdb-js getBinaryFast, random', 200_000, 1, () => void rawTable.getBinaryFast(random())),
    timed('lmdb-js getBinary, random', 200_000, 1, () => void rawTable.getBinary(random())),
    timed('table.view, random', 200_000, 1, () => void table.view(random())),
    timed('table.get, random', 200_000, 1, () => void table.get(random())),
    timed('table.has, random', 200_000, 1, () => void table.has(random())),
    timed('table.get, in order', 200_000, 1, () => void table.get(inOrder())),
    timed('refresh, then table.get', 100_000, 1, refreshed),
    timed(
      'the last entry before a key',
      30_000,
      1,
      scan(() => table.range({ to: random(), reverse: true, limit: 1 })),
    ),
    timed(
      'range over 100 entries, an entry',
      3000,
      100,
      scan(() => table.range({ from: random(), limit: 100 })),
    ),
    timed(
      'range over all, an entry',
      3,
      preloaded,
      scan(() => table.range({})),
    ),
    timed(
      'lmdb-js getRange over all, an entry',
      3,
      preloaded,
      scan(() => rawTable.getRange({})),
    ),
  ]
  await reader.close()
  await raw.close()
  await target.remove()
  return figures
}

interface MemoryFigure {
  readonly name: string
  readonly rssMb: number
  readonly pssMb: number
}

function memoryNow(name: string): MemoryFigure {
  const smaps = fs.readFileSync('/proc/self/smaps_rollup', 'latin1')
  const mb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(smaps)?.[1] ?? 0) / 1024
  return { name, rssMb: mb('Rss'), pssMb: mb('Pss') }
}

/** What is mapped after every entry was read, with and without a limit on it. */
async function measureMemory(): Promise<readonly MemoryFigure[]> {
  const target = await filledTarget()
  const where = path.join(target.directory, 'store')
  const fileMb = Math.round(fs.statSync(target.file).size / 2 ** 20)
  const environment = createSystemEnvironment()
  const figures = [memoryNow(`after writing ${fileMb} MB`)]
  await target.close()
  for (const [limit, residentBytesMax] of [
    ['no limit', 2 ** 40],
    ['a limit of 8 MB', 8 * 2 ** 20],
  ] as const) {
    const reader = openLmdbStore({ path: where, tables: ['t'], readOnly: true, residentBytesMax, environment })
    const inOrder = keySource('sequential')
    for (let i = 0; i < preloaded; i++) {
      reader.table('t').get(inOrder())
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    figures.push(memoryNow(`after reading all of it, ${limit}`))
    await reader.close()
  }
  await target.remove()
  return figures
}

function writeRun(call: Call, sync: Sync, keys: Keys, putsPerCommit: number, bytes: number = valueBytes): WriteRun {
  const commits = Math.max(20, Math.min(400, Math.round(putsPerFigure / putsPerCommit)))
  return { kind: 'write', call, sync, keys, putsPerCommit, valueBytes: bytes, commits }
}

const ways: readonly (readonly [Call, Sync])[] = [
  ['transactionSync', 'store'],
  ['transactionSync', 'flushed'],
  ['transactionSync', 'overlappingSync'],
  ['transactionSync', 'noSync+held'],
  ['transactionSync', 'noSync'],
  ['transactionSync', 'noSync+writemap'],
  ['put', 'flushed'],
  ['put', 'overlappingSync'],
  ['put', 'noSync'],
]

const shapes: readonly (readonly [Keys, number, number])[] = [
  ['sequential', 2000, valueBytes],
  ['append', 2000, valueBytes],
  ['hot', 2000, valueBytes],
  ['random', 2000, valueBytes],
  ['sequential', 1, 65_536],
  ['sequential', 1, valueBytes],
]

interface Job {
  readonly kind: 'read' | 'memory'
}

function inOwnProcess<Result>(job: WriteRun | Job): Result {
  const child = spawnSync(process.execPath, [import.meta.filename, JSON.stringify(job)], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout) as Result
}

async function runJob(job: WriteRun | Job): Promise<unknown> {
  if (job.kind === 'write') return measureWrite(job)
  return job.kind === 'read' ? measureReads() : measureMemory()
}

const two = (value: number): string => value.toFixed(2)

function main(jsonFile: string | undefined): void {
  const writes: object[] = []
  for (const [keys, puts, bytes] of shapes) {
    console.log(`\n${keys} keys of ${keyBytes} bytes, values of ${bytes} bytes, ${puts} puts a commit`)
    const rows: Record<string, object> = {}
    for (const [call, sync] of ways) {
      if (sync === 'store' && keys === 'append') continue
      const run = writeRun(call, sync, keys, puts, bytes)
      const figure = inOwnProcess<WriteFigure>(run)
      writes.push({ ...run, ...figure })
      rows[sync === 'store' ? 'our store' : `${call}, ${sync}`] = {
        'main us/put': two(figure.mainUs),
        'cpu us/put': two(figure.cpuUs),
        'ms/commit': two(figure.commitMs),
        'file MB': Math.round(figure.fileMb),
        'safe without power': safe[sync],
      }
    }
    console.table(rows)
  }
  const reads = inOwnProcess<readonly ReadFigure[]>({ kind: 'read' })
  console.log(`\nreads of ${preloaded} entries of ${valueBytes} bytes`)
  console.table(Object.fromEntries(reads.map(({ name, cpuUs }) => [name, { 'cpu us': cpuUs.toFixed(3) }])))
  const memory = inOwnProcess<readonly MemoryFigure[]>({ kind: 'memory' })
  console.log('\nmemory of the process')
  console.table(
    Object.fromEntries(
      memory.map(({ name, rssMb, pssMb }) => [name, { 'RSS MB': Math.round(rssMb), 'PSS MB': Math.round(pssMb) }]),
    ),
  )
  if (jsonFile !== undefined)
    fs.writeFileSync(jsonFile, JSON.stringify({ node: process.version, writes, reads, memory }))
}

const [first, second] = process.argv.slice(2)
if (first?.startsWith('{')) process.stdout.write(JSON.stringify(await runJob(JSON.parse(first) as WriteRun | Job)))
else main(first === '--json' ? second : undefined)
