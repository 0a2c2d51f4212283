import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/kernel/environment.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { numberKey } from '../../src/store/keys.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { write } from './store-contract.ts'
import { checkedPosition, historyTables, positionOf, writeTransaction } from './store-history.ts'

let directory: string
let store: string
let children: ChildProcess[]
let handles: KeyValueStore[]

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  store = path.join(directory, 'store')
  children = []
  handles = []
})

afterEach(async () => {
  for (const child of children) await kill(child)
  for (const handle of handles) await handle.close()
  fs.rmSync(directory, { recursive: true })
})

interface Child {
  readonly process: ChildProcess
  /** The next line that it says. */
  line(): Promise<string>
  readonly lines: string[]
}

function start(mode: string, command = process.execPath, before: readonly string[] = []): Child {
  const program = path.join(import.meta.dirname, 'store-child.ts')
  const child = spawn(command, [...before, program, mode, store], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  children.push(child)
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  reader.on('line', (line) => lines.push(line))
  return {
    process: child,
    lines,
    async line() {
      const [line] = await once(reader, 'line')
      return line as string
    },
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'close')
  child.kill('SIGKILL')
  await gone
}

function openHere(readOnly: boolean, clock?: Clock): KeyValueStore {
  const system = createSystemEnvironment()
  const environment = clock === undefined ? system : { ...system, clock }
  const handle = openLmdbStore({ path: store, tables: historyTables, readOnly, environment })
  handles.push(handle)
  return handle
}

async function closeHere(handle: KeyValueStore): Promise<void> {
  handles.splice(handles.indexOf(handle), 1)
  await handle.close()
}

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs))

describe('the LMDB store and other processes', () => {
  it('shows a reader in another process each commit whole, in order, as it comes', async () => {
    const writer = openHere(false)
    await write(writer, (batch) => writeTransaction(batch, 1))
    const reader = start('readOn')
    expect(await reader.line()).toBe('1')
    for (let n = 2; n <= 20; n++) {
      const said = reader.line()
      await write(writer, (batch) => writeTransaction(batch, n))
      expect(await said).toBe(String(n))
    }
    for (let n = 21; n <= 400; n++) await write(writer, (batch) => writeTransaction(batch, n))
    while (reader.lines.at(-1) !== '400') await reader.line()
    expect(reader.process.exitCode).toBeNull()
  })

  it('holds a whole prefix with all that was reported after each kill -9 of the writer, with readers or without', async () => {
    let position = 0
    for (let round = 0; round < 16; round++) {
      const writer = start('writeOn')
      const from = Number(await writer.line())
      // A writer killed between a commit and the word of it to readers leaves it to the next writer to show it.
      expect(from - position).toBeOneOf([0, 1])
      const here = round % 2 === 0 ? openHere(true) : null
      await pause(3 + ((round * 7) % 40))
      await kill(writer.process)
      const reported = Number(writer.lines.at(-1))
      const reader = here ?? openHere(true)
      reader.refresh()
      position = checkedPosition(reader)
      expect(position).toBeGreaterThanOrEqual(reported)
      expect(position).toBeLessThanOrEqual(reported + 1)
      await closeHere(reader)
    }
    expect(position).toBeGreaterThan(16)
  })

  it('keeps a reader that outlives the writer, and shows it what the next writer commits', async () => {
    const first = start('writeOn')
    await first.line()
    const reader = start('readOn')
    await reader.line()
    await kill(first.process)
    const second = start('writeOn')
    await second.line()
    const from = Number(await second.line())
    while (Number(reader.lines.at(-1)) < from + 5) await reader.line()
    await kill(second.process)
    expect(reader.process.exitCode).toBeNull()
  })

  it('reuses the pages of a snapshot whose reader was killed, once it has looked for dead readers', async () => {
    let nowMs = 0
    const writer = openHere(false, { wallMs: () => 0, monotonicMs: () => nowMs })
    const sizeBytes = (): number => fs.statSync(path.join(store, 'data.mdb')).size
    const overwrite = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await write(writer, (batch) => {
          for (let key = 0; key < 20; key++) batch.put('alpha', numberKey(key), Buffer.alloc(20_000, i))
        })
      }
    }
    await overwrite(20)
    const atRest = sizeBytes()
    const reader = start('hold')
    await reader.line()
    await overwrite(20)
    const held = sizeBytes()
    expect(held).toBeGreaterThan(atRest * 2)
    await kill(reader.process)
    await overwrite(5)
    expect(sizeBytes()).toBeGreaterThan(held)
    nowMs += 60_000
    await overwrite(2)
    const freed = sizeBytes()
    await overwrite(40)
    expect(sizeBytes()).toBe(freed)
  })

  // LMDB's open is no safe neighbour of a commit: without the gate some thousand transactions are enough to lose one, or mix up pages.
  it('loses nothing while others open it, over and over', { timeout: 120_000 }, async () => {
    const writer = start('writeChain')
    expect(await writer.line()).toBe('open')
    const others = [start('openOn'), start('openOn'), start('openOn')]
    await once(writer.process, 'close')
    expect([writer.lines.at(-1), writer.process.exitCode]).toEqual(['10000', 0])
    expect(others.map(({ process: { exitCode, signalCode } }) => [exitCode, signalCode])).toEqual(
      others.map(() => [null, null]),
    )
  })

  it('is opened, written and closed while nobody else does any of it', async () => {
    const writer = openHere(false)
    const uses = [
      () => write(writer, (batch) => writeTransaction(batch, 1)),
      () => Promise.resolve(openHere(true)),
      () => closeHere(writer),
    ]
    for (const use of uses) {
      const holder = start('holdGate')
      await holder.line()
      await use()
      const doneMs = Date.now()
      await once(holder.process, 'close')
      expect(doneMs).toBeGreaterThanOrEqual(Number(holder.lines.at(-1)))
    }
  })

  it('loses nothing while programs open it that know of no gate', { timeout: 120_000 }, async () => {
    const writer = start('writeChain')
    expect(await writer.line()).toBe('open')
    for (let n = 0; n < 3; n++) start('openStrangely')
    await once(writer.process, 'close')
    expect([writer.lines.at(-1), writer.process.exitCode]).toEqual(['10000', 0])
  })

  it('says that the disk is full, keeps reading, and writes again once there is room', async () => {
    await closeHere(openHere(false))
    const blocks = 4096
    const child = start('fillUp', 'bash', ['-c', `ulimit -S -f ${blocks}; exec "$0" "$@"`, process.execPath])
    const full = JSON.parse(await child.line())
    expect(full).toMatchObject({ code: 'store_failed', retryable: true, details: { reason: 'full' } })
    expect(full.message).toMatch(/no room on the disk for the store .*store.*free some space/)
    expect(full.count).toBe(full.n - 1)
    const written = child.line()
    await run('prlimit', ['--pid', String(child.process.pid), '--fsize=unlimited'])
    child.process.send('go on')
    expect(await written).toBe('written')
    await once(child.process, 'close')
    const reader = openHere(true)
    expect(reader.table('alpha').count()).toBe(full.n - 1)
    expect(positionOf(reader)).toBe(0)
  })
})

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: 'inherit' })
  const [code] = await once(child, 'close')
  expect(code).toBe(0)
}
