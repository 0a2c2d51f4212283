import { describe, expect, it } from 'vitest'
import { HttpDatabase } from '../../../src/client/http-database.ts'
import { HttpNodes } from '../../../src/client/http-nodes.ts'
import { ReadSession } from '../../../src/client/read-session.ts'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import type { Channel } from '../../../src/ipc/channel.ts'
import { clientFrames, decodeQuery, encodeResult, requestOf } from '../../../src/ipc/client-protocol.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { virtualEnvironment } from './http-world.ts'

describe('what a client has seen', () => {
  it('is asked for again, and never less of it', () => {
    const session = new ReadSession(() => true)
    expect(session.floorOf({})).toEqual({})
    session.saw(7)
    session.saw(5)
    expect([session.floorOf({}), session.floorOf({ minLsn: 9 })]).toEqual([{ sessionLsn: 7 }, { sessionLsn: 7 }])
  })

  it('is not asked for where no wait is wanted, nor of one node, whose store only goes on', () => {
    const session = new ReadSession(() => true)
    session.saw(7)
    expect(session.floorOf({ minLsn: 0 })).toEqual({})
    const alone = new ReadSession(() => false)
    alone.saw(7)
    expect(alone.floorOf({})).toEqual({})
  })
})

describe('a session over several nodes', () => {
  it('over HTTP asks the next node for what outcomes and reads have shown of the one before, but for what was only written', async () => {
    const environment = virtualEnvironment()
    const asked: string[] = []
    const answers = [
      { status: 200, body: { state: 1 }, headers: { 'applied-lsn': '20' } },
      { status: 200, body: { id: '7', lsn: 31, outcome: 'completed', durability: 'flushed', events: [] } },
      { status: 200, body: { id: '9', lsn: 90, outcome: 'completed', durability: 'written', events: [] } },
      { status: 200, body: { events: [], nextRevision: 1 } },
      { status: 200, body: { value: 1 } },
    ]
    const nodes = new HttpNodes(['http://a', 'http://b'], () => async ({ path }) => {
      asked.push(path)
      const answer = answers[asked.length - 1]
      return {
        status: answer?.status ?? 500,
        header: (name) => (answer?.headers as Record<string, string> | undefined)?.[name] ?? null,
        text: async () => JSON.stringify(answer?.body),
        chunks: async function* () {},
      }
    })
    const db = new HttpDatabase({ environment, nodes })
    await db.read('account', '1', { consistency: 'linearizable' })
    await db.execute('account', '1', 'deposit', {})
    await db.execute('account', '1', 'deposit', {}, { durability: 'written' })
    await db.stream('account', '1')
    await db.projection('balances', '1', { minLsn: 0 })
    expect(asked.filter((path) => !path.includes('commands'))).toEqual([
      '/v1/aggregates/account/1?consistency=linearizable',
      '/v1/streams/account/1?sessionLsn=31',
      '/v1/projections/balances/1?minLsn=0',
    ])
  })

  it('over sockets asks for what answers have shown before', async () => {
    const environment = createSystemEnvironment()
    const transport = createMemoryTransport(environment)
    const asked: object[] = []
    let applied = 20
    await transport.listen('a', (channel: Channel) => ({
      closed: () => {},
      frame: (kind, body) => {
        channel.release(body.length)
        if (kind !== clientFrames.query) return
        asked.push(decodeQuery(body) as object)
        channel.send(clientFrames.result, encodeResult(requestOf(body), { state: 1 }, applied++))
      },
    }))
    const db = await new SocketDatabase({ environment, transport, addresses: ['a', 'b'] }).open()
    await db.read('account', '1')
    await db.projection('balances', '1', { consistency: 'linearizable' })
    await db.stream('account', '1', { minLsn: 0 })
    await db.close()
    expect(asked).toMatchObject([
      { ask: 'hello' },
      { ask: 'state', sessionLsn: 20 },
      { ask: 'projection', consistency: 'linearizable', sessionLsn: 21 },
      { ask: 'stream', minLsn: 0 },
    ])
    expect(asked[3]).not.toHaveProperty('sessionLsn')
  })
})
