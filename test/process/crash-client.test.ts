import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

let database: RunningDatabase | undefined
afterEach(() => database?.remove())

it('a program that only waits for its commands lives on while the gateway is away, and ends once it has closed its client', async () => {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  const count = 1500
  const program = join(import.meta.dirname, '..', 'fixtures', 'clients', 'waiting-program.ts')
  const child = spawn(process.execPath, [program, db.dataDir, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await until('its connection', () => output.includes('connected'))
  const client = await db.connect()
  const revision = async (): Promise<number> => (await client.read('thing', 'waited-for')).revision
  for (const share of [0.2, 0.5, 0.8]) {
    await until('some commands', async () => (await revision()) >= share * count || child.exitCode !== null)
    await db.signal('gateway', 'SIGKILL')
  }
  await until('its end', () => child.exitCode !== null || child.signalCode !== null)
  expect([child.exitCode, output]).toEqual([0, 'connected\ndone\n'])
  await db.ready()
  expect(await revision()).toBe(count)
})
