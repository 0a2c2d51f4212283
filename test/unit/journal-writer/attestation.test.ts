import { describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { journalFrames } from '../../../src/ipc/journal-protocol.ts'
import { Attestation, type Referee } from '../../../src/journal-writer/attestation.ts'
import type { Lsn } from '../../../src/kernel/identifiers.ts'
import { RoleWorld, received } from '../role-world.ts'
import { RawPeer, TestFollower, type WriterOptions, WriterWorld } from './writer-world.ts'

const intervalMs = 1000

/** A follower that says of its state what it is told to. */
class Voter extends TestFollower {
  hash = 'right'
  /** Does not answer. */
  isSilent = false

  attest(at: Lsn): void {
    if (!this.isSilent) this.follower.sendAttested(at, this.hash)
  }
}

class Comparison {
  readonly db: WriterWorld
  readonly voters: Voter[]

  private constructor(db: WriterWorld, names: readonly string[]) {
    this.db = db
    this.voters = names.map((name) => this.join(name))
    db.run()
  }

  static async start(names: readonly string[], options: WriterOptions = {}): Promise<Comparison> {
    return new Comparison(await WriterWorld.start({ attestIntervalMs: intervalMs, ...options }), names)
  }

  join(name: string, origin = 100 + name.charCodeAt(0)): Voter {
    const voter = new Voter(this.db, name, { origin })
    this.db.run()
    return voter
  }

  voter(index: number): Voter {
    return this.voters[index] as Voter
  }

  /** An entry after which the states are compared; its LSN. */
  compare(by = this.voter(0)): number {
    this.db.run(intervalMs)
    by.draft(this.received('a'))
    this.db.run()
    return this.db.journal.writtenLsn
  }

  /** As a gateway drafts it by now. */
  received(id: string): Action {
    return received(id, 'add', {}, { receivedAtMs: this.db.world.nowMs })
  }

  logged(message: string): unknown[] {
    const { lines } = this.db.world.log
    return lines.filter((line) => line.message.includes(message)).map(({ level, fields }) => ({ level, ...fields }))
  }
}

const refereeOf =
  (hash: string | null): Referee =>
  (_at, done) =>
    done(hash)

describe('processes whose states are the same', () => {
  it('agree after an entry of each interval, and after no other', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    const first = c.compare()
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: first, agreedHash: 'right', divergences: 0 })
    for (let i = 0; i < 5; i++) c.voter(1).draft(c.received('b'))
    c.db.run()
    expect(c.db.writer.attestation.status.agreedLsn).toBe(first)
    const second = c.compare()
    expect(c.db.writer.attestation.status.agreedLsn).toBe(second)
    expect(c.voter(2).follower.attested).toEqual({ at: second, hash: 'right' })
  })

  it('are compared after the same entries whoever looks, by the times that the entries carry', async () => {
    const chosenBy = (startedMs: number): number[] => {
      const clock = { wallMs: () => startedMs, monotonicMs: () => 0 }
      const attestation = new Attestation({
        environment: { clock, log: new RoleWorld().log },
        intervalMs,
        referee: null,
        diverged: () => {},
      })
      // Out of order around the turn of an interval, without a time, and set back by an hour.
      const times = [5000, 5400, 0, 6000, 5999, 6001, 0, 9500, 9499, 10_000, 9999, 10_001, 7000, 7100, 8000]
      return times.flatMap((ms, i) => (attestation.isDue(ms === 0 ? 0 : 1_700_000_000_000 + ms) ? [i] : []))
    }
    const chosen = chosenBy(1_700_000_000_000)
    expect(chosen).toEqual([0, 3, 7, 9, 12, 14])
    expect(chosenBy(1_700_000_005_900).filter((i) => i > 0)).toEqual(chosen.slice(1))
    expect(chosenBy(1_600_000_000_000)).toEqual(chosen)
  })

  it('say what they agreed on, of the last entries', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    const first = c.compare()
    const second = c.compare()
    expect(c.db.writer.attestation.agreed).toEqual([
      { at: first, hash: 'right' },
      { at: second, hash: 'right' },
    ])
  })

  it('are not waited for when one of them does not answer', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(2).isSilent = true
    const at = c.compare()
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: at, divergences: 0 })
  })

  it('are not compared at all where that is turned off', async () => {
    const c = await Comparison.start(['a', 'b', 'c'], { attestIntervalMs: 0 })
    c.compare()
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: 0, agreedHash: null })
    expect(c.voter(0).follower.attested).toBe(null)
  })
})

describe('a process whose state is another one', () => {
  it('is cut off and told to begin anew, and both hashes, the entry and its name are logged', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    const agreed = c.compare()
    c.voter(1).hash = 'wrong'
    const at = c.compare()
    expect(c.voter(1).resets).toMatchObject([{ code: 'state_diverged', retryable: true }])
    expect(c.logged('is quarantined and built anew')).toEqual([
      { level: 'error', name: 'b', lsn: at, hash: 'wrong', agreedHash: 'right', after: agreed, isFinal: false },
    ])
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: at, agreedHash: 'right', divergences: 1 })
    expect(c.db.writer.followers().map(({ name }) => name)).toEqual(['a', 'c'])
    expect([c.voter(0).resets, c.voter(2).resets]).toEqual([[], []])
  })

  it('has no draft written any more, those that are under way included', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).hash = 'wrong'
    c.db.run(intervalMs)
    c.voter(0).draft(c.received('a'))
    for (let turn = 0; turn < 200; turn++) {
      c.voter(1).draft(c.received('b'))
      c.db.world.scheduler.settle()
    }
    const cut = c.db.journal.writtenLsn
    expect(c.db.writer.attestation.status.divergences).toBe(1)
    for (let turn = 0; turn < 20; turn++) {
      c.voter(1).draft(c.received('late'))
      c.db.run()
    }
    expect(c.db.journal.writtenLsn).toBe(cut)
  })

  it('is not let on again under the same incarnation, whatever it connects with', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).hash = 'wrong'
    c.compare()
    const again = c.join('b', c.voter(1).origin)
    expect(again.resets).toMatchObject([{ code: 'state_diverged' }])
    expect(again.connections).toBe(0)
  })

  it('that was built anew is one of them again when it agrees', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).hash = 'wrong'
    c.compare()
    c.join('b', 77)
    const at = c.compare()
    expect(c.logged('was built anew and agrees')).toEqual([{ level: 'info', name: 'b', lsn: at, hash: 'right' }])
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: at, divergences: 1, quarantined: [] })
  })

  it('that was built anew and diverges again stays out', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).hash = 'wrong'
    c.compare()
    const second = c.join('b', 77)
    second.hash = 'wrong'
    c.compare()
    expect(second.resets).toMatchObject([{ code: 'state_diverged', retryable: false }])
    expect(c.db.writer.attestation.status).toMatchObject({ divergences: 2, quarantined: ['b'] })
  })

  it('is let on by a person, and is one of them when it agrees after all', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).hash = 'wrong'
    c.compare()
    c.join('b', 77).hash = 'wrong'
    c.compare()
    c.join('b', 78)
    c.compare()
    expect(c.db.writer.attestation.status).toMatchObject({ divergences: 2, quarantined: [] })
  })

  it('stays out too when it agrees in between and diverges for the third time within an hour', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    let b = c.voter(1)
    for (let life = 1; life <= 3; life++) {
      c.compare()
      b.hash = 'wrong'
      c.compare()
      expect(b.resets).toMatchObject([{ retryable: life < 3 }])
      b = c.join('b', 200 + life)
    }
    expect(c.db.writer.attestation.status.divergences).toBe(3)
  })

  it('may go on for ever when it diverges once in an hour', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    let b = c.voter(1)
    for (let life = 1; life <= 5; life++) {
      c.compare()
      b.hash = 'wrong'
      c.compare()
      expect(b.resets).toMatchObject([{ retryable: true }])
      b = c.join('b', 200 + life)
      c.db.run(3_600_000)
    }
  })

  it('is found although it answers last, long after the others agreed', async () => {
    const c = await Comparison.start(['a', 'b', 'c'])
    c.voter(1).isSilent = true
    const at = c.compare()
    c.compare()
    c.voter(1).follower.sendAttested(at as Lsn, 'wrong')
    c.db.run()
    expect(c.voter(1).resets).toMatchObject([{ code: 'state_diverged' }])
  })

  it('makes the store suspect when it is the one that writes it, and says which entries may be wrong there', async () => {
    const c = await Comparison.start(['a', 'projection-applier', 'c'])
    const agreed = c.compare()
    expect(c.db.writer.attestation.status.storeIsSuspect).toBe(false)
    c.voter(1).hash = 'wrong'
    const at = c.compare()
    expect(c.db.writer.attestation.status.storeIsSuspect).toBe(true)
    expect(c.logged(`of the entries from ${agreed + 1} to ${at};`)).toEqual([
      { level: 'error', after: agreed, lsn: at },
    ])
  })
})

describe('two against two', () => {
  it('are judged by whoever folds the entries again', async () => {
    const c = await Comparison.start(['a', 'b', 'c', 'd'], { referee: refereeOf('right') })
    c.voter(1).hash = 'wrong'
    c.voter(3).hash = 'wrong'
    const at = c.compare()
    expect(c.voters.map(({ resets }) => resets.length)).toEqual([0, 1, 0, 1])
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: at, agreedHash: 'right', divergences: 2 })
  })

  it.each([
    ['cannot tell', null],
    ['agrees with neither', 'a third one'],
  ])('are left alone, and said to differ, when he %s', async (_, hash) => {
    const c = await Comparison.start(['a', 'b', 'c', 'd'], { referee: refereeOf(hash) })
    c.voter(1).hash = 'wrong'
    c.voter(3).hash = 'wrong'
    const at = c.compare()
    expect(c.voters.flatMap(({ resets }) => resets)).toEqual([])
    expect(c.db.writer.attestation.status.agreedLsn).toBe(0)
    const hashes = { a: 'right', b: 'wrong', c: 'right', d: 'wrong' }
    expect(c.logged('who is right is not known')).toEqual([{ level: 'error', lsn: at, hashes, folded: hash }])
  })

  it('are judged although one has ended meanwhile, and its successor is not held to what it said', async () => {
    let decide: (hash: string) => void = () => {}
    const c = await Comparison.start(['a', 'b', 'c', 'd'], {
      referee: (_at, done) => {
        decide = done
      },
    })
    c.voter(1).hash = 'wrong'
    c.voter(3).hash = 'wrong'
    c.compare()
    c.voter(1).follower.stop()
    c.db.run()
    const successor = c.join('b', 77)
    decide('right')
    c.db.run()
    expect(successor.resets).toEqual([])
    expect(c.voter(3).resets).toHaveLength(1)
  })
})

describe('one alone', () => {
  it('is never condemned: nobody else says otherwise', async () => {
    const c = await Comparison.start(['a'])
    c.compare()
    expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: 0, divergences: 0 })
  })

  it('and one other that differ need somebody who folds the entries again', async () => {
    const c = await Comparison.start(['a', 'b'])
    c.voter(1).hash = 'wrong'
    c.compare()
    expect(c.voters.flatMap(({ resets }) => resets)).toEqual([])
    expect(c.logged('no majority agrees')).toHaveLength(1)
  })
})

it('does not count the word of who does not follow', async () => {
  const c = await Comparison.start(['a', 'b', 'c'])
  const stranger = new RawPeer(c.db)
  c.db.run()
  stranger.send(journalFrames.attested, Buffer.from([0x80]))
  c.db.run()
  const at = c.compare()
  expect(c.db.writer.attestation.status).toMatchObject({ agreedLsn: at, divergences: 0 })
})
