import { describe, expect, it } from 'vitest'
import { lengthOf, padded, sequenceOf } from '../../../src/actions/entry-layout.ts'
import { HttpDatabase } from '../../../src/client/http-database.ts'
import { HttpNodes } from '../../../src/client/http-nodes.ts'
import type { HttpRequester } from '../../../src/client/http-requester.ts'
import { Liveness } from '../../../src/client/liveness.ts'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import type { Channel } from '../../../src/ipc/channel.ts'
import { clientFrames, encodeFailed, encodeResult, requestOf } from '../../../src/ipc/client-protocol.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { CommanderError, toWireError } from '../../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { type Response, scripted, virtualEnvironment } from './http-world.ts'

const completed: Response = {
  status: 200,
  body: { id: '7', lsn: 9, outcome: 'completed', durability: 'flushed', events: [] },
}
const notLeading = (leader: object | null): Response => ({
  status: 503,
  body: { code: 'not_leader', detail: 'another node leads', retryable: true, details: { leader, epoch: 3 } },
})
/** It led when it took the command. */
const unknown = (leader: object | null): Response => ({
  status: 503,
  body: {
    code: 'indeterminate',
    detail: 'lost the lead before the answer',
    retryable: false,
    details: { leader, epoch: 3 },
  },
})

/** Nodes by their URLs; one without a script is down. */
function httpWorld(urls: readonly string[], answers: Readonly<Record<string, () => Response | CommanderError>>) {
  const environment = virtualEnvironment()
  const asked: string[] = []
  const requesterOf = (url: string): HttpRequester => {
    const { nodes } = scripted(() => {
      asked.push(url)
      return answers[url]?.() ?? new CommanderError('no_database', `nobody at ${url}`)
    })
    return nodes.at('http://a')
  }
  const db = new HttpDatabase({ environment, nodes: new HttpNodes(urls, requesterOf) })
  return { db, asked, environment }
}

describe('a client over HTTP of a database on several nodes', () => {
  it('goes to the node that is said to lead, and stays there', async () => {
    const { db, asked } = httpWorld(['http://a'], {
      'http://a': () => notLeading({ id: 'b', address: '', url: 'http://b/' }),
      'http://b': () => completed,
    })
    await db.execute('account', '1', 'deposit', {})
    await db.execute('account', '1', 'deposit', {})
    expect(asked).toEqual(['http://a', 'http://b', 'http://b'])
  })

  it('asks one after the other when a node is down or knows of no leader, until one leads', async () => {
    let rounds = 0
    const { db, asked } = httpWorld(['http://a', 'http://b', 'http://c'], {
      'http://b': () => notLeading(null),
      'http://c': () => (++rounds < 2 ? notLeading(null) : completed),
    })
    await db.execute('account', '1', 'deposit', {})
    expect(asked).toEqual(['http://a', 'http://b', 'http://c', 'http://a', 'http://b', 'http://c'])
  })

  it('sends what changes something and has no key again, since nothing can have come of it', async () => {
    const { db, asked } = httpWorld(['http://a'], {
      'http://a': () => notLeading({ id: 'b', address: '', url: 'http://b' }),
      'http://b': () => ({ status: 200, body: {} }),
    })
    await db.retryCommand('7')
    expect(asked).toEqual(['http://a', 'http://b'])
  })

  it('does not say that nothing was taken when an earlier try may have been', async () => {
    let tries = 0
    const { db } = httpWorld(['http://a'], {
      'http://a': () => (tries++ === 0 ? new CommanderError('connection_lost', 'cut off') : notLeading(null)),
    })
    const call = db.execute('account', '1', 'deposit', {}, { idempotencyKey: 'k', timeoutMs: 60_000 })
    await expect(call).rejects.toMatchObject({ code: 'connection_lost', message: 'cut off' })
    expect(tries).toBeGreaterThan(1)
  })

  it('asks the next leader under the key of a command of which the former one does not know what became', async () => {
    const leader = { id: 'b', address: '', url: 'http://b' }
    const answers = { 'http://a': () => unknown(leader), 'http://b': () => completed }
    const { db, asked } = httpWorld(['http://a'], answers)
    expect(await db.execute('account', '1', 'deposit', {}, { idempotencyKey: 'k' })).toMatchObject({ lsn: 9 })
    expect(asked).toEqual(['http://a', 'http://b'])
  })

  it('opens at whichever node is there, and says so when none is', async () => {
    const { db, asked } = httpWorld(['http://a', 'http://b'], {
      'http://b': () => ({ status: 200, body: { alive: true } }),
    })
    await db.open()
    expect(asked).toEqual(['http://a', 'http://b'])
    await expect(httpWorld(['http://a', 'http://b'], {}).db.open()).rejects.toMatchObject({ code: 'no_database' })
  })
})

/** A gateway that only says what kind of frame came, or that another node leads. */
async function gateway(
  transport: ReturnType<typeof createMemoryTransport>,
  address: string,
  leader: { readonly socket: string } | null,
  seen: string[],
): Promise<{ close(): Promise<void> }> {
  const refuse = (channel: Channel, request: number): void => {
    const details = { leader: { id: 'b', address: '', ...leader }, epoch: 2 }
    const error = new CommanderError('not_leader', 'another node leads', { details })
    channel.send(clientFrames.failed, encodeFailed(request, toWireError(error)))
  }
  return transport.listen(address, (channel) => ({
    closed: () => {},
    frame: (kind, body) => {
      channel.release(body.length)
      if (kind === clientFrames.query) {
        const request = requestOf(body)
        seen.push(`${address} query`)
        if (leader !== null && seen.length > 1) refuse(channel, request)
        else channel.send(clientFrames.result, encodeResult(request, { from: address }))
        return
      }
      for (let at = 0; at < body.length; at += padded(lengthOf(body, at))) {
        const request = sequenceOf(body, at)
        seen.push(`${address} call`)
        if (leader !== null) refuse(channel, request)
        else {
          const error = new CommanderError('unknown_aggregate', 'as far as the call got')
          channel.send(clientFrames.failed, encodeFailed(request, toWireError(error)))
        }
      }
    },
  }))
}

/** A gateway that led: it does not know what became of the first call that it got, and then leads again. */
async function formerLeader(
  transport: ReturnType<typeof createMemoryTransport>,
  address: string,
  leader: { readonly socket: string } | null,
  seen: string[],
): Promise<void> {
  await transport.listen(address, (channel) => ({
    closed: () => {},
    frame: (kind, body) => {
      channel.release(body.length)
      if (kind === clientFrames.query) {
        channel.send(clientFrames.result, encodeResult(requestOf(body), {}))
        return
      }
      seen.push(`${address} call`)
      const details = { leader: leader && { id: 'b', address: '', ...leader }, epoch: 2 }
      const error =
        seen.length === 1
          ? new CommanderError('indeterminate', 'lost the lead before the answer', { details })
          : new CommanderError('unknown_aggregate', 'as far as the call got')
      channel.send(clientFrames.failed, encodeFailed(sequenceOf(body, 0), toWireError(error)))
    },
  }))
}

/** A gateway that knows of no leader; of the first calls that it gets it says nothing, and its connection is cut. */
async function follower(
  transport: ReturnType<typeof createMemoryTransport>,
  address: string,
  cutOff: number,
): Promise<{ readonly calls: number }> {
  const seen = { calls: 0 }
  await transport.listen(address, (channel) => ({
    closed: () => {},
    frame: (kind, body) => {
      channel.release(body.length)
      if (kind === clientFrames.query) {
        channel.send(clientFrames.result, encodeResult(requestOf(body), {}))
        return
      }
      const request = sequenceOf(body, 0)
      if (++seen.calls <= cutOff) return transport.sever(channel)
      const details = { leader: null, epoch: 2, retryAfterMs: 500 }
      const error = new CommanderError('not_leader', 'no node leads', { details })
      channel.send(clientFrames.failed, encodeFailed(request, toWireError(error)))
    },
  }))
  return seen
}

describe('a client over sockets of a database on several nodes', () => {
  const environment = createSystemEnvironment()

  it('goes to the node on this host that is said to lead, with its calls and questions', async () => {
    const transport = createMemoryTransport(environment)
    const seen: string[] = []
    await gateway(transport, 'a', { socket: 'b' }, seen)
    await gateway(transport, 'b', null, seen)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    await expect(db.execute('account', '1', 'deposit', {})).rejects.toMatchObject({ code: 'unknown_aggregate' })
    expect(seen).toEqual(['a query', 'a call', 'b call'])
    expect(await db.projections()).toEqual({ from: 'b' })
    await db.close()
  })

  it('asks the next leader for a call of which the former one does not know what became', async () => {
    const transport = createMemoryTransport(environment)
    const seen: string[] = []
    await formerLeader(transport, 'a', { socket: 'b' }, seen)
    await gateway(transport, 'b', null, seen)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    await expect(db.execute('account', '1', 'deposit', {})).rejects.toMatchObject({ code: 'unknown_aggregate' })
    expect(seen).toEqual(['a call', 'b call'])
    await db.close()
  })

  it('asks again where nobody is known to lead yet, and says that it is not known when it is over time', async () => {
    const transport = createMemoryTransport(environment)
    const seen: string[] = []
    await formerLeader(transport, 'a', null, seen)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    await expect(db.execute('account', '1', 'deposit', {})).rejects.toMatchObject({ code: 'unknown_aggregate' })
    expect(seen).toEqual(['a call', 'a call'])
    seen.length = 0
    const late = db.execute('account', '1', 'deposit', {}, { timeoutMs: 100 })
    await expect(late).rejects.toMatchObject({ code: 'indeterminate' })
    await db.close()
  })

  it('asks what changes something again, since nothing can have come of it', async () => {
    const transport = createMemoryTransport(environment)
    const seen: string[] = []
    await gateway(transport, 'a', { socket: 'b' }, seen)
    await gateway(transport, 'b', null, seen)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    await db.retryCommand('7')
    expect(seen).toEqual(['a query', 'a query', 'b query'])
    await db.close()
  })

  it('says that nothing was taken where that is certain', async () => {
    const transport = createMemoryTransport(environment)
    await follower(transport, 'a', 0)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    const call = db.execute('account', '1', 'deposit', {}, { timeoutMs: 100 })
    await expect(call).rejects.toMatchObject({ code: 'not_leader' })
    await db.close()
  })

  it('does not say so of a call that was sent before, over a connection that was lost', async () => {
    const transport = createMemoryTransport(environment)
    const seen = await follower(transport, 'a', 1)
    const db = await new SocketDatabase({ environment, transport, addresses: ['a'] }).open()
    const call = db.execute('account', '1', 'deposit', {}, { timeoutMs: 300 })
    await expect(call).rejects.toMatchObject({ code: 'indeterminate', retryable: true, cause: { code: 'not_leader' } })
    await expect(call).rejects.toThrow('may or may not have been taken')
    expect(seen.calls).toBeGreaterThan(1)
    await db.close()
  })

  it('opens at whichever is there, and says so when none is', async () => {
    const transport = createMemoryTransport(environment)
    await gateway(transport, 'b', null, [])
    const db = await new SocketDatabase({ environment, transport, addresses: ['a', 'b'] }).open()
    await db.close()
    const nobody = new SocketDatabase({ environment, transport, addresses: ['x', 'y'] })
    await expect(nobody.open()).rejects.toMatchObject({ code: 'no_database' })
    await nobody.close()
  })
})

describe('a node that stands still', () => {
  it('is asked whether it is there, once somebody has waited in vain, and then left', () => {
    const liveness = new Liveness(0)
    expect([500, 1999].map((nowMs) => liveness.check(nowMs, true))).toEqual(['there', 'there'])
    expect([2000, 2250, 3999, 4000].map((nowMs) => liveness.check(nowMs, true))).toEqual([
      'ask',
      'there',
      'there',
      'gone',
    ])
  })

  it('is not left while it says anything, nor while nobody waits', () => {
    const liveness = new Liveness(0)
    expect(liveness.check(5000, false)).toBe('there')
    expect(liveness.check(6999, true)).toBe('there')
    expect(liveness.check(7000, true)).toBe('ask')
    liveness.heard(7500)
    expect(liveness.check(9499, true)).toBe('there')
  })
})
