import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Entry } from '../../../src/actions/action.ts'
import { actionCodes } from '../../../src/actions/action-codes.ts'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { verifyJournal } from '../../../src/journal/inspect.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { stateHash } from '../../../src/state/snapshot.ts'
import { encoded, goldenActions, goldenEntries, unsettledTypes } from './golden-entries.ts'
import { append, JournalWorld } from './journal-world.ts'

const fixture = new URL('../../fixtures/journal-v1-entries/', import.meta.url)
const storedFiles = (): Map<string, Buffer> =>
  new Map(fs.readdirSync(fixture).map((name) => [name, fs.readFileSync(new URL(name, fixture))]))

function storedWorld(): JournalWorld {
  const world = new JournalWorld()
  for (const [name, bytes] of storedFiles()) world.storage.replace(name, bytes)
  return world
}

function folded(payloads: readonly Buffer[]): RootState {
  const state = emptyRoot({ lookup: () => undefined, keepsPayloads: true })
  for (const payload of payloads)
    for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) reduce(state, payload, o)
  return state
}

describe('a journal of version 1 that was being written when the power failed', () => {
  test('has every action that there is, and a torn end', () => {
    const covered = new Set<string>(goldenActions.map(({ type }) => type))
    expect(Object.keys(actionCodes).filter((type) => !covered.has(type))).toEqual(unsettledTypes)
    expect(verifyJournal(storedWorld().storage)).toMatchObject({
      status: 'torn',
      rule: 'R5',
      segments: 2,
      firstLsn: 1,
      lastLsn: goldenActions.length,
    })
  })

  test('is opened without its torn end, says what was put into it, and goes on', async () => {
    const { journal, report, batches } = await storedWorld().open()
    expect(report).toMatchObject({ rule: 'R5', action: 'truncate', timeline: 2, recoveredLsn: goldenActions.length })
    const entries = batches.flatMap(({ payload }) => {
      const decoded: Entry[] = []
      for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) decoded.push(decodeEntry(payload, o))
      return decoded
    })
    expect(entries.map(({ action }) => action)).toEqual(goldenActions)
    expect(entries.map(({ lsn, origin, sequence }) => [lsn, origin, sequence])).toEqual(
      goldenActions.map((_, i) => [i + 1, 77, i]),
    )
    append(journal, 1, 64)
    expect(journal.writtenLsn).toBe(goldenActions.length + 1)
  })

  test('folds to the state that the same actions fold to when they are encoded today', async () => {
    const { batches } = await storedWorld().open()
    const state = folded(batches.map(({ payload }) => payload))
    expect(stateHash(state)).toBe(stateHash(folded([encoded(goldenActions, 1)])))
    expect([state.lsn, state.globalPosition, state.commands.byLsn.size]).toEqual([goldenActions.length, 6, 0])
    // The workflow has run to its end, in the slot of its queue; of what it sent, only the answer is under way.
    expect([state.activations.byLsn.size, state.queues.holders.size]).toEqual([0, 0])
    expect([...state.queues.lanes.values()].map(({ partition, taken }) => [partition, taken])).toEqual([
      ['ü', 0],
      ['', 0],
    ])
    expect([...state.outbox.bySource.values()].flat().map(({ to, command }) => [to, command])).toEqual([
      ['workflow:order/nightly-ü/1', 'commandEnded'],
    ])
  })

  test('is what is still written today, byte for byte', async () => {
    const stored = storedFiles()
    const now = await goldenEntries()
    expect([...now.keys()].toSorted()).toEqual([...stored.keys()].toSorted())
    for (const [name, bytes] of now)
      expect({ name, same: stored.get(name)?.equals(bytes) }).toEqual({ name, same: true })
  })
})
