import { beforeEach, describe, expect, it } from 'vitest'
import type { Channel } from '../../../src/ipc/channel.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import type { Orchestrator } from '../../../src/replication/orchestrator.ts'
import { type ChildLink, type ChildLinkOptions, connectToSupervisor } from '../../../src/supervisor/child-link.ts'
import type { ChildReport } from '../../../src/supervisor/child-report.ts'
import { ControlOrchestrator } from '../../../src/supervisor/control-orchestrator.ts'
import {
  controlAddressOf,
  type DatabaseStatus,
  kindReport,
  kindRequest,
} from '../../../src/supervisor/control-protocol.ts'
import { serveControl } from '../../../src/supervisor/control-server.ts'
import { requestStatus, requestStop } from '../../../src/supervisor/status-client.ts'
import { FakeTime } from './fake-world.ts'

const dataDir = '/data'
const address = controlAddressOf(dataDir)
const status: DatabaseStatus = {
  ready: true,
  role: 'leader',
  replication: null,
  dataDir,
  url: null,
  lsn: { written: 3, flushed: 2, checkpoint: 1 },
  archive: null,
  journal: { firstLsn: 1, bytes: 10, maxBytes: 100, heldBy: 'archive' },
  degraded: false,
  attestation: null,
  storeTrouble: null,
  parked: { commands: 0, workflows: 0 },
  processes: [],
}

let time: FakeTime
let transport: ReturnType<typeof createMemoryTransport>
let reports: ChildReport[]
let stops: number
let accepts: boolean
let orchestrator: Promise<Orchestrator> | undefined

beforeEach(() => {
  time = new FakeTime()
  transport = createMemoryTransport(time.environment)
  reports = []
  stops = 0
  accepts = true
  orchestrator = undefined
})

async function serve(): Promise<void> {
  const target = {
    report: (report: ChildReport) => accepts && reports.push(report) > 0,
    status: () => status,
    stop: () => void stops++,
    orchestrator,
  }
  await serveControl({ transport, address, target, log: time.environment.log })
}

/** Lets everything that is under way arrive, without letting any second pass. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    time.advance(0)
    await Promise.resolve()
  }
}

describe('a client', () => {
  const client = () => ({ transport, scheduler: time.environment.scheduler, dataDir })

  it('gets the status', async () => {
    await serve()
    const answer = requestStatus(client())
    await settle()
    expect(await answer).toEqual(status)
    expect(stops).toBe(0)
  })

  it('can stop the database', async () => {
    await serve()
    const answer = requestStop(client())
    await settle()
    await answer
    expect(stops).toBe(1)
  })

  it('is told that no database runs there', async () => {
    const answer = expect(requestStatus(client())).rejects.toMatchObject({ code: 'no_database' })
    await settle()
    await answer
  })

  it('gives up on a supervisor that does not answer', async () => {
    await transport.listen(address, () => ({ frame() {}, closed() {} }))
    const answer = expect(requestStatus({ ...client(), timeoutMs: 700 })).rejects.toMatchObject({ code: 'timeout' })
    await settle()
    time.advance(700)
    await answer
  })
})

describe('whoever orchestrates journal servers from another process', () => {
  const remote = (): ControlOrchestrator =>
    new ControlOrchestrator({ transport, scheduler: time.environment.scheduler, dataDir })

  it('has the supervisor do it, and hears what came of it', async () => {
    const asked: unknown[] = []
    orchestrator = Promise.resolve({
      list: async () => [{ id: 'server-1', state: 'ready' }],
      provision: async (count) => {
        asked.push(count)
        return ['server-2', 'server-3']
      },
      deprovision: async (id) => {
        asked.push(id)
        if (id !== 'server-1') throw new CommanderError('not_found', `no ${id}`)
      },
    })
    await serve()
    const missing = expect(remote().deprovision('server-9')).rejects.toMatchObject({
      code: 'not_found',
      message: 'no server-9',
    })
    const answers = Promise.all([remote().list(), remote().provision(2), remote().deprovision('server-1')])
    await settle()
    await missing
    expect(await answers).toEqual([[{ id: 'server-1', state: 'ready' }], ['server-2', 'server-3'], undefined])
    expect(asked).toEqual(['server-9', 2, 'server-1'])
  })

  it('is told when no journal servers are started there, or why they cannot be', async () => {
    await serve()
    const none = expect(remote().list()).rejects.toMatchObject({ code: 'not_found' })
    await settle()
    await none
    orchestrator = Promise.reject(new CommanderError('invalid_config', 'no room'))
    transport = createMemoryTransport(time.environment)
    await serve()
    const broken = expect(remote().provision(1)).rejects.toMatchObject({ code: 'invalid_config' })
    await settle()
    await broken
  })
})

describe('the server', () => {
  const connect = (): { readonly channel: Channel; readonly closed: (CommanderError | null)[] } => {
    const closed: (CommanderError | null)[] = []
    const opened: Channel[] = []
    transport.connect(address, (channel) => {
      opened.push(channel)
      return { frame() {}, closed: (error) => void closed.push(error) }
    })
    const [channel] = opened
    if (channel === undefined) throw new Error('not opened')
    return { channel, closed }
  }

  it.each([
    ['no JSON', kindReport, '{'],
    ['no object', kindReport, '7'],
    ['a report without a pid', kindReport, '{"name":"a","state":"ready","rssBytes":1,"eventLoopLagMs":1}'],
    [
      'a report with an unknown state',
      kindReport,
      '{"name":"a","pid":1,"state":"idle","rssBytes":1,"eventLoopLagMs":1}',
    ],
    ['a request without an id', kindRequest, '{"verb":"status"}'],
    ['a request for no number of servers', kindRequest, '{"id":1,"verb":"provision"}'],
    ['a request for too many servers', kindRequest, '{"id":1,"verb":"provision","count":17}'],
    ['a request about no server', kindRequest, '{"id":1,"verb":"deprovision","server":1}'],
    ['a frame of an unknown kind', 77, '{}'],
  ])('ends only the connection that sends %s', async (_what, kind, body) => {
    await serve()
    const [bad, good] = [connect(), connect()]
    bad.channel.send(kind, Buffer.from(body))
    await settle()
    expect(bad.closed).toMatchObject([{ code: 'protocol_violation' }])
    expect(good.closed).toEqual([])
    expect(reports).toEqual([])
  })

  it('answers a request that it does not know with an error and keeps the connection', async () => {
    await serve()
    const { channel, closed } = connect()
    channel.send(kindRequest, Buffer.from('{"id":1,"verb":"dance"}'))
    await settle()
    expect(closed).toEqual([])
  })
})

describe('a child', () => {
  let lost: (CommanderError | null)[]
  const connect = (more: Partial<ChildLinkOptions> = {}): ChildLink => {
    lost = []
    return connectToSupervisor({
      name: 'writer',
      role: 'journal-writer',
      pid: 42,
      transport,
      address,
      environment: time.environment,
      measure: () => ({ eventLoopLagMs: 1.5, rssBytes: 1000 }),
      lost: (error) => void lost.push(error),
      ...more,
    })
  }

  it('reports at once, every second, and when its state changes', async () => {
    await serve()
    const link = connect()
    link.report({ url: 'http://h' })
    await settle()
    expect(reports).toEqual([
      { name: 'writer', role: 'journal-writer', pid: 42, state: 'starting', eventLoopLagMs: 1.5, rssBytes: 1000 },
    ])
    link.ready()
    link.ready()
    await settle()
    expect(reports.map(({ state, url }) => [state, url])).toEqual([
      ['starting', undefined],
      ['ready', 'http://h'],
    ])
    let appliedLsn = 4
    link.sample(() => ({ appliedLsn: ++appliedLsn }))
    time.advance(1000)
    time.advance(1000)
    await settle()
    expect(reports.map((report) => report.appliedLsn)).toEqual([undefined, undefined, 5, 6])
  })

  it('runs its stop handlers once, the last one first, and stays stopping', async () => {
    await serve()
    const link = connect()
    link.ready()
    const order: string[] = []
    link.onStop(() => void order.push('first'))
    link.onStop(async () => {
      await Promise.resolve()
      order.push('second')
    })
    await Promise.all([link.stop(), link.stop()])
    link.ready()
    await settle()
    expect(order).toEqual(['second', 'first'])
    expect(reports.map(({ state }) => state)).toEqual(['starting', 'ready', 'stopping'])
  })

  it('hears that nobody supervises it, and that the supervisor refuses it', async () => {
    connect()
    await settle()
    expect(lost).toMatchObject([{ code: 'no_database' }])
    await serve()
    accepts = false
    connect()
    await settle()
    expect(lost).toMatchObject([{ code: 'protocol_violation' }])
  })
})
