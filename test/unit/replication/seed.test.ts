import { describe, expect, it } from 'vitest'
import type { Channel, ChannelHandlers } from '../../../src/ipc/channel.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { takeSeed } from '../../../src/replication/seed-client.ts'
import { encodeSeed, type SeedSource, seedFrames } from '../../../src/replication/seed-protocol.ts'
import { SeedServer } from '../../../src/replication/seed-server.ts'

const environment = createSystemEnvironment()
const { scheduler } = environment

async function worldOf(copy: () => Promise<SeedSource>, journalId = 'ab') {
  const transport = createMemoryTransport(environment)
  const server = new SeedServer({ environment, stream: 's', journalId, copy })
  await transport.listen('a', (channel) => ({
    frame: (kind, body) => {
      channel.release(body.length)
      server.frame(channel, kind, body)
    },
    writable: () => server.writable(channel),
    closed: () => server.closed(channel),
  }))
  return transport
}

/** A store of so many bytes, of which each is told from its neighbours. */
function storeOf(bytes: number) {
  const whole = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) whole.writeUInt32LE(at, at)
  const source = { removed: 0, copies: 0 }
  const copy = async (): Promise<SeedSource> => {
    source.copies++
    return {
      bytes,
      chunks: (async function* () {
        for (let at = 0; at < bytes; at += 262_144) yield whole.subarray(at, at + 262_144)
      })(),
      remove: async () => void source.removed++,
    }
  }
  return { whole, source, copy }
}

function sink(writeMs = 0) {
  const parts: Buffer[] = []
  return {
    parts,
    write: async (chunk: Buffer) => {
      parts.push(chunk)
      if (writeMs > 0) await new Promise((resolve) => setTimeout(resolve, writeMs))
    },
  }
}

const wish = { scheduler, address: 'a', stream: 's', journalId: 'ab' }

describe('the store of a node on its way to another', () => {
  it('comes whole, more than a window of it, to one who writes slowly', async () => {
    const { whole, source, copy } = storeOf(24 << 20)
    const transport = await worldOf(copy)
    const to = sink(1)
    expect(await takeSeed({ ...wish, transport, sink: to })).toEqual({ bytes: whole.length })
    expect(Buffer.concat(to.parts).equals(whole)).toBe(true)
    expect(source.removed).toBe(1)
    // And again, for the next one.
    await takeSeed({ ...wish, transport, sink: sink() })
    expect(source).toEqual({ copies: 2, removed: 2 })
  })

  it('is given to one at a time, and to nobody of another database', async () => {
    const { copy } = storeOf(1 << 20)
    const started = Promise.withResolvers<void>()
    const slow = async (): Promise<SeedSource> => {
      await started.promise
      return copy()
    }
    const transport = await worldOf(slow)
    const first = takeSeed({ ...wish, transport, sink: sink() })
    await expect(takeSeed({ ...wish, transport, sink: sink() })).rejects.toMatchObject({ code: 'not_ready' })
    await expect(takeSeed({ ...wish, journalId: 'cd', transport, sink: sink() })).rejects.toMatchObject({
      code: 'not_ready',
    })
    started.resolve()
    expect(await first).toEqual({ bytes: 1 << 20 })
  })

  it('is not taken where it cannot be copied, written, or breaks off', async () => {
    const failing = await worldOf(() => Promise.reject(new CommanderError('store_failed', 'no room')))
    const taking = takeSeed({ ...wish, transport: failing, sink: sink() })
    await expect(taking).rejects.toThrow('does not give its store: no room')
    const { copy, source } = storeOf(1 << 20)
    const full = { write: () => Promise.reject(new CommanderError('store_failed', 'the disk is full')) }
    await expect(takeSeed({ ...wish, transport: await worldOf(copy), sink: full })).rejects.toThrow('the disk is full')
    await new Promise((resolve) => setImmediate(resolve))
    expect(source.removed).toBe(1)
    await expect(
      takeSeed({ ...wish, transport: createMemoryTransport(environment), sink: sink() }),
    ).rejects.toMatchObject({ code: 'no_database' })
  })

  it.each([
    ['less than was said', { begins: 20, bytes: 16 }],
    ['other bytes than were sent', { begins: 16, bytes: 16 }],
  ])('is nothing where it is %s', async (_what, { begins, bytes }) => {
    const transport = createMemoryTransport(environment)
    await transport.listen('a', (channel: Channel): ChannelHandlers => {
      const send = (): void => {
        channel.send(seedFrames.begins, encodeSeed({ bytes: begins }))
        channel.send(seedFrames.bytes, Buffer.alloc(bytes))
        channel.send(seedFrames.ends, encodeSeed({ bytes, sha256: '0'.repeat(64) }))
      }
      return { frame: send, closed: () => {} }
    })
    await expect(takeSeed({ ...wish, transport, sink: sink() })).rejects.toMatchObject({ code: 'connection_lost' })
  })
})
