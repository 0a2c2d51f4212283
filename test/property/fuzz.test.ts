import { expect, test } from 'vitest'
import { type FuzzTarget, fuzz } from '../fuzz/fuzz.ts'
import { httpTarget } from '../fuzz/http-target.ts'
import { ipcTarget } from '../fuzz/ipc-target.ts'
import { journalTarget } from '../fuzz/journal-target.ts'
import { replicationTarget } from '../fuzz/replication-target.ts'

// long enough for a machine that does other work too
const timeout = 180_000

const targets: [string, FuzzTarget, number][] = [
  ['the reader and the recovery of a journal', journalTarget, 3000],
  ['every socket of a database, and a client of one,', ipcTarget, 3000],
  ['HTTP', httpTarget, 1500],
  ['the codec of replication messages', replicationTarget, 20_000],
]

test.each(targets)('%s survives mutations of what it is used to', { timeout }, async (_what, target, inputs) => {
  const residentBytes = await fuzz({ target, seed: 1, inputs })
  expect(residentBytes).toBeGreaterThan(0)
})
