import { expect, it } from 'vitest'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import type { ChildReport } from '../../../src/supervisor/child-report.ts'
import type { ChildSpecification } from '../../../src/supervisor/child-specification.ts'
import { Supervisor } from '../../../src/supervisor/supervisor.ts'
import { FakeWorld, specification } from './fake-world.ts'

const databaseChildren = [specification('journal-writer'), specification('gateway', { after: ['journal-writer'] })]

function setUp(specifications: readonly ChildSpecification[] = databaseChildren) {
  const world = new FakeWorld([])
  const { environment } = world.time
  const supervisor = new Supervisor({
    environment,
    transport: createMemoryTransport(environment),
    spawner: world,
    dataDir: '/data',
    pid: 1,
    specifications,
    measure: () => ({ eventLoopLagMs: 2, rssBytes: 3 }),
    ready: () => {},
  })
  const report = (name: string, more: Partial<ChildReport>): boolean => {
    const { pid } = world.last(name)
    return supervisor.report({ name, role: name, pid, state: 'ready', eventLoopLagMs: 1, rssBytes: 9, ...more })
  }
  return { world, supervisor, report }
}

it('knows watermarks and URL from the reports, and keeps the watermarks over a restart of the writer', async () => {
  const { world, supervisor, report } = setUp()
  const ended = supervisor.run()
  await Promise.resolve()
  await Promise.resolve()
  expect(supervisor.status()).toMatchObject({ ready: false, url: null, lsn: { written: 0, flushed: 0, checkpoint: 0 } })
  const journal = { firstLsn: 5, bytes: 10, maxBytes: 100, heldBy: 'checkpoint' }
  report('journal-writer', { lsn: { written: 30, flushed: 20, checkpoint: 10 }, journal })
  const archive = {
    location: '/archive',
    archivedLsn: 7,
    waitingSegments: 1,
    waitingBytes: 64,
    failures: 2,
    error: { code: 'archive_unavailable', message: 'down' },
  } as const
  expect(supervisor.status().archive).toBe(null)
  report('gateway', { archive })
  report('gateway', { url: 'http://h', appliedLsn: 20 })
  const lsn = { written: 30, flushed: 20, checkpoint: 10 }
  expect(supervisor.status()).toMatchObject({ ready: true, url: 'http://h', lsn })
  const storeTrouble = { code: 'store_failed', message: 'no room', retryable: true } as const
  report('gateway', { storeTrouble })
  report('gateway', {})
  expect(supervisor.status()).toMatchObject({ storeTrouble, degraded: true })
  report('gateway', { storeTrouble: null, url: 'http://h', appliedLsn: 20 })
  world.last('journal-writer').exit({ code: 1, signal: null })
  expect(supervisor.status()).toEqual({
    ready: false,
    role: 'leader',
    replication: null,
    dataDir: '/data',
    url: 'http://h',
    lsn,
    journal,
    archive,
    degraded: false,
    attestation: null,
    storeTrouble: null,
    parked: null,
    processes: [
      expect.objectContaining({ name: 'supervisor', pid: 1, state: 'starting', rssBytes: 3, eventLoopLagMs: 2 }),
      expect.objectContaining({ name: 'journal-writer', pid: null, rssBytes: null, state: 'backoff', restarts: 1 }),
      expect.objectContaining({ name: 'gateway', pid: 101, state: 'ready', appliedLsn: 20, rssBytes: 9 }),
    ],
  })
  supervisor.stop()
  world.time.advance(0)
  for (let turn = 0; turn < 20; turn++) {
    await Promise.resolve()
    world.time.advance(0)
  }
  expect(await ended).toEqual({ exitCode: 0 })
})

it('says of a host with nothing but journal servers that no database leads or follows there', () => {
  const servers = [specification('journal-server-s-1', { role: 'journal-server' })]
  expect(setUp(servers).supervisor.status()).toMatchObject({ role: 'none', replication: null })
})
