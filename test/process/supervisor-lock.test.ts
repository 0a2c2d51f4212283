import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { lockDatabase, readLockHolder } from '../../src/observability/process-lock-adapter.ts'
import { until } from './supervised-host.ts'

const program = join(import.meta.dirname, '..', 'fixtures', 'supervisor', 'lock-holder.ts')
let dataDir: string
let holders: ChildProcess[]

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'lock-'))
  holders = []
})
afterEach(() => {
  for (const holder of holders) holder.kill('SIGKILL')
  rmSync(dataDir, { recursive: true, force: true })
})

/** Starts a process that takes the lock; resolves to what it says. */
async function contend(name: string): Promise<{ readonly holder: ChildProcess; readonly said: string }> {
  const holder = spawn(process.execPath, ['--expose-gc', program, dataDir, name], { stdio: ['ignore', 'pipe', 'pipe'] })
  holders.push(holder)
  const output = { said: '', errors: '' }
  holder.stdout.on('data', (chunk: Buffer) => {
    output.said += chunk.toString()
  })
  holder.stderr.on('data', (chunk: Buffer) => {
    output.errors += chunk.toString()
  })
  await until('an answer', () => output.said.endsWith('\n'))
  expect(output.errors).toBe('')
  return { holder, said: output.said.trim() }
}

it('lets one of several processes in and tells the others who it is', async () => {
  const all = await Promise.all([contend('database'), contend('database'), contend('database')])
  const winners = all.filter(({ said }) => said === 'locked')
  expect(winners).toHaveLength(1)
  const pid = winners[0]?.holder.pid
  expect(readLockHolder(dataDir, 'database')?.pid).toBe(pid)
  const late = await contend('database')
  expect(late.said).toContain(`database_locked: process ${pid} on `)
  expect(late.said).toContain(dataDir)
  expect(late.said).toContain('stop it first')
})

it('is free at once when its holder is killed, again and again', async () => {
  for (let round = 0; round < 5; round++) {
    const { holder, said } = await contend('database')
    expect(said).toBe('locked')
    holder.kill('SIGKILL')
    await until('the end of the holder', () => holder.signalCode !== null)
    lockDatabase(dataDir, 'database').release()
  }
})

it('keeps the lock of a holder that is only stopped', async () => {
  const { holder } = await contend('database')
  holder.kill('SIGSTOP')
  expect((await contend('database')).said).toContain('database_locked')
})

it('tells the database and the journal writer apart', async () => {
  expect((await contend('database')).said).toBe('locked')
  expect((await contend('journal-writer')).said).toBe('locked')
  expect((await contend('journal-writer')).said).toContain('database_locked')
})

it('holds against its own process too, until it is released', () => {
  const lock = lockDatabase(dataDir, 'database')
  expect(() => lockDatabase(dataDir, 'database')).toThrow(expect.objectContaining({ code: 'database_locked' }))
  lock.release()
  lock.release()
  lockDatabase(dataDir, 'database').release()
  expect(readLockHolder(dataDir, 'database')).toBeUndefined()
})
