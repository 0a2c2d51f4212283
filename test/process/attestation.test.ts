import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import type { ProcessResources } from '../../src/sdk/config.ts'
import type { DatabaseStatus } from '../../src/supervisor/control-protocol.ts'
import { allEvents } from './bank-load.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

const application = 'application-troublesome-1'
const plant = pathToFileURL(join(import.meta.dirname, '..', 'fixtures', 'plants', 'wrong-state.ts')).href
const roles = ['dispatcher', 'projection-applier', 'gateway', application] as const
type Role = (typeof roles)[number]

let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

/** `env` is for the process that goes wrong; nobody does without it. */
async function start(wrong: Role, env?: Record<string, string>): Promise<RunningDatabase> {
  const of = (role: Role): ProcessResources =>
    env !== undefined && role === wrong ? { nodeOptions: ['--import', plant], env } : {}
  database = await RunningDatabase.start({
    applications: [{ module: fixtureApplication('troublesome'), resources: of(application) }],
    processes: {
      dispatcher: of('dispatcher'),
      projectionApplier: of('projection-applier'),
      gateway: of('gateway'),
    },
    journal: { attestIntervalMs: 200 },
  })
  return database
}

const reachable = async (db: RunningDatabase): Promise<DatabaseStatus> => until('a status', () => db.status())

/** Sends commands one after the other until something is true of the status; how many were completed. */
async function countUntil(
  db: RunningDatabase,
  client: Database,
  what: string,
  holds: (status: DatabaseStatus) => boolean,
): Promise<number> {
  let sent = 0
  await until(what, async () => {
    const outcome = await client.execute('thing', `${sent % 7}`, 'count')
    expect(outcome.outcome).toBe('completed')
    sent++
    const status = await reachable(db)
    return holds(status) ? status : null
  })
  return sent
}

/** The journal writer's own lines; others repeat them in their last words. */
const found = (db: RunningDatabase, message: string): Record<string, unknown>[] =>
  db.logged(message).filter((line) => line['process'] === 'journal-writer')

const restartsOf = (status: DatabaseStatus, name: string): number =>
  status.processes.find((one) => one.name === name)?.restarts ?? -1

describe('processes that hold the same state', () => {
  it('say so by their hashes after the same entry, for everybody to see', async () => {
    const db = await start('gateway')
    const client = await db.connect()
    const allSay = (status: DatabaseStatus): boolean =>
      roles.every((name) => (status.processes.find((one) => one.name === name)?.attested?.lsn ?? 0) > 0)
    await countUntil(db, client, 'all to be compared', (status) => allSay(status))
    await until('all to report on the same entry', async () => {
      const { attestation, processes, degraded } = await reachable(db)
      const said = processes.filter(({ attested }) => attested !== null)
      expect(attestation).toMatchObject({ divergences: 0, quarantined: [], storeIsSuspect: false })
      expect(degraded).toBe(false)
      const agreed = { lsn: attestation?.agreedLsn, hash: attestation?.agreedHash }
      return said.length === roles.length && said.every(({ attested }) => attested?.lsn === agreed.lsn) ? said : null
    })
    const { attestation, processes } = await reachable(db)
    const hashes = processes.flatMap(({ attested }) => (attested === null ? [] : [attested.hash]))
    expect(new Set(hashes)).toEqual(new Set([attestation?.agreedHash]))
  })
})

describe('a process whose state goes wrong', () => {
  it.each(roles)(
    'like %s is quarantined, built anew, and agrees again; no command is lost or repeated',
    async (name) => {
      const running = await start(name, { PLANT_AFTER: '20', PLANT_ONCE: 'yes' })
      const client = await running.connect()
      const before = await countUntil(
        running,
        client,
        'the divergence',
        ({ attestation }) => attestation?.divergences === 1,
      )
      const divergedAt = found(running, 'is quarantined and built anew')[0]?.['lsn'] as number
      const since = await countUntil(running, client, 'it to agree again', (status) => {
        const attestedLsn = status.processes.find((one) => one.name === name)?.attested?.lsn ?? 0
        return attestedLsn > divergedAt && found(running, 'was built anew and agrees').length === 1
      })
      expect(found(running, 'is quarantined and built anew')).toMatchObject([
        {
          name,
          lsn: divergedAt,
          hash: expect.stringMatching(/^[0-9a-f]{32}$/),
          agreedHash: expect.stringMatching(/^[0-9a-f]{32}$/),
          isFinal: false,
        },
      ])
      const status = await reachable(running)
      expect(status.attestation).toMatchObject({ divergences: 1, quarantined: [] })
      expect(status.attestation?.storeIsSuspect).toBe(name === 'projection-applier')
      expect(status.degraded).toBe(name === 'projection-applier')
      for (const other of roles) expect(restartsOf(status, other)).toBe(other === name ? 1 : 0)
      expect((await allEvents(client)).length).toBe(before + since)
    },
  )

  it.each(['dispatcher', application] as const)(
    'again after it was built anew, like %s, stays out, is shown as degraded, and is not started for ever',
    async (name) => {
      const db = await start(name, { PLANT_AFTER: '20' })
      const client = await db.connect({ timeoutMs: 500 })
      const status = await until('it to be kept out', async () => {
        await client.execute('thing', 'a', 'count').catch(() => {})
        const now = await reachable(db)
        return now.attestation?.quarantined.includes(name) === true ? now : null
      })
      expect(status.degraded).toBe(true)
      expect(status.attestation?.divergences).toBe(2)
      const pid = await db.pidOf(name)
      const after = await until('it to say that it is at no work', async () => {
        const now = await reachable(db)
        return now.processes.find((one) => one.name === name)?.state === 'starting' ? now : null
      })
      expect(restartsOf(after, name)).toBe(1)
      expect(after.ready).toBe(name === application)
      expect(await db.pidOf(name)).toBe(pid)
      expect(found(db, 'again, after it was built anew')).toMatchObject([{ name, isFinal: true }])
      expect(await db.stop()).toBe(0)
    },
  )
})
