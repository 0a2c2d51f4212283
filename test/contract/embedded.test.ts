import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/client/connect-adapter.ts'
import { Dispatcher } from '../../src/dispatcher/dispatcher.ts'
import { open } from '../../src/embedded/open.ts'
import bank, { account } from '../../src/examples/bank/bank.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import { defineApplication } from '../../src/sdk/application.ts'
import { defineWorkflow } from '../../src/sdk/workflow.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'

let dataDir = ''

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'commanderdb-embedded-'))
})

afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const openBank = (): ReturnType<typeof open> => open({ dataDir, applications: [bank] })

describe('a database opened inside this process', () => {
  it('executes, rejects, reads and projects', async () => {
    const db = await openBank()
    const deposited = await db.execute(account, '1', 'deposit', { amountCents: 500 })
    expect(deposited).toMatchObject({ outcome: 'completed', durability: 'flushed', events: [{ revision: 1 }] })
    const refused = await db.execute(account, '1', 'withdraw', { amountCents: 501 })
    expect(refused).toMatchObject({ outcome: 'rejected', code: 'insufficient_funds' })
    expect((await db.read(account, '1')).state.balanceCents).toBe(500)
    expect(await db.projection('balances', '1')).toMatchObject({ value: { balanceCents: 500, movements: 1 } })
    await db.close()
  })

  it('has after closing and opening again what it had, and remembers keys', async () => {
    const first = await openBank()
    for (let i = 0; i < 300; i++) void first.execute(account, String(i % 7), 'deposit', { amountCents: 1 })
    const once = await first.execute(account, 'keyed', 'deposit', { amountCents: 9 }, { idempotencyKey: 'k' })
    await first.close()
    const second = await openBank()
    const again = await second.execute(account, 'keyed', 'deposit', { amountCents: 9 }, { idempotencyKey: 'k' })
    expect(again).toMatchObject({ id: once.id, duplicate: true })
    const conflict = second.execute(account, 'keyed', 'deposit', { amountCents: 8 }, { idempotencyKey: 'k' })
    await expect(conflict).rejects.toMatchObject({ code: 'idempotency_conflict' })
    expect((await second.read(account, 'keyed')).state.balanceCents).toBe(9)
    const { events } = await second.stream(account, 'keyed')
    expect(events.map(({ revision }) => revision)).toEqual([1])
    await second.close()
  })

  it('runs workflows', async () => {
    const greet = defineWorkflow({
      name: 'greet',
      run: async (context, input: { name: string }) => context.request('greet', () => `hello ${input.name}`),
    })
    const application = defineApplication({ name: 'greeter', aggregates: [], workflows: [greet] })
    const db = await open({ dataDir, applications: [application] })
    expect(await db.workflow(greet).execute('1', { name: 'anna' })).toBe('hello anna')
    expect(await db.workflows({ name: 'greet' })).toMatchObject([{ id: '1', status: 'completed' }])
    await expect(db.resolveAwakeable('none')).rejects.toMatchObject({ code: 'awakeable_unknown' })
    await db.close()
    await expect(db.workflows({ name: 'greet' })).rejects.toMatchObject({ code: 'connection_lost' })
  })

  it('gives effects keys of its own, the same after it was opened again, and others than another database', async () => {
    const tell = defineWorkflow({
      name: 'tell',
      run: async (context) => context.request('tell', ({ effectKey }) => effectKey),
    })
    const applications = [defineApplication({ name: 'teller', aggregates: [], workflows: [tell] })]
    const keyIn = async (directory: string, id: string): Promise<string> => {
      const db = await open({ dataDir: directory, applications })
      const key = await db.workflow(tell).execute(id, undefined)
      await db.close()
      return key
    }
    const other = mkdtempSync(join(tmpdir(), 'commanderdb-embedded-'))
    const [first, second, elsewhere] = [await keyIn(dataDir, '1'), await keyIn(dataDir, '2'), await keyIn(other, '1')]
    rmSync(other, { recursive: true })
    expect(first).toMatch(/^[0-9a-f]{16}\/tell\/1\/1\/request\/tell#1$/)
    expect(second).toBe(first.replace('tell/1/1', 'tell/2/1'))
    expect(elsewhere).not.toBe(first)
    expect(elsewhere.slice(16)).toBe(first.slice(16))
  })

  it('is refused to a second opener with the pid of the holder, and to who opens a foreign directory', async () => {
    const db = await openBank()
    await expect(openBank()).rejects.toMatchObject({
      code: 'database_locked',
      message: expect.stringContaining(String(process.pid)),
    })
    await db.close()
    const foreign = mkdtempSync(join(tmpdir(), 'commanderdb-foreign-'))
    writeFileSync(join(foreign, 'letters.txt'), 'not a database')
    await expect(open({ dataDir: foreign, applications: [bank] })).rejects.toMatchObject({ code: 'foreign_database' })
    rmSync(foreign, { recursive: true, force: true })
  })

  it('takes nothing after it was closed, and leaves nobody listening', async () => {
    const db = await openBank()
    await db.close()
    await db.close()
    await expect(db.execute(account, '1', 'deposit', { amountCents: 1 })).rejects.toThrowError(/was closed/)
    await expect(connect({ dataDir })).rejects.toMatchObject({ code: 'no_database' })
  })
})

describe('an archive of a database inside this process', () => {
  const bytesOf = (path: string): string[] => readdirSync(path, { recursive: true }).map(String).sort()

  it('gets everything by hand, lets the journal go at a checkpoint, and can be asked again after reopening', async () => {
    const archive = join(dataDir, '..', `${basename(dataDir)}-archive`)
    const options = { dataDir, applications: [bank], archive: { directory: archive } }
    try {
      const db = await open(options)
      const { lsn } = await db.execute(account, '1', 'deposit', { amountCents: 5 })
      const archived = await db.archive()
      expect(archived).toEqual({ upTo: expect.any(Number), location: archive })
      expect(archived.upTo).toBeGreaterThanOrEqual(lsn)
      expect((await db.checkpoint()).upTo).toBeGreaterThanOrEqual(archived.upTo)
      const segments = (): string[] => bytesOf(join(dataDir, 'journal')).filter((name) => /^\d.*segment$/.test(name))
      await expect.poll(() => segments()[0]?.slice(0, 10), { timeout: 20_000 }).toBe('0000000002')
      await db.close()
      expect(bytesOf(archive)).toContain('segments/00000001/0000000001-0000000000000001.segment.zst')
      const again = await open(options)
      expect((await again.read(account, '1')).state.balanceCents).toBe(5)
      expect((await again.archive()).upTo).toBeGreaterThan(archived.upTo)
      await again.close()
    } finally {
      rmSync(archive, { recursive: true, force: true })
    }
  })

  it('that goes on behind the end of the journal keeps it from opening, and leaves nothing behind', async () => {
    const archive = join(dataDir, '..', `${basename(dataDir)}-archive`)
    const old = `${dataDir}-old`
    const options = { applications: [bank], archive: { directory: archive } }
    try {
      await (await open({ ...options, dataDir })).close()
      cpSync(dataDir, old, { recursive: true })
      const db = await open({ ...options, dataDir })
      await db.execute(account, '1', 'deposit', { amountCents: 5 })
      await db.archive()
      await db.close()
      const failures: CommanderError[] = []
      const refused = open({ ...options, dataDir: old, onFailure: (error) => void failures.push(error) })
      await expect(refused).rejects.toMatchObject({ code: 'journal_corrupt', details: { rule: 'R7' } })
      expect(failures).toEqual([])
      await (await open({ applications: [bank], dataDir: old })).close()
    } finally {
      for (const path of [archive, old]) rmSync(path, { recursive: true, force: true })
    }
  })

  it('is asked for by name where there is none, though checkpoints are taken all the same', async () => {
    const db = await openBank()
    await expect(db.archive()).rejects.toMatchObject({ code: 'invalid_config' })
    const { lsn } = await db.execute(account, '1', 'deposit', { amountCents: 5 }, { wait: 'applied' })
    expect((await db.checkpoint()).upTo).toBeGreaterThanOrEqual(lsn)
    await db.close()
    await expect(db.checkpoint()).rejects.toMatchObject({ code: 'connection_lost' })
  })
})

describe('a role whose state goes wrong', () => {
  const { apply } = Dispatcher.prototype

  afterEach(() => {
    Dispatcher.prototype.apply = apply
  })

  it('closes the database with the reason, and opening it again builds all roles anew', async () => {
    const log = new RecordingLog()
    const failures: CommanderError[] = []
    const options = { dataDir, applications: [bank], log, journal: { attestIntervalMs: 1 } }
    const db = await open({ ...options, onFailure: (error) => void failures.push(error) })
    Dispatcher.prototype.apply = function applyAndSpoil(this: Dispatcher, b, offset): void {
      apply.call(this, b, offset)
      if (this.state.globalPosition >= 3) this.state.globalPosition += 1
    }
    let completed = 0
    const deposits = async (): Promise<void> => {
      for (; completed < 1000; completed++) await db.execute(account, '1', 'deposit', { amountCents: 1 })
    }
    await expect(deposits()).rejects.toMatchObject({ code: 'connection_lost' })
    await expect.poll(() => failures.length, { timeout: 20_000 }).toBe(1)
    expect(failures).toMatchObject([{ code: 'state_diverged', message: expect.stringContaining('dispatcher') }])
    await expect(db.execute(account, '1', 'deposit', { amountCents: 1 })).rejects.toMatchObject({
      code: 'state_diverged',
    })
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'error', fields: expect.objectContaining({ name: 'dispatcher' }) }),
    )
    Dispatcher.prototype.apply = apply
    const again = await open(options)
    expect((await again.read(account, '1')).revision).toBeGreaterThanOrEqual(completed)
    await again.execute(account, '1', 'deposit', { amountCents: 1 })
    await again.close()
  })
})
