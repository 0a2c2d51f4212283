import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, systemRandom, wakefulScheduler } from '../../src/kernel/system-environment.ts'
import { FileMetadataStore } from '../../src/replication/file-metadata-store.ts'
import { tracingRefusal } from '../torture/traced-writer.ts'
import { until } from './supervised-host.ts'

const program = join(import.meta.dirname, '..', 'fixtures', 'metadata-counter.ts')
const refusal = tracingRefusal()
const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }

let parent: string
let directory: string
let children: ChildProcess[]

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'commanderdb-metadata-'))
  directory = join(parent, 'metadata')
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(parent, { recursive: true })
})

interface Counter {
  readonly child: ChildProcess
  readonly counted: number[]
}

/** A process that counts without end; what it was told it has put there, and has printed in full. */
function startCounter(): Counter {
  const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const counted: number[] = []
  let rest = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    counted.push(...lines.map(Number))
  })
  children.push(child)
  return { child, counted }
}

const killed = async ({ child }: Counter): Promise<void> => {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

it('loses and doubles no change of processes that are killed in the middle of one, and stays usable', async () => {
  const store = await FileMetadataStore.open({ ...world, directory })
  const all: Counter[] = []
  let running = [startCounter(), startCounter(), startCounter()]
  for (let round = 0; round < 6; round++) {
    const marks = running.map(({ counted }) => counted.length)
    await until('that all count', () => running.every(({ counted }, index) => counted.length > (marks[index] ?? 0)))
    const victim = running[round % running.length] as Counter
    await killed(victim)
    all.push(victim)
    running = running.map((counter) => (counter === victim ? startCounter() : counter))
  }
  for (const counter of running) await killed(counter)
  const counted = [...all, ...running].flatMap((counter) => counter.counted).sort((a, b) => a - b)
  expect(new Set(counted).size).toBe(counted.length)
  const last = Number((await store.get('counter'))?.value)
  expect(last).toBeGreaterThanOrEqual(counted.at(-1) ?? 0)
  // Each of those killed may have made one change that it did not come to tell.
  expect(last - counted.length).toBeLessThanOrEqual(all.length + running.length)
  const { revision = 0 } = (await store.get('counter')) ?? {}
  expect(await store.compareAndSwap('counter', revision, 'over')).toMatchObject({ swapped: true })
  await store.close()
})

it('makes nobody wait while a process stands still in the middle of a change, which then changes nothing that others have changed', async () => {
  const store = await FileMetadataStore.open({ ...world, directory })
  const counter = startCounter()
  let others = 0
  for (let round = 0; round < 40; round++) {
    const before = counter.counted.length
    await until('that it counts', () => counter.counted.length > before)
    counter.child.kill('SIGSTOP')
    const { value = '0', revision = 0 } = (await store.get('counter')) ?? {}
    // It stands still somewhere in its change, which has happened or never will.
    const result = await store.compareAndSwap('counter', revision, String(Number(value) + 1))
    expect(result).toMatchObject({ swapped: true })
    others++
    counter.child.kill('SIGCONT')
  }
  await killed(counter)
  const last = Number((await store.get('counter'))?.value)
  expect(new Set(counter.counted).size).toBe(counter.counted.length)
  // The last one may have happened without being told.
  expect(last - counter.counted.length - others).toBeGreaterThanOrEqual(0)
  expect(last - counter.counted.length - others).toBeLessThanOrEqual(1)
  await store.close()
})

describe.runIf(refusal === null)('a change', () => {
  /** What a process that counts once asks the system for. */
  const callsOf = (): string[] => {
    const record = join(parent, 'record')
    const traced = 'trace=write,pwrite64,fsync,rename,renameat,renameat2'
    execFileSync('strace', ['-f', '-y', '-qq', '-e', traced, '-o', record, process.execPath, program, directory, '1'])
    return readFileSync(record, 'utf8')
      .split('\n')
      .map((line) => line.replaceAll(directory, 'D'))
      .filter((line) => line.includes('D') || /write\(1</.test(line))
  }

  it('is flushed before it has its name, and its name before anybody is told', () => {
    const calls = callsOf()
    const at = (pattern: RegExp, from = 0): number =>
      calls.findIndex((line, index) => index >= from && pattern.test(line))
    const written = at(/write(64)?\(\d+<D\/values\/1-[\w-]+\.json>/)
    const flushed = at(/fsync\(\d+<D\/values\/1-[\w-]+\.json>/)
    const named = at(/rename.*D\/values\/0-[\w-]+\.head".*D\/values\/1-[\w-]+\.head"/)
    const nameFlushed = at(/fsync\(\d+<D\/values>/, named)
    const told = at(/write\(1</)
    const order = [written, flushed, named, nameFlushed, told]
    expect(order[0], calls.join('\n')).toBeGreaterThanOrEqual(0)
    expect(order, calls.join('\n')).toEqual([...order].sort((a, b) => a - b))
  })

  it('by somebody else has its name flushed by whoever reads it, before it is believed', () => {
    execFileSync(process.execPath, [program, directory, '1'])
    const calls = callsOf()
    const nameFlushed = calls.findIndex((line) => /fsync\(\d+<D\/values>/.test(line))
    const written = calls.findIndex((line) => /write(64)?\(\d+<D\/values\/2-[\w-]+\.json>/.test(line))
    expect(nameFlushed, calls.join('\n')).toBeGreaterThanOrEqual(0)
    expect(written, calls.join('\n')).toBeGreaterThan(nameFlushed)
  })
})
