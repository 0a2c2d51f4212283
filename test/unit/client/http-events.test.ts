import { describe, expect, it } from 'vitest'
import { type EventBatch, readLines, readMessages } from '../../../src/client/http-events.ts'

const event = (globalPosition: number): object => ({ type: 'noted', data: 'ü\n', globalPosition })
const line = (position: number): string => `${JSON.stringify(event(position))}\n`
const message = (position: number): string => `id: ${position}\ndata: ${JSON.stringify(event(position))}\n\n`

/** The text in pieces of so many bytes, as a network may deliver it. */
async function* inPieces(text: string, bytes: number): AsyncGenerator<Uint8Array> {
  const all = Buffer.from(text)
  for (let at = 0; at < all.length; at += bytes) yield all.subarray(at, at + bytes)
}

async function collect(batches: AsyncIterable<EventBatch>): Promise<{ positions: number[]; after: number[] }> {
  const positions: number[] = []
  const after: number[] = []
  for await (const batch of batches) {
    positions.push(...batch.events.map(({ globalPosition }) => globalPosition))
    after.push(batch.after)
  }
  return { positions, after }
}

describe.each([1, 2, 7, 64, 100_000])('events that come %i bytes at a time', (bytes) => {
  it('are read from lines', async () => {
    const { positions, after } = await collect(readLines(inPieces([4, 5, 9].map(line).join(''), bytes), 3))
    expect(positions).toEqual([4, 5, 9])
    expect(after.at(-1)).toBe(9)
  })

  it('are read from messages, between comments', async () => {
    const text = `retry: 1000\n\n${message(4)}: keep-alive\nid: 6\n\n${message(9)}`
    const { positions, after } = await collect(readMessages(inPieces(text, bytes), 3))
    expect(positions).toEqual([4, 9])
    expect(after.at(-1)).toBe(9)
  })

  it('never let the reading go on behind an event that was not handed over', async () => {
    let handed = 3
    for await (const { events, after } of readMessages(inPieces([4, 5, 6].map(message).join(''), bytes), 3)) {
      handed = events.at(-1)?.globalPosition ?? handed
      expect(after).toBe(handed)
    }
    expect(handed).toBe(6)
  })
})

describe('events over HTTP', () => {
  it('count a keep-alive as progress', async () => {
    const { after } = await collect(readMessages(inPieces(': keep-alive\nid: 60\n\n', 100), 3))
    expect(after).toEqual([60])
  })

  it('that end in the middle of one are a lost connection', async () => {
    const reading = collect(readLines(inPieces(`${line(4)}{"type":"no`, 16), 3))
    await expect(reading).rejects.toMatchObject({ code: 'connection_lost', retryable: true })
  })

  it('that are none are a violation of the protocol', async () => {
    await expect(collect(readLines(inPieces('<html>\n', 100), 3))).rejects.toMatchObject({ code: 'protocol_violation' })
  })
})
