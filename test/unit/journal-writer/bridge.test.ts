import { describe, expect, it } from 'vitest'
import { Bridge } from '../../../src/journal-writer/bridge.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'

/** Batches of `entries` entries each, one behind the other from LSN 1 on. */
function fill(bridge: Bridge, batches: number, entries: number, payload: Buffer): void {
  for (let i = 0; i < batches; i++) {
    bridge.add({ firstLsn: lsn(i * entries + 1), lastLsn: lsn((i + 1) * entries), payload })
  }
}

describe('the bridge', () => {
  it('gives the batch that begins with an LSN, and none for an LSN in the middle of one', () => {
    const bridge = new Bridge()
    fill(bridge, 100, 3, Buffer.alloc(8))
    for (let at = 1; at <= 300; at++) {
      const batch = bridge.startingAt(lsn(at))
      if (at % 3 === 1) expect(batch).toMatchObject({ firstLsn: at, lastLsn: at + 2 })
      else expect(batch).toBeNull()
    }
    expect(bridge.startingAt(lsn(0))).toBeNull()
    expect(bridge.startingAt(lsn(301))).toBeNull()
  })

  it('keeps the newest batches within its bytes', () => {
    const bridge = new Bridge()
    const payload = Buffer.alloc(65_536)
    const kept = limits.bridgeBytesMax / payload.length
    fill(bridge, 5000, 1, payload)
    expect(bridge.startingAt(lsn(5000))).not.toBeNull()
    expect(bridge.startingAt(lsn(5000 - kept + 1))).not.toBeNull()
    expect(bridge.startingAt(lsn(5000 - kept))).toBeNull()
  })

  it('keeps a batch that is larger than its bytes while it is the newest', () => {
    const bridge = new Bridge()
    const large = Buffer.alloc(limits.bridgeBytesMax + 1)
    bridge.add({ firstLsn: lsn(1), lastLsn: lsn(1), payload: large })
    expect(bridge.startingAt(lsn(1))).not.toBeNull()
    bridge.add({ firstLsn: lsn(2), lastLsn: lsn(2), payload: Buffer.alloc(8) })
    expect(bridge.startingAt(lsn(1))).toBeNull()
    expect(bridge.startingAt(lsn(2))).not.toBeNull()
  })
})
